"""Zip archives, whose declared sizes are not taken on trust."""

import copy
import shutil
import stat
import zipfile
from collections.abc import Iterator
from typing import BinaryIO

from atrkit.datasets.archives.members import Member, MemberKind, OpenTarget

_ENCRYPTED_FLAG = 0x1
_CHUNK_BYTES = 1 << 20


class Zip:
    """The zip format."""

    def members(self, file: BinaryIO) -> Iterator[Member]:
        """Read the central directory."""
        with zipfile.ZipFile(file) as archive:
            for info in archive.infolist():
                # not .filename, which zipfile cuts at a NUL
                yield Member(info.orig_filename, info.file_size, _kind_of(info))

    def extract(self, file: BinaryIO, open_target: OpenTarget) -> None:
        """Write every file; zipfile compares each with its CRC.

        zipfile stops reading at the declared size, so a member that holds more would pass for a whole one where its
        CRC is that of the first bytes. One more byte than declared is asked for, and the target refuses it.
        """
        with zipfile.ZipFile(file) as archive:
            for info in archive.infolist():
                if _kind_of(info) != "file":
                    continue
                with_one_more = copy.copy(info)
                with_one_more.file_size += 1
                target = open_target(info.orig_filename)
                with archive.open(with_one_more) as member:
                    shutil.copyfileobj(member, target, _CHUNK_BYTES)
                target.close()


def _kind_of(info: zipfile.ZipInfo) -> MemberKind:
    if info.is_dir():
        return "folder"
    if info.flag_bits & _ENCRYPTED_FLAG:
        return "encrypted"
    # of the Unix mode, where there is one; other systems leave it zero
    match stat.S_IFMT(info.external_attr >> 16):
        case 0 | stat.S_IFREG:
            return "file"
        case stat.S_IFLNK:
            return "link"
        case _:
            return "special"
