"""Which clips of a subset are on disk, which are missing, and what else lies there."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from atrkit.datasets.clotho.tables import ClothoRow
from atrkit.datasets.folder_files import SimilarNames, printable


@dataclass(frozen=True)
class ClothoClips:
    """A subset's table beside its folder of audio.

    Args:
        paths: file name of the table -> the file, in the order of the table.
        missing: file names of the table that the folder does not have, in the order of the table.
        extra: files of the folder that the table does not name, sorted; hidden ones are left out.
        respelled: file name of the table -> that of the folder, where Unicode writes the same text in two ways.
    """

    paths: dict[str, Path]
    missing: tuple[str, ...]
    extra: tuple[str, ...]
    respelled: dict[str, str]


def find_clips(rows: Sequence[ClothoRow], audio_folder: Path) -> ClothoClips:
    """Find the file of every row.

    Names are compared exactly; what is the same text in another Unicode form (macOS stores one that tables rarely
    have) is taken and listed.

    Args:
        rows: of one subset.
        audio_folder: of that subset; when it does not exist all clips are missing.
    """
    there = _files_in(audio_folder)
    similar = SimilarNames(there)
    found = {row.file_name: _name_on_disk(row.file_name, there, similar) for row in rows}
    taken = set(found.values())
    return ClothoClips(
        paths={name: audio_folder / on_disk for name, on_disk in found.items() if on_disk is not None},
        missing=tuple(name for name, on_disk in found.items() if on_disk is None),
        extra=tuple(sorted(printable(name) for name in there - taken if not name.startswith("."))),
        respelled={name: on_disk for name, on_disk in found.items() if on_disk is not None and on_disk != name},
    )


def _files_in(folder: Path) -> set[str]:
    if not folder.is_dir():
        return set()
    with os.scandir(folder) as entries:
        return {entry.name for entry in entries if entry.is_file()}


def _name_on_disk(name: str, there: set[str], similar: SimilarNames) -> str | None:
    return name if name in there else similar.same_text(name)
