"""Take some files out of a zip archive, each whole or not at all."""

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

from atrkit.errors import IntegrityError
from atrkit.files import open_atomic, require_free_space

_READ_BYTES = 1 << 20


def extract_members(archive: Path, targets: Mapping[str, Path]) -> None:
    """Write members of an archive to their targets; nothing else is unpacked.

    Args:
        archive: of the zip format.
        targets: where each member goes, by its name in the archive.

    Raises:
        IntegrityError: the archive is damaged, or lacks one of them; it is set aside.
        ResourceError: they do not fit, or cannot be written.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            sizes = {name: opened.getinfo(name).file_size for name in targets}
            folder = next(iter(targets.values())).parent
            require_free_space(folder, sum(sizes.values()), f"unpacking {archive.name}")
            for name, target in targets.items():
                with open_atomic(target) as file, opened.open(name) as member:
                    while block := member.read(_READ_BYTES):
                        file.write(block)
    except (zipfile.BadZipFile, KeyError, EOFError, NotImplementedError, ValueError, zlib.error) as error:
        aside = archive.replace(archive.with_name(archive.name + ".rejected"))
        raise IntegrityError(
            f"{archive.name} is damaged, or another archive ({error}); it was set aside as {aside}: "
            "run the same command again"
        ) from error
