"""Reads every file of a dataset again and compares it with what the manifest states.

Disks rot, people move files, and a training run reads only what it needs: this is the way to know before a figure is
published that the audio is the audio that the manifest describes.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from atrkit.datasets.manifest import Dataset, stated_sha256
from atrkit.datasets.relevance import kept_qrels
from atrkit.processes import available_cores

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class StatedFile:
    """A file and the sha256 that the dataset states of it."""

    path: Path
    sha256: str


@dataclass(frozen=True)
class Change:
    """A file that is not as stated.

    Args:
        path: of the file.
        what: "changed" (other bytes), "missing", or "unreadable".
        reason: what the operating system says of an unreadable one; else empty.
    """

    path: Path
    what: Literal["changed", "missing", "unreadable"]
    reason: str = ""


@dataclass(frozen=True)
class Verification:
    """What came of reading everything again.

    Args:
        files: how many were to be read.
        size_bytes: how much was read.
        changes: files that are not as stated, in the order of the manifest.
    """

    files: int
    size_bytes: int
    changes: tuple[Change, ...]


def stated_files(dataset: Dataset) -> list[StatedFile]:
    """Every file of a dataset: originals and copies, also outside its folder, and what is kept beside the manifest.

    Raises:
        IntegrityError: dataset.json or a record of judgements is damaged (exit code 5).
    """
    beside = [StatedFile(dataset.folder / name, sha256) for name, sha256 in stated_sha256(dataset.folder).items()]
    judged = [StatedFile(kept.path, kept.sha256) for kept in kept_qrels(dataset.folder)]
    audio = [StatedFile(dataset.audio_path(file), file.sha256) for clip in dataset.clips for file in clip.files]
    return list(dict.fromkeys([*beside, *judged, *audio]))


def verify_files(
    files: Sequence[StatedFile], *, workers: int | None = None, on_progress: Callable[[int], None] | None = None
) -> Verification:
    """Read files from end to end and say which are not as stated.

    Args:
        files: from `stated_files`.
        workers: threads that read; None takes one per core.
        on_progress: called with the number of files finished since its last call.
    """
    changes = []
    size_bytes = 0
    with ThreadPoolExecutor(workers or available_cores()) as pool:
        try:
            for change, read_bytes in pool.map(_compare, files):
                size_bytes += read_bytes
                if change is not None:
                    changes.append(change)
                if on_progress is not None:
                    on_progress(1)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return Verification(len(files), size_bytes, tuple(changes))


def folders_gone(changes: Sequence[Change], *, more_than: int = 20) -> dict[Path, int]:
    """Folders that are gone with many of the files: a disk that is not mounted looks like a thousand lost files.

    Args:
        changes: of a verification.
        more_than: so many missing files are told one by one.

    Returns:
        The highest folder that is not there -> how many of the files were below it, where they were more.
    """
    gone: dict[Path, Path | None] = {}
    for folder in {change.path.parent for change in changes if change.what == "missing"}:
        absent = [place for place in (folder, *folder.parents) if not place.exists()]
        gone[folder] = absent[-1] if absent else None
    highest = (gone[change.path.parent] for change in changes if change.what == "missing")
    counts = Counter(folder for folder in highest if folder is not None)
    return {folder: files for folder, files in counts.items() if files > more_than}


def _compare(file: StatedFile) -> tuple[Change | None, int]:
    """The change, if there is one, and how many bytes were read."""
    digest = hashlib.sha256()
    size_bytes = 0
    try:
        with file.path.open("rb") as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                digest.update(chunk)
                size_bytes += len(chunk)
    except (FileNotFoundError, NotADirectoryError):
        return Change(file.path, "missing"), 0
    except OSError as error:
        return Change(file.path, "unreadable", error.strerror or str(error)), size_bytes
    return (None if digest.hexdigest() == file.sha256 else Change(file.path, "changed")), size_bytes
