"""What the server is given: something that searches, and files that may be served."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

INSTALL_COMMAND = "pip install 'atrkit[search]'"


class ServedFile(Protocol):
    """A sound file as it was when it was indexed."""

    @property
    def id(self) -> str:
        """What it is asked for by; never its path."""

    @property
    def full_path(self) -> Path:
        """Where it lies."""

    @property
    def size_bytes(self) -> int:
        """Of the file."""

    @property
    def mtime_ns(self) -> int:
        """Modification time."""

    @property
    def sha256(self) -> str:
        """Of its bytes."""

    @property
    def duration_s(self) -> float:
        """Its length."""


@dataclass(frozen=True)
class Wanted:
    """One search.

    Args:
        text: what is to be heard; may be empty.
        unwanted: what is pushed away; may be empty.
        like: id of an indexed file and the second at which a part of it begins; None: none.
        sound: a file to search by; None: none.
        k: how many files.
    """

    text: str = ""
    unwanted: str = ""
    like: tuple[str, float] | None = None
    sound: Path | None = None
    k: int = 10


class Searches(Protocol):
    """Something that searches; several threads ask it at once."""

    def about(self) -> dict[str, Any]:
        """What is searched, for the head of the page."""

    def file(self, file_id: str) -> ServedFile | None:
        """The file of that id; None: there is none."""

    def find(self, wanted: Wanted) -> dict[str, Any]:
        """The answer, as JSON.

        Raises:
            UsageError: what is wanted cannot be searched for; the message is shown on the page.
        """
