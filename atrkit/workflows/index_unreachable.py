"""Files of an index that nobody can see at the moment: a disk that is not mounted is no list of deleted files."""

import os
from collections import Counter
from collections.abc import Container, Sequence
from dataclasses import dataclass
from pathlib import Path

from atrkit.reports.counting import counted
from atrkit.search.changes import FoundFile
from atrkit.search.index_files import IndexedFile
from atrkit.workflows.session import Session

_LOCKED = "may not be read: change its permissions"
_EMPTY = "is empty now: mount its disk; if the files are really gone, remove the empty folder"
_DROP = "they stay in the index (to drop them, remove that folder, or make the index anew with --overwrite)"


@dataclass(frozen=True)
class Unreachable:
    """A file that was indexed, was not found, and may be there all the same.

    Args:
        file: as it was indexed.
        folder: that shows nothing of what it may hold.
        why: it does not, as the end of a sentence that begins with the folder; after a colon what to do.
    """

    file: IndexedFile
    folder: Path
    why: str

    @property
    def reason(self) -> str:
        """For the list of problems."""
        return f"cannot be reached: {self.folder} {self.why}"


def unreachable_files(
    roots: Sequence[str], before: Sequence[IndexedFile], seen: Container[str]
) -> tuple[Unreachable, ...]:
    """The files that were indexed and lie below a folder that may not be read, or that is empty.

    Where a disk is mounted there is an empty folder while it is not. Source: our choice.

    Args:
        roots: the folders of the index, absolute.
        before: what was indexed; files of other folders are gone.
        seen: ids of the files that lie there, whether they can be used or not.

    Returns:
        In the order of `before`.
    """
    reason_of_folder: dict[Path, tuple[Path, str] | None] = {}
    found: list[Unreachable] = []
    for file in before:
        if file.id in seen or file.root not in roots:
            continue
        parent = file.full_path.parent
        if parent not in reason_of_folder:
            reason_of_folder[parent] = _why_out_of_sight(parent, Path(file.root))
        known = reason_of_folder[parent]
        if known is not None:
            found.append(Unreachable(file, *known))
    return tuple(found)


def without_moved(
    unreachable: Sequence[Unreachable], before: Sequence[IndexedFile], found: Sequence[FoundFile]
) -> tuple[Unreachable, ...]:
    """Leave out the files of empty folders whose bytes lie under a name that is new: somebody moved them there."""
    known = {file.id for file in before}
    moved = {file.sha256 for file in found if file.id not in known}
    return tuple(each for each in unreachable if each.why != _EMPTY or each.file.sha256 not in moved)


def say_unreachable(session: Session, unreachable: Sequence[Unreachable]) -> None:
    """Say how many files cannot be reached for which folder, and how they are dropped."""
    for (folder, why), count in Counter((each.folder, each.why) for each in unreachable).items():
        state = why.partition(":")[0]
        session.say(f"{counted(count, 'file')} cannot be reached below {folder}, which {state}: {_DROP}")


def _why_out_of_sight(folder: Path, root: Path) -> tuple[Path, str] | None:
    """The nearest folder that is there, and why it shows nothing of what it may hold; None: the files are gone."""
    while True:
        try:
            with os.scandir(folder) as entries:
                is_empty = next(entries, None) is None
        except (FileNotFoundError, NotADirectoryError):
            if folder == root:
                return None
            folder = folder.parent
            continue
        except OSError:
            return folder, _LOCKED
        return (folder, _EMPTY) if is_empty else None
