"""7z archives, through py7zr, in little memory.

py7zr reads 1 MiB of packed bytes for every piece that it unpacks, whether or not it has used up those before. Where
clips pack to less than that, the rest piles up until the whole archive is in memory (100 MB of small files: 130 MB,
35 MB here), and 1 MiB of packed silence becomes a single piece of 128 MB (315 MB, 110 MB here). So it is given
2 KiB at a time, which costs 3 % in time.
"""

import io
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import py7zr
from py7zr.exceptions import PasswordRequired
from py7zr.io import Py7zIO, WriterFactory

from atrkit.datasets.archives.members import Member, MemberKind, OpenTarget, TargetFile

_MOST_BYTES_PER_READ = 2048
_ENCRYPTED_DIRECTORY = Member("(the list of files)", 0, "encrypted")


class SevenZip:
    """The 7z format."""

    def members(self, file: BinaryIO) -> Iterator[Member]:
        """Read the directory."""
        try:
            archive = py7zr.SevenZipFile(file)
        except PasswordRequired:
            yield _ENCRYPTED_DIRECTORY
            return
        with archive:
            encrypted = archive.needs_password()
            for info in archive.list():
                kind: MemberKind = "special"
                if info.is_symlink:
                    kind = "link"
                elif info.is_directory:
                    kind = "folder"
                elif info.is_file:
                    kind = "encrypted" if encrypted else "file"
                yield Member(info.filename, info.uncompressed, kind)

    def extract(self, file: BinaryIO, open_target: OpenTarget) -> None:
        """Write every file; py7zr compares each with its CRC."""
        bits = _LittleByLittle(file)
        with py7zr.SevenZipFile(bits) as archive:
            bits.most_bytes = _MOST_BYTES_PER_READ
            archive.extractall(path=_NOWHERE, factory=_Targets(open_target))


# py7zr wants a folder to resolve names against; through a factory it writes nothing there
_NOWHERE = Path("/")


class _LittleByLittle(io.BufferedIOBase):
    """A file that gives at most `most_bytes` at a time, once that is set; py7zr opens no threads for such a one."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.most_bytes: int | None = None

    def read(self, size: int | None = -1) -> bytes:
        wanted = -1 if size is None else size
        return self._file.read(wanted if self.most_bytes is None else min(wanted, self.most_bytes))

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


class _Targets(WriterFactory):
    """Gives py7zr our files to write to."""

    def __init__(self, open_target: OpenTarget) -> None:
        self._open_target = open_target

    def create(self, filename: str) -> Py7zIO:
        return _Target(self._open_target(str(PurePosixPath(filename).relative_to(_NOWHERE))))


class _Target(Py7zIO):
    """One file that py7zr writes to, and closes only when its CRC was right."""

    def __init__(self, target: TargetFile) -> None:
        self._target = target
        self._size_bytes = 0

    def write(self, data: bytes | bytearray) -> int:
        self._size_bytes += len(data)
        return self._target.write(bytes(data))

    def close(self) -> None:
        self._target.close()

    def size(self) -> int:
        return self._size_bytes

    def read(self, size: int | None = None) -> bytes:
        return b""

    def seek(self, offset: int, whence: int = 0) -> int:
        return 0

    def flush(self) -> None:
        pass
