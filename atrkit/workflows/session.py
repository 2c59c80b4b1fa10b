"""What every workflow is given: the workspace, and a way to speak to whoever started it."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from atrkit.workflows.workspace import Workspace


class Advance(Protocol):
    """Report finished items, how many seconds of audio they held, and what limits the speed."""

    def __call__(self, items: int = 1, audio_s: float = 0.0, limit: str = "") -> None:
        """Move the progress display on."""


class OpenProgress(Protocol):
    """Open a progress display."""

    def __call__(self, description: str, total: int, unit: str, done: int = 0) -> AbstractContextManager[Advance]:
        """Show `description` with `total` items (0: not known), counted in `unit`s, of which `done` are there."""


@dataclass(frozen=True)
class Session:
    """One command's surroundings.

    Args:
        workspace: where everything lies.
        say: one line for the person at the terminal (stderr): what was inferred, counted, left out.
        open_progress: a progress display on stderr.
    """

    workspace: Workspace
    say: Callable[[str], None]
    open_progress: OpenProgress
