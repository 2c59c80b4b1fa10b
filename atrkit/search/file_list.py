"""The files of an index: a line of JSON for each, read when it is asked for, and the numbers of all of them at once.

A search through a hundred thousand files looks at ten of them; to parse all of them first would take seconds.
"""

import io
import json
import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from hashlib import sha256
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt

# where each file's vectors lie, and how long it is
PLACES = np.dtype([("segment", "<i8"), ("row", "<i8"), ("windows", "<i8"), ("duration_s", "<f8")])


@dataclass(frozen=True, slots=True)
class IndexedFile:
    """A file that can be found.

    Args:
        id: stable for its path: nothing is served by path, only by this.
        path: below its root, with `/`; of a dataset's clip also absolute.
        root: the folder, absolute.
        size_bytes: with `mtime_ns` says whether it changed since.
        mtime_ns: modification time.
        sha256: of its bytes.
        sample_rate_hz: of the file.
        duration_s: its length.
        captions: where there are any.
        segment: number of the segment that holds its vectors.
        row: of its first window in the segment.
        windows: how many it has.
        copies: ids of the other files with the same bytes. Their windows are found as those of the first of them.
    """

    id: str
    path: str
    root: str
    size_bytes: int
    mtime_ns: int
    sha256: str
    sample_rate_hz: int
    duration_s: float
    captions: tuple[str, ...]
    segment: int
    row: int
    windows: int
    copies: tuple[str, ...] = ()

    @property
    def full_path(self) -> Path:
        """Where it lies."""
        return Path(self.root, self.path)


_FIELDS = tuple(field.name for field in fields(IndexedFile))


class FileList(Sequence[IndexedFile]):
    """The files of an index, each parsed when it is looked at.

    Args:
        lines: of JSON, one for each file.
        roots: of the index.
    """

    def __init__(self, lines: Sequence[bytes], roots: Sequence[str]) -> None:
        self._lines, self._roots = lines, roots

    def __len__(self) -> int:
        """How many there are."""
        return len(self._lines)

    @overload
    def __getitem__(self, index: int) -> IndexedFile: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[IndexedFile, ...]: ...
    def __getitem__(self, index: int | slice) -> IndexedFile | tuple[IndexedFile, ...]:
        """The file, or files, at a place in order of root and path."""
        if isinstance(index, slice):
            return tuple(map(self._parsed, self._lines[index]))
        return self._parsed(self._lines[operator.index(index)])

    def __iter__(self) -> Iterator[IndexedFile]:
        """All files in order."""
        return map(self._parsed, self._lines)

    def __eq__(self, other: object) -> bool:
        """Whether the same files are in both, in the same order."""
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment]

    def _parsed(self, line: bytes) -> IndexedFile:
        record = json.loads(line)
        record["root"] = self._roots[record["root"]]
        record["captions"], record["copies"] = tuple(record["captions"]), tuple(record["copies"])
        return IndexedFile(**record)


def file_id(path: str, root: int) -> str:
    """What a path is called where it must not be said: half of a hash, the same from run to run.

    Args:
        path: below the root.
        root: its number among the roots of the index; two of them may hold the same path.

    >>> file_id("rain/tin roof.wav", 0)
    '5f1dd9f4e1581dd3'
    """
    return sha256((path if root == 0 else f"{root}\0{path}").encode()).hexdigest()[:16]


def lines_of(files: Sequence[IndexedFile], roots: Sequence[str]) -> bytes:
    """A line of JSON for each file; `copies` is set here.

    Args:
        files: in order of root and path.
        roots: of the index; a line has their number.
    """
    number_of_root = {root: number for number, root in enumerate(roots)}
    ids_of: dict[str, list[str]] = {}
    for file in files:
        ids_of.setdefault(file.sha256, []).append(file.id)
    lines = []
    for file in files:
        record: dict[str, Any] = {name: getattr(file, name) for name in _FIELDS}
        record["root"] = number_of_root[file.root]
        record["copies"] = [other for other in ids_of[file.sha256] if other != file.id]
        lines.append(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n")
    return "".join(lines).encode()


def files_from(data: bytes, roots: Sequence[str]) -> FileList:
    """What `lines_of` wrote; not by `splitlines`, as captions may hold U+2028 and its kin, which JSON leaves."""
    return FileList([line for line in data.split(b"\n") if line], roots)


def places_of(files: Sequence[IndexedFile]) -> bytes:
    """The numbers of all files as a NumPy file."""
    places = [(file.segment, file.row, file.windows, file.duration_s) for file in files]
    buffer = io.BytesIO()
    np.save(buffer, np.array(places, PLACES), allow_pickle=False)
    return buffer.getvalue()


def places_from(data: bytes) -> npt.NDArray[Any]:
    """What `places_of` wrote, (A,) of `PLACES`."""
    places_A: npt.NDArray[Any] = np.load(io.BytesIO(data), allow_pickle=False)
    return places_A
