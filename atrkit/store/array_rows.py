"""Rows of an array that lies in a file: read when they are asked for, so that the array may be larger than memory.

A memory map would do the same, but its pages count as memory of the process for as long as there is room: whoever
watches it sees the whole file.
"""

from dataclasses import dataclass
from math import prod
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from atrkit.errors import IntegrityError


@dataclass(frozen=True, eq=False)
class ArrayInFile:
    """A two-dimensional array whose rows lie one behind the other in an open file.

    Args:
        file: open for reading; stays open as long as rows are read.
        offset_bytes: where the first row begins.
        shape: rows and columns.
        dtype: of the elements, of either byte order.
        name: of the file, for messages.

    Example:
        >>> import io
        >>> stored = ArrayInFile(io.BytesIO(np.arange(6.0).tobytes()), 0, (3, 2), np.dtype(float), "numbers")
        >>> stored.read_rows(1, 3).tolist()
        [[2.0, 3.0], [4.0, 5.0]]
    """

    file: BinaryIO
    offset_bytes: int
    shape: tuple[int, int]
    dtype: np.dtype[Any]
    name: str

    @property
    def size_bytes(self) -> int:
        """Of all rows together."""
        return prod(self.shape) * self.dtype.itemsize

    def read_rows(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Rows from `start` up to, and without, `stop`, (rows, columns), in the byte order of this machine.

        Raises:
            IntegrityError: the file is shorter than it was (exit code 5).
        """
        rows = np.empty((stop - start, self.shape[1]), self.dtype)
        target = memoryview(rows.view(np.uint8).reshape(-1))  # type: ignore[arg-type]
        self.file.seek(self.offset_bytes + start * self.shape[1] * self.dtype.itemsize)
        done = 0
        while done < len(target):
            count = self.file.readinto(target[done:])  # type: ignore[attr-defined]
            if not count:
                raise IntegrityError(f"{self.name} became shorter while it was read: run the command again")
            done += count
        return rows.astype(self.dtype.newbyteorder("="), copy=False)
