"""What 7z, zip and tar have in common: members with a name, a declared size and a kind."""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Literal, Protocol

from atrkit.datasets.csv_records import shown
from atrkit.errors import AtrkitError, IntegrityError, MissingPrerequisiteError, ResourceError

MemberKind = Literal["file", "folder", "link", "special", "encrypted"]
_DRIVE = re.compile(r"[A-Za-z]:")


@dataclass(frozen=True)
class Member:
    """One entry of an archive's directory.

    Args:
        name: as the archive spells it.
        size_bytes: that it declares for the extracted file.
        kind: what it says it is.
    """

    name: str
    size_bytes: int
    kind: MemberKind


class OpenTarget(Protocol):
    """Opens the file that a member is written to; what it gives is closed when the member is complete."""

    def __call__(self, member_name: str) -> "TargetFile":
        """Open the target of the member with this name."""


class TargetFile(Protocol):
    """A file being extracted: takes bytes until it is closed."""

    def write(self, data: bytes) -> int:
        """Take the next bytes."""

    def close(self) -> None:
        """The member is complete."""


class ArchiveFormat(Protocol):
    """How one kind of archive is read."""

    def members(self, file: BinaryIO) -> Iterator[Member]:
        """Read the directory; nothing is written."""

    def extract(self, file: BinaryIO, open_target: OpenTarget) -> None:
        """Write every file of the archive to its target, in the order of the archive."""


def safe_path(archive: Path, name: str) -> PurePosixPath:
    """A member's path, which stays below the folder that it is extracted to.

    >>> safe_path(Path("clips.7z"), "./development/rain.wav")
    PurePosixPath('development/rain.wav')

    Args:
        archive: for the message.
        name: as the archive spells it.

    Raises:
        IntegrityError: the name is absolute, leads upwards, has a drive letter, a backslash, a NUL or bytes that are
            not UTF-8, or names nothing.
    """
    path = PurePosixPath(name)
    if "\0" in name:
        raise refused(archive, name, "has a NUL in its name")
    if name.startswith("/") or _DRIVE.match(name):
        raise refused(archive, name, "is an absolute path")
    if "\\" in name:
        raise refused(archive, name, "has a backslash, which some systems take for a folder")
    if ".." in path.parts:
        raise refused(archive, name, "leads out of the folder it is extracted to")
    if not path.parts:
        raise refused(archive, name, "names no file")
    if any("\ud800" <= character <= "\udfff" for character in name):
        raise refused(archive, name, "has a name that is not UTF-8")
    return path


def refused(archive: Path, name: str, why: str) -> IntegrityError:
    """The error for a member that must not be extracted."""
    return IntegrityError(
        f"{archive} is refused: its member {shown(name)} {why}; nothing was extracted: "
        "delete the archive and fetch it from its publisher"
    )


@contextlib.contextmanager
def opened(archive: Path) -> Iterator[BinaryIO]:
    """Open an archive; whatever a library then trips over in it is damage, said in one line.

    Raises:
        MissingPrerequisiteError: there is no such file.
        ResourceError: it may not be read, or there is too little memory for it.
        IntegrityError: it is damaged.
    """
    try:
        file = archive.open("rb")
    except FileNotFoundError:
        raise MissingPrerequisiteError(f"there is no archive {archive}: run the download again") from None
    except OSError as error:
        raise ResourceError(f"cannot read {archive}: {error.strerror or error}") from error
    with file:
        try:
            yield file
        except AtrkitError:
            raise
        except MemoryError as error:
            raise ResourceError(f"{archive} needs more memory than there is: close other programs") from error
        # on hostile bytes the libraries raise nearly anything: KeyError, TypeError, struct.error, bz2's OSError
        except Exception as error:
            why = " ".join(str(error).split()) or type(error).__name__
            raise IntegrityError(
                f"{archive} is damaged ({why[:120]}): delete it and run the same command again"
            ) from error
