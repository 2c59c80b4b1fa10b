"""The progress display of a training, which counts from the epochs that are done."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from atrkit.workflows.session import Advance, Session


@dataclass
class TrainingProgress:
    """Follows a training: its methods are what `train_retriever` and `train_captioner` call.

    Args:
        session: where to show it.
        description: what is trained.
        epochs: of the whole training.
        stack: closes the display.
    """

    session: Session
    description: str
    epochs: int
    stack: ExitStack
    _advance: Advance | None = None

    def on_start(self, epochs_done: int) -> None:
        """Open the display: only the loop knows how far its checkpoint is."""
        self._advance = self.stack.enter_context(
            self.session.open_progress(self.description, self.epochs, "epochs", done=epochs_done)
        )

    def on_epoch(self, _: dict[str, Any]) -> None:
        """Move on."""
        assert self._advance is not None
        self._advance(1)


@contextmanager
def training_progress(session: Session, run_name: str, epochs: int) -> Iterator[TrainingProgress]:
    """Show how far a training is, as soon as it has started or gone on."""
    with ExitStack() as stack:
        yield TrainingProgress(session, f"training {run_name}", epochs, stack)
