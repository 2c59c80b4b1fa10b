"""HDF5 files that are checked before HDF5 sees them.

libhdf5 trusts its input: one flipped bit in the metadata can make it loop for ever or crash (both seen), and bits
flipped in the data are silent. So each file begins with a user block (which HDF5 itself skips) that holds the sha256
of the rest, and nothing is parsed before that agrees. Any HDF5 tool still opens the file.
"""

import hashlib
import io
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from atrkit.files import write_atomic

_USER_BLOCK_BYTES = 512
_MAGIC = b"atrkit sha256 "

Arrays = dict[str, npt.NDArray[Any]]


class DamagedFileError(ValueError):
    """The bytes are not those that were written; the caller says which command makes the file anew."""


def write_hdf5(path: Path, arrays: Arrays, header: bytes, attributes: dict[str, str]) -> None:
    """Write arrays and a header atomically, built in memory (a full disk makes h5py crash); same input, same bytes.

    Args:
        arrays: name to array, any numeric type.
        header: further content, for example JSON, kept as the dataset `header`.
        attributes: short texts for people who open the file with other tools.

    Raises:
        ResourceError: the disk is full or cannot be written.
    """
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", userblock_size=_USER_BLOCK_BYTES) as file:
        for name, values in arrays.items():
            file.create_dataset(name, data=values, track_times=False)
        file.create_dataset("header", data=np.frombuffer(header, dtype=np.uint8), track_times=False)
        for name, text in attributes.items():
            file.attrs[name] = text
    with buffer.getbuffer() as view:
        view[:_USER_BLOCK_BYTES] = _user_block(view[_USER_BLOCK_BYTES:])
        write_atomic(path, view)


def _user_block(content: memoryview) -> bytes:
    line = _MAGIC + hashlib.sha256(content).hexdigest().encode() + b"\n"
    return line.ljust(_USER_BLOCK_BYTES, b"\0")


def read_hdf5(path: Path) -> tuple[Arrays, bytes]:
    """Read what `write_hdf5` wrote: arrays and header.

    Raises:
        DamagedFileError: any byte is not as it was written.
    """
    data = path.read_bytes()
    view = memoryview(data)
    if bytes(view[:_USER_BLOCK_BYTES]) != _user_block(view[_USER_BLOCK_BYTES:]):
        raise DamagedFileError("its content does not have the sha256 it was written with")
    with h5py.File(io.BytesIO(data), "r") as file:
        arrays = {name: file[name][()] for name in file if name != "header"}
        return arrays, file["header"][()].tobytes()
