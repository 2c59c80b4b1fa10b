"""Tar archives, plain or compressed."""

import shutil
import tarfile
from collections.abc import Iterator
from typing import BinaryIO

from atrkit.datasets.archives.members import Member, MemberKind, OpenTarget

_CHUNK_BYTES = 1 << 20


class Tar:
    """The tar format. It has no directory: a compressed one is unpacked once, into nothing, to list its members."""

    def members(self, file: BinaryIO) -> Iterator[Member]:
        """Read the headers one by one, so that a bomb is noticed before it has gone off."""
        with tarfile.open(fileobj=file) as archive:
            for info in archive:
                yield Member(info.name, info.size, _kind_of(info))

    def extract(self, file: BinaryIO, open_target: OpenTarget) -> None:
        """Write every file; tar has no checksum of its contents."""
        with tarfile.open(fileobj=file) as archive:
            for info in archive:
                member = archive.extractfile(info) if info.isreg() else None
                if member is not None:
                    target = open_target(info.name)
                    shutil.copyfileobj(member, target, _CHUNK_BYTES)
                    target.close()


def _kind_of(info: tarfile.TarInfo) -> MemberKind:
    if info.isreg():
        return "file"
    if info.isdir():
        return "folder"
    return "link" if info.issym() or info.islnk() else "special"
