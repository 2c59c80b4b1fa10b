"""Extraction to a folder that is either not there or whole."""

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from atrkit.datasets.archives.formats import format_of
from atrkit.datasets.archives.listing import ArchiveListing
from atrkit.datasets.archives.members import opened, refused, safe_path
from atrkit.errors import IntegrityError
from atrkit.files import as_resource_error, fsync, require_free_space

_BUFFER_BYTES = 1 << 20


def extract_archive(
    path: Path,
    folder: Path,
    listing: ArchiveListing,
    *,
    on_progress: Callable[[int, int], None] | None = None,
) -> None:
    """Extract an archive that was scanned, so that a kill at any instant leaves no folder or the whole one.

    Everything is written to a hidden folder beside the target, which is then renamed; what a killed try has left
    there is removed by the next. A folder that is there already is replaced, unless it holds anything else.

    Args:
        path: the archive.
        folder: will hold the files, without the folder that they lie in within the archive.
        listing: what `scan_archive` found in it.
        on_progress: called with the bytes written so far, and those of all files.

    Raises:
        IntegrityError: a file is longer or shorter than declared or does not have its CRC, the archive is no longer
            the one that was scanned, or `folder` holds files that the archive does not (exit code 5).
        ResourceError: the disk has no room, or cannot be written (exit code 4).
    """
    folder = folder.resolve()  # where it is a link to another disk, the work is done there
    _refuse_foreign_files(folder, listing)
    unfinished = folder.with_name(f".{folder.name}.extracting")
    replaced = folder.with_name(f".{folder.name}.replaced")
    for leftover in (unfinished, replaced):
        _remove(leftover)
    require_free_space(folder.parent, listing.total_bytes, f"extracting {path.name}")
    try:
        with _disk_errors_explained(folder):
            unfinished.mkdir(parents=True)
            targets = _Targets(path, unfinished, listing, on_progress)
            with opened(path) as file:
                format_of(path, file).extract(file, targets.open)
            targets.require_all()
            _fsync_all(unfinished)
            _put_in_place(unfinished, folder, replaced)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    _remove(replaced)


class _Targets:
    """The files of an extraction: opens each once, and knows whether all were completed."""

    def __init__(
        self, archive: Path, folder: Path, listing: ArchiveListing, on_progress: Callable[[int, int], None] | None
    ) -> None:
        self._archive = archive
        self._folder = folder
        self._listing = listing
        self._incomplete = set(listing.members)
        self._on_progress = on_progress
        self._written_bytes = 0
        self._reported_bytes = 0

    def open(self, member_name: str) -> "_Target":
        """Open the file that a member becomes."""
        name = safe_path(self._archive, member_name).name
        if name not in self._incomplete:
            raise self.changed(name)
        return _Target(self, name, self._folder / name, self._listing.members[name])

    def changed(self, name: str) -> IntegrityError:
        """The error for an archive that does not hold what was listed."""
        return refused(self._archive, name, "is not as the archive's directory says")

    def wrote(self, count_bytes: int) -> None:
        """Count, and report every MiB: a call for each of half a million pieces would take longer than the writing."""
        self._written_bytes += count_bytes
        if self._on_progress is not None and self._written_bytes - self._reported_bytes >= _BUFFER_BYTES:
            self._report(self._on_progress)

    def complete(self, name: str) -> None:
        """A file was written to its end."""
        self._incomplete.remove(name)

    def require_all(self) -> None:
        """Refuse an extraction that ended before every file was written."""
        if self._incomplete:
            raise self.changed(min(self._incomplete))
        if self._on_progress is not None:
            self._report(self._on_progress)

    def _report(self, on_progress: Callable[[int, int], None]) -> None:
        self._reported_bytes = self._written_bytes
        on_progress(self._written_bytes, self._listing.total_bytes)


class _Target:
    """One file being written, which takes exactly as many bytes as were declared."""

    def __init__(self, targets: _Targets, name: str, path: Path, size_bytes: int) -> None:
        self._targets = targets
        self._name = name
        self._size_bytes = size_bytes
        self._written_bytes = 0
        self._path = path
        with _disk_errors_explained(path):
            self._file = path.open("xb", buffering=_BUFFER_BYTES)

    def write(self, data: bytes) -> int:
        self._written_bytes += len(data)
        if self._written_bytes > self._size_bytes:
            raise self._targets.changed(self._name)
        with _disk_errors_explained(self._path):
            self._file.write(data)
        self._targets.wrote(len(data))
        return len(data)

    def close(self) -> None:
        if self._written_bytes != self._size_bytes:
            raise self._targets.changed(self._name)
        with _disk_errors_explained(self._path):
            self._file.close()
        self._targets.complete(self._name)


def _refuse_foreign_files(folder: Path, listing: ArchiveListing) -> None:
    if not folder.exists():
        return
    with _disk_errors_explained(folder):
        foreign = sorted(entry.name for entry in folder.iterdir() if not _may_be_replaced(entry, listing))
    if foreign:
        raise IntegrityError(
            f"{folder} holds {len(foreign)} files that are not of this archive, {foreign[0]!r} the first: "
            "move them elsewhere, or choose another --workspace"
        )


def _may_be_replaced(entry: Path, listing: ArchiveListing) -> bool:
    return entry.name in listing.members and entry.is_file()


def _put_in_place(unfinished: Path, folder: Path, replaced: Path) -> None:
    if folder.exists():
        folder.rename(replaced)
    try:
        unfinished.rename(folder)
    except BaseException:
        if replaced.exists():
            replaced.rename(folder)
        raise
    fsync(folder.parent)


def _remove(leftover: Path) -> None:
    if leftover.exists():
        with _disk_errors_explained(leftover):
            shutil.rmtree(leftover)


def _fsync_all(folder: Path) -> None:
    """Bring all files of a folder to the disk; the system has begun long before, so this is one short wait."""
    for file in folder.iterdir():
        fsync(file)
    fsync(folder)


@contextlib.contextmanager
def _disk_errors_explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise as_resource_error(error, path) from error
