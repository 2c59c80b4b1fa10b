"""HDF5 files that are checked before HDF5 sees them.

libhdf5 trusts its input: one flipped bit in the metadata can make it loop for ever or crash (both seen), and bits
flipped in the data are silent. So each file begins with a user block (which HDF5 itself skips) that holds the sha256
of the rest, and nothing is parsed before that agrees. Any HDF5 tool still opens the file.
"""

import hashlib
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from atrkit.files import write_atomic

_SEAL_BYTES = 512  # the smallest user block that HDF5 allows
_MAGIC = b"atrkit; sha256 of what follows these 512 bytes: "


class DamagedFileError(ValueError):
    """The bytes are not those that were written; the caller says which command makes the file anew."""


def write_hdf5(path: Path, fill: Callable[[h5py.File], None]) -> None:
    """Write a sealed HDF5 file atomically, built in memory because h5py crashes on a full disk.

    Args:
        path: the file.
        fill: puts the content into the open file; `track_times=False` keeps the bytes the same from run to run.

    Raises:
        ResourceError: the disk is full or cannot be written.
    """
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", userblock_size=_SEAL_BYTES, track_order=False) as file:
        fill(file)
    with buffer.getbuffer() as content:
        content[:_SEAL_BYTES] = _seal_of(content[_SEAL_BYTES:])
        write_atomic(path, content)


@contextmanager
def open_hdf5(path: Path) -> Iterator[h5py.File]:
    """Open a sealed HDF5 file for reading, after its seal was checked.

    Raises:
        DamagedFileError: any byte is not as it was written, or it was never written by atrkit.
    """
    content = path.read_bytes()
    if content[:_SEAL_BYTES] != _seal_of(memoryview(content)[_SEAL_BYTES:]):
        raise DamagedFileError("its sha256 is not the one it was written with")
    with h5py.File(io.BytesIO(content), "r") as file:
        yield file


def _seal_of(content: memoryview) -> bytes:
    line = _MAGIC + hashlib.sha256(content).hexdigest().encode() + b"\n"
    return line.ljust(_SEAL_BYTES, b"\0")
