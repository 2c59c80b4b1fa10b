"""Arrays in .npy and .npz files, read without ever running what is in them, and in blocks where they are large.

NumPy's files may hold pickled objects, which can run code: such arrays are refused. What is large and not compressed
stays in the file; everything else is read at once.
"""

import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np
import numpy.typing as npt

from atrkit.errors import IntegrityError
from atrkit.exchange.foreign import LARGEST_IN_MEMORY_BYTES
from atrkit.store.array_rows import ArrayInFile

Array = npt.NDArray[Any]
Read = TypeVar("Read")
_LOCAL_HEADER = struct.Struct("<4s22xHH")
_CHUNK_BYTES = 1 << 20
HOW_TO_SAVE_SCORES = "np.savez(FILE, scores=(clips x captions), clip_ids=, caption_ids=, clip_of_caption=)"
_HOW_TO_SAVE_TEXTS = "save texts with np.array(ids, dtype=str)"


def read_npy(path: Path, largest_in_memory_bytes: int | None = None) -> Array | ArrayInFile:
    """The array of an .npy file; a large one stays there.

    Raises:
        IntegrityError: it is damaged, or holds objects (exit code 5).
    """
    file = path.open("rb")
    stored = _array_in(file, 0, path.stat().st_size, str(path), path.name)
    limit = LARGEST_IN_MEMORY_BYTES if largest_in_memory_bytes is None else largest_in_memory_bytes
    if isinstance(stored, ArrayInFile) and stored.size_bytes > limit:
        return stored
    with file:
        file.seek(0)
        return _loaded(lambda: np.lib.format.read_array(file, allow_pickle=False), path, path.name)


class NpzFile:
    """The arrays of an .npz file, by name.

    Args:
        path: the file.
        largest_in_memory_bytes: `rows` leaves a larger array in the file, if it is not compressed.

    Raises:
        IntegrityError: it is no such file, or damaged (exit code 5).
    """

    def __init__(self, path: Path, largest_in_memory_bytes: int | None = None) -> None:
        self.path = path
        self._limit = LARGEST_IN_MEMORY_BYTES if largest_in_memory_bytes is None else largest_in_memory_bytes
        try:
            self._archive = zipfile.ZipFile(path)
        except zipfile.BadZipFile as error:
            raise IntegrityError(f"{path} is damaged or truncated ({error}): copy or save it again") from None
        members = self._archive.namelist()
        self.names = tuple(name.removesuffix(".npy") for name in members if name.endswith(".npy"))
        if any(name.endswith("/data.pkl") for name in members):
            raise IntegrityError(
                f"{path} is a file of torch.save, whose pickle can run code and is not read: load it where it was made "
                "and save np.savez(FILE, scores=t.numpy(), clip_ids=, caption_ids=, clip_of_caption=)"
            )
        if not self.names:
            raise IntegrityError(
                f"{path} is a zip archive without arrays ({', '.join(members[:3]) or 'empty'}): unpack it, or save "
                "scores with np.savez"
            )

    def first_of(self, *wanted: str) -> str | None:
        """The first of these names that is there."""
        return next((name for name in wanted if name in self.names), None)

    def array(self, name: str) -> Array:
        """An array, in memory.

        Raises:
            IntegrityError: it is damaged, or holds objects (exit code 5).
        """

        def read() -> Array:
            with self._archive.open(f"{name}.npy") as member:
                array: Array = np.lib.format.read_array(member, allow_pickle=False)
                member.read()  # to the end, where its checksum is compared
                return array

        return _loaded(read, self.path, name)

    def rows(self, name: str) -> Array | ArrayInFile:
        """An array, in the file where it is large and not compressed; its checksum is compared first.

        Raises:
            IntegrityError: it is damaged, or holds objects (exit code 5).
        """
        info = self._archive.getinfo(f"{name}.npy")
        if info.compress_type != zipfile.ZIP_STORED or info.file_size <= self._limit:
            return self.array(name)
        file = self.path.open("rb")
        file.seek(info.header_offset)
        _, name_bytes, extra_bytes = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
        start = info.header_offset + _LOCAL_HEADER.size + name_bytes + extra_bytes
        _require_checksum(file, start, info, self.path, name)
        return _array_in(file, start, info.file_size, str(self.path), name)

    def texts(self, name: str) -> tuple[str, ...]:
        """An array of ids or texts; numbers count as their digits.

        Raises:
            IntegrityError: it is no list of texts (exit code 5).
        """
        array = self.array(name)
        if array.ndim != 1 or array.dtype.kind not in "USiu":
            raise IntegrityError(
                f"{self.path}: array {name!r} is {_described(array)}, and should be a list of texts: "
                f"{_HOW_TO_SAVE_TEXTS}"
            )
        if array.dtype.kind == "S":
            try:
                return tuple(text.decode() for text in array.tolist())
            except UnicodeDecodeError:
                raise IntegrityError(f"{self.path}: array {name!r} is not UTF-8: {_HOW_TO_SAVE_TEXTS}") from None
        return tuple(map(str, array.tolist()))


