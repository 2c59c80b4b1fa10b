"""Which reader an archive needs: by its first bytes, not by its name."""

import tarfile
from pathlib import Path
from typing import BinaryIO

from atrkit.datasets.archives.members import ArchiveFormat
from atrkit.datasets.archives.seven_zip import SevenZip
from atrkit.datasets.archives.tar_archive import Tar
from atrkit.datasets.archives.zip_archive import Zip
from atrkit.errors import IntegrityError

_MAGIC_7Z = b"7z\xbc\xaf\x27\x1c"
_MAGIC_ZIP = (b"PK\x03\x04", b"PK\x05\x06")


def format_of(archive: Path, file: BinaryIO) -> ArchiveFormat:
    """The reader for an archive.

    Args:
        archive: for the message.
        file: its bytes, at the beginning; left there.

    Raises:
        IntegrityError: it is no archive, as when a server sent a page about an error instead.
    """
    start = file.read(len(_MAGIC_7Z))
    file.seek(0)
    if start == _MAGIC_7Z:
        return SevenZip()
    if start.startswith(_MAGIC_ZIP):
        return Zip()
    is_tar = tarfile.is_tarfile(file)
    file.seek(0)
    if is_tar:
        return Tar()
    raise IntegrityError(
        f"{archive} is neither 7z, zip nor tar (it begins with {start!r}): delete it and run the same command again"
    )
