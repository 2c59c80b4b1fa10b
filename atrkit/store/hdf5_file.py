"""HDF5 files that are checked before HDF5 sees them.

libhdf5 trusts its input: one flipped bit in the metadata can make it loop for ever or crash (both seen), and bits
flipped in the data are silent. So each file begins with a user block (which HDF5 itself skips) that holds the sha256
of the rest, and nothing is parsed before that agrees. Any HDF5 tool still opens the file.
"""

import hashlib
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np
import numpy.typing as npt

from atrkit.files import write_atomic

SEAL_BYTES = 512  # the smallest user block that HDF5 allows
_MAGIC = b"atrkit; sha256 of what follows these 512 bytes: "
_CHUNK_BYTES = 1 << 20


class DamagedFileError(ValueError):
    """The bytes are not those that were written; the caller says which command makes the file anew."""


def write_hdf5(path: Path, fill: Callable[[h5py.File], None]) -> None:
    """Write a small sealed HDF5 file atomically, built in memory because h5py crashes on a full disk.

    Args:
        path: the file.
        fill: puts the content into the open file; `track_times=False` keeps the bytes the same from run to run.

    Raises:
        ResourceError: the disk is full or cannot be written.
    """
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", userblock_size=SEAL_BYTES, track_order=False) as file:
        fill(file)
    with buffer.getbuffer() as content:
        content[:SEAL_BYTES] = seal_of(hashlib.sha256(content[SEAL_BYTES:]).hexdigest())
        write_atomic(path, content)


@dataclass(frozen=True)
class SealedFile:
    """A sealed HDF5 file, open for reading and checked.

    Args:
        hdf5: as HDF5 sees it.
        raw: its bytes; the same open file, also when another process puts a new one in its place.
        sha256: of everything behind the seal.
    """

    hdf5: h5py.File
    raw: BinaryIO
    sha256: str

    def map_array(self, name: str) -> npt.NDArray[Any]:
        """An array that stays on the disk, read-only: the operating system reads what is used."""
        dataset = self.hdf5[name]
        if not dataset.size:
            return dataset[()]  # type: ignore[no-any-return]
        return np.memmap(self.raw, dataset.dtype, "r", dataset.id.get_offset(), dataset.shape)


@contextmanager
def open_hdf5(path: Path) -> Iterator[SealedFile]:
    """Open a sealed HDF5 file for reading, after its seal was checked in one pass over the file.

    Raises:
        DamagedFileError: any byte is not as it was written, it was never written by atrkit, or it cannot be read.
    """
    with path.open("rb") as file:
        try:
            sha256 = _check_seal(file)
            with h5py.File(file, "r") as hdf5:
                yield SealedFile(hdf5, file, sha256)
        except OSError as error:
            reason = error.strerror or (str(error).splitlines() or [type(error).__name__])[0]
            raise DamagedFileError(f"it cannot be read: {reason}") from error


def _check_seal(file: BinaryIO) -> str:
    stated = file.read(SEAL_BYTES)
    digest = hashlib.sha256()
    while chunk := file.read(_CHUNK_BYTES):
        digest.update(chunk)
    sha256 = digest.hexdigest()
    if stated != seal_of(sha256):
        raise DamagedFileError("its sha256 is not the one it was written with")
    file.seek(0)
    return sha256


def seal_of(sha256: str) -> bytes:
    """The first bytes of a file whose other bytes have this hash."""
    return (_MAGIC + sha256.encode() + b"\n").ljust(SEAL_BYTES, b"\0")