def as_floats(path: Path, name: str, array: Array | ArrayInFile) -> Array | ArrayInFile:
    """A matrix of numbers as floats; what is none is refused.

    Raises:
        IntegrityError: it has not two dimensions, or no numbers (exit code 5).
    """
    if len(array.shape) != 2 or array.dtype.kind not in "fiu":
        raise IntegrityError(f"{path}: array {name!r} is {_described(array)}, and should be a matrix of numbers")
    return array


def _described(array: Array | ArrayInFile) -> str:
    return f"{array.dtype} of shape {tuple(array.shape)}"


def _array_in(file: BinaryIO, start: int, length: int, where: str, name: str) -> Array | ArrayInFile:
    """Where the rows of an array begin; what cannot be read by rows is read as a whole."""

    def read_header() -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
        file.seek(start)
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        return read(file)

    shape, is_by_columns, dtype = _loaded(read_header, Path(where), name)
    if dtype.hasobject:
        raise IntegrityError(
            f"{where}: array {name!r} holds Python objects, which can run code and are not read: {_HOW_TO_SAVE_TEXTS}"
        )
    offset = file.tell()
    expected = int(np.prod(shape, dtype=object)) * dtype.itemsize
    if length - (offset - start) < expected:
        raise IntegrityError(f"{where} is truncated: {expected:,} bytes of array {name!r} are announced")
    if len(shape) == 2 and not is_by_columns:
        return ArrayInFile(file, offset, (shape[0], shape[1]), dtype, where)
    if expected > LARGEST_IN_MEMORY_BYTES and is_by_columns:
        raise IntegrityError(
            f"{where}: array {name!r} lies column by column, and is too large to turn: save np.ascontiguousarray of it"
        )
    file.seek(start)
    return _loaded(lambda: np.lib.format.read_array(file, allow_pickle=False), Path(where), name)


def _loaded(read: Callable[[], Read], path: Path, name: str) -> Read:
    try:
        return read()
    except (
        ValueError,
        EOFError,
        zipfile.BadZipFile,
        zlib.error,
        SyntaxError,
        MemoryError,
        io.UnsupportedOperation,
    ) as error:
        if "Object arrays" in str(error) or "allow_pickle" in str(error):
            raise IntegrityError(
                f"{path}: array {name!r} holds Python objects, which can run code and are not read: "
                f"{_HOW_TO_SAVE_TEXTS}"
            ) from None
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise IntegrityError(f"{path}: array {name!r} is damaged ({reason}): copy or save the file again") from None


def _require_checksum(file: BinaryIO, start: int, info: zipfile.ZipInfo, path: Path, name: str) -> None:
    file.seek(start)
    left, crc = info.file_size, 0
    while left:
        chunk = file.read(min(left, _CHUNK_BYTES))
        if not chunk:
            break
        crc = zlib.crc32(chunk, crc)
        left -= len(chunk)
    if left or crc != info.CRC:
        raise IntegrityError(f"{path}: array {name!r} is damaged (its checksum differs): copy or save the file again")
