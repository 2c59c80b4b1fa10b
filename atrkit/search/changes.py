"""What became of the files of an index since the last time: what lies there now against what was indexed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from atrkit.search.index_files import IndexedFile


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A sound file that lies there now, and can be read.

    Args:
        id: of its path.
        path: below its root, with `/`.
        root: the folder, absolute.
        size_bytes: before it was read.
        mtime_ns: before it was read.
        sha256: of its bytes.
        sample_rate_hz: of the file.
        frames: samples per channel that can be read.
        captions: where there are any.
    """

    id: str
    path: str
    root: str
    size_bytes: int
    mtime_ns: int
    sha256: str
    sample_rate_hz: int
    frames: int
    captions: tuple[str, ...] = ()

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.frames / self.sample_rate_hz

    @property
    def full_path(self) -> Path:
        """Where it lies."""
        return Path(self.root, self.path)


@dataclass
class Changes:
    """Paths by what became of them; each file is in one list.

    Args:
        new: was not there.
        changed: has other bytes.
        renamed: was there under another path, where it is no more.
        copied: has the bytes of a file that was there, and still is.
        touched: has another time, and the same bytes.
        unchanged: has the same size and time.
        gone: was there.
        unreachable: was there, and may be still: its folder cannot be looked into.
    """

    new: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    renamed: list[str] = field(default_factory=list)
    copied: list[str] = field(default_factory=list)
    touched: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    unreachable: list[str] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        """How many of each."""
        return {name: len(paths) for name, paths in vars(self).items()}


def compare(
    before: Sequence[IndexedFile],
    now: Sequence[FoundFile],
    skipped: frozenset[str] = frozenset(),
    unreachable: frozenset[str] = frozenset(),
) -> Changes:
    """Say what became of each file.

    Args:
        before: what was indexed.
        now: what lies there and can be read.
        skipped: ids of files that lie there and cannot be read: these are not gone.
        unreachable: ids of files of `before` of which nobody knows; none of them is renamed.

    Returns:
        Each path of `now`, and of `before` where it is in neither `now` nor `skipped`, once. Of several new paths with
        the bytes of one that is gone, the first is the renamed one.

    Example:
        >>> facts = {"root": "/sounds", "size_bytes": 9, "sample_rate_hz": 8000, "captions": ()}
        >>> def was(path, sha256):
        ...     place = {"segment": 1, "row": 0, "windows": 1}
        ...     return IndexedFile(path, path, mtime_ns=1, sha256=sha256, duration_s=1.0, **place, **facts)
        >>> def found(path, sha256, mtime_ns=1):
        ...     return FoundFile(path, path, mtime_ns=mtime_ns, sha256=sha256, frames=8000, **facts)
        >>> now = [found("dog.wav", "d0", mtime_ns=2), found("old rain.wav", "a1"), found("rain.wav", "b2", mtime_ns=2)]
        >>> changes = compare([was("dog.wav", "d0"), was("rain.wav", "a1"), was("cat.wav", "c3")], now)
        >>> changes.touched, changes.copied, changes.changed, changes.gone
        (['dog.wav'], ['old rain.wav'], ['rain.wav'], ['cat.wav'])
    """
    changes = Changes()
    before_of = {file.id: file for file in before}
    ids_now = {file.id for file in now}
    left = {file.id: file for file in before if file.id not in ids_now and file.id not in unreachable}
    gone_of: dict[str, list[str]] = {}
    for file in left.values():
        gone_of.setdefault(file.sha256, []).append(file.id)
    known = {file.sha256 for file in before}
    for found in now:
        old = before_of.get(found.id)
        if old is not None:
            _same_path(changes, old, found)
        elif gone_of.get(found.sha256):
            del left[gone_of[found.sha256].pop(0)]
            changes.renamed.append(found.path)
        else:
            (changes.copied if found.sha256 in known else changes.new).append(found.path)
    changes.unreachable += [file.path for file in before if file.id in unreachable]
    changes.gone += [file.path for file in left.values() if file.id not in skipped]
    return changes


def is_same_state(old: IndexedFile, size_bytes: int, mtime_ns: int) -> bool:
    """Whether nothing says that a file was written since."""
    return (old.size_bytes, old.mtime_ns) == (size_bytes, mtime_ns)


def _same_path(changes: Changes, old: IndexedFile, found: FoundFile) -> None:
    if old.sha256 != found.sha256:
        changes.changed.append(found.path)
    elif is_same_state(old, found.size_bytes, found.mtime_ns):
        changes.unchanged.append(found.path)
    else:
        changes.touched.append(found.path)
