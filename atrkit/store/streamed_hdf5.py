"""HDF5 files larger than memory, written from beginning to end without HDF5 touching the disk.

h5py crashes the process on a full disk (FACTS.md), so no file is written through it; but a file of many gigabytes
cannot be built in memory. HDF5 itself decides only where things lie: it is given a file object that keeps what HDF5
writes (a few kilobytes, and the small arrays) and treats everything else as a hole. The large arrays are allocated at
once and never filled, so they are the holes. Then the file is written in order, by ordinary writes that fail in an
ordinary way: what HDF5 wrote, the rows of the large arrays as they come, and last the seal over what was hashed on
the way.
"""

import hashlib
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from atrkit.files import open_atomic
from atrkit.store.hdf5_file import SEAL_BYTES, seal_of

_CHUNK_BYTES = 1 << 20
_PAGE_BYTES = 1 << 16
_EMPTY_PAGE = bytearray(_PAGE_BYTES)

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class RowArray:
    """A large array, given piece by piece.

    Args:
        name: of the HDF5 dataset.
        shape: of the whole, (rows, width).
        dtype: of every piece.
        pieces: called once, when its place in the file is reached; gives consecutive rows.
    """

    name: str
    shape: tuple[int, int]
    dtype: npt.DTypeLike
    pieces: Callable[[], Iterable[Array]]

    @property
    def size_bytes(self) -> int:
        """Bytes of the whole."""
        return self.shape[0] * self.shape[1] * np.dtype(self.dtype).itemsize


def write_streamed_hdf5(path: Path, rows: Sequence[RowArray], fill: Callable[[h5py.File], None]) -> None:
    """Write a sealed HDF5 file atomically with memory for one piece; the same content gives the same bytes.

    Args:
        path: the file.
        rows: its large arrays, of dtypes with the largest alignment first.
        fill: puts everything else into the open file; `track_times=False` keeps the bytes the same from run to run.

    Raises:
        ResourceError: the disk is full or cannot be written; what was at `path` stays.
        ValueError: the pieces of an array are not what its shape and dtype said.
    """
    skeleton, offsets = _lay_out(rows, fill)
    digest = hashlib.sha256()
    with open_atomic(path) as file:
        file.write(bytes(SEAL_BYTES))
        for chunk in _content(skeleton, offsets, rows):
            digest.update(chunk)
            file.write(chunk)
        file.seek(0)
        file.write(seal_of(digest.hexdigest()))


def _content(skeleton: "_SparseFile", offsets: Sequence[int], rows: Sequence[RowArray]) -> Iterator[bytes | memoryview]:
    """Every byte behind the seal, in order."""
    position = SEAL_BYTES
    for offset, array in sorted(zip(offsets, rows, strict=True), key=lambda place: place[0]):
        yield from skeleton.between(position, offset)
        yield from _bytes_of(array)
        position = offset + array.size_bytes
    yield from skeleton.between(position, skeleton.size_bytes)


def _lay_out(rows: Sequence[RowArray], fill: Callable[[h5py.File], None]) -> tuple["_SparseFile", list[int]]:
    """Let HDF5 write the file without its large arrays, and say where in it they belong."""
    skeleton = _SparseFile()
    with h5py.File(skeleton, "w", userblock_size=SEAL_BYTES, track_order=False) as file:
        offsets = [_allocate(file, array) for array in rows]
        fill(file)
    return skeleton, offsets


def _allocate(file: h5py.File, array: RowArray) -> int:
    """Reserve the bytes of an array, and never write them; its offset in the file."""
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_layout(h5py.h5d.CONTIGUOUS)
    creation.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    creation.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    creation.set_obj_track_times(False)
    kind = h5py.h5t.py_create(np.dtype(array.dtype), logical=True)
    space = h5py.h5s.create_simple(array.shape)
    dataset = h5py.h5d.create(file.id, array.name.encode(), kind, space, creation)
    # HDF5 gives an empty array no place: any will do for writing nothing
    return int(dataset.get_offset()) if array.size_bytes else SEAL_BYTES


def _bytes_of(array: RowArray) -> Iterator[memoryview]:
    rows = 0
    for piece in array.pieces():
        if piece.shape[1:] != array.shape[1:] or piece.dtype != array.dtype:
            raise ValueError(f"{array.name}: a piece of {piece.dtype}{piece.shape} for {array.dtype}{array.shape}")
        rows += len(piece)
        if piece.size:
            yield from _in_chunks(np.ascontiguousarray(piece).data.cast("B"))
    if rows != array.shape[0]:
        raise ValueError(f"{array.name}: {rows} rows came and {array.shape[0]} were announced")


def _in_chunks(content: memoryview) -> Iterator[memoryview]:
    """Hashed and written a megabyte at a time, the second use finds the bytes in the processor's cache."""
    for start in range(0, len(content), _CHUNK_BYTES):
        yield content[start : start + _CHUNK_BYTES]


class _SparseFile(io.RawIOBase):
    """A file in memory that keeps the pages that were written; all others are zeros and take no memory."""

    def __init__(self) -> None:
        self._pages: dict[int, bytearray] = {}
        self._position = 0
        self.size_bytes = 0

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size_bytes}[whence]
        self._position = start + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def truncate(self, size: int | None = None) -> int:
        self.size_bytes = self._position if size is None else size
        return self.size_bytes

    def write(self, data: Any) -> int:
        content = memoryview(data).cast("B")
        for page, here, there in self._pieces(self._position, len(content)):
            self._pages.setdefault(page, bytearray(_PAGE_BYTES))[here] = content[there]
        self._position += len(content)
        self.size_bytes = max(self.size_bytes, self._position)
        return len(content)

    def readinto(self, buffer: Any) -> int:
        content = memoryview(buffer).cast("B")
        for page, here, there in self._pieces(self._position, len(content)):
            content[there] = self._pages.get(page, _EMPTY_PAGE)[here]
        self._position += len(content)
        return len(content)

    def between(self, start: int, stop: int) -> Iterator[bytes]:
        """What was written from `start` to `stop`, zeros where nothing was."""
        for page, here, _ in self._pieces(start, stop - start):
            yield bytes(self._pages.get(page, _EMPTY_PAGE)[here])

    def _pieces(self, start: int, count: int) -> Iterator[tuple[int, slice, slice]]:
        """Cut a range at the borders of pages: page, where in the page, where in the range."""
        position = start
        while position < start + count:
            page, first = divmod(position, _PAGE_BYTES)
            length = min(_PAGE_BYTES - first, start + count - position)
            yield page, slice(first, first + length), slice(position - start, position - start + length)
            position += length
