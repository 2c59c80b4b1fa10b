"""Files that are either old or new, never half: atomic writes, hashes, and one writer at a time.

Everything atrkit writes goes through `write_atomic` (bytes in memory -> `<name>.part` -> fsync -> rename), because a
kill or a full disk at any instant must leave the previous file intact (FAULTS.md rows 1, 7, 23).
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from atrkit.errors import MissingPrerequisiteError, ResourceError

_CHUNK_BYTES = 1 << 20


def write_atomic(path: Path, data: bytes | memoryview) -> None:
    """Write `data` to `path` so that a reader sees the old file or the new one, never a part of it.

    Args:
        path: the file; its folder is made when it is missing.
        data: the whole content, in bytes.

    Raises:
        ResourceError: the disk is full, a size limit is reached or the folder cannot be written (exit code 4).
    """
    part_path = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part_path.open("wb") as part:
            part.write(data)
            part.flush()
            os.fsync(part.fileno())
        part_path.replace(path)
        fsync(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            part_path.unlink()
        raise as_resource_error(error, path) from error


def write_json_atomic(path: Path, value: Any) -> None:
    """Write `value` as indented JSON with a final newline, keys in the order given."""
    write_atomic(path, (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode())


def write_jsonl_atomic(path: Path, records: Iterable[Any]) -> None:
    """Write one JSON value per line."""
    lines = (json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n" for record in records)
    write_atomic(path, "".join(lines).encode())


def fsync(path: Path) -> None:
    """Bring a file, or the names in a folder, from memory to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def as_resource_error(error: OSError, path: Path) -> ResourceError:
    """Say in one line what the operating system refused and what to do about it."""
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            reason = "the disk is full; free some space and run the same command again"
        case errno.EFBIG:
            reason = "the file-size limit is reached (ulimit -f); raise it and run the same command again"
        case errno.EROFS | errno.EACCES | errno.EPERM:
            reason = "this place cannot be written; choose another with --workspace or ATRKIT_WORKSPACE"
        case errno.EEXIST | errno.ENOTDIR:
            reason = "a file is in the way of a folder; move it, or choose another place with --workspace"
        case _:
            reason = error.strerror or str(error)
    return ResourceError(f"cannot write {path}: {reason}")


def sha256_of_file(path: Path) -> str:
    """Hex sha256 of a file's bytes, read in chunks of 1 MiB."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def md5_of_file(path: Path) -> str:
    """Hex md5 of a file's bytes: what many publishers state of their files."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def require_free_space(folder: Path, needed_bytes: int, what: str) -> None:
    """Refuse to start work whose output would not fit.

    Raises:
        ResourceError: fewer than `needed_bytes` are free where `folder` is or will be.
    """
    existing = folder
    while not existing.exists():
        existing = existing.parent
    free_bytes = shutil.disk_usage(existing).free
    if free_bytes < needed_bytes:
        raise ResourceError(
            f"{what} needs about {_in_words(needed_bytes)} in {folder}, and {_in_words(free_bytes)} are free: "
            "free some space or choose another --workspace"
        )


def _in_words(count_bytes: int) -> str:
    return f"{count_bytes / 1e6:,.0f} MB" if count_bytes >= 1e6 else f"{count_bytes / 1e3:,.0f} kB"


def require_writable(folder: Path) -> None:
    """Find out that a folder cannot be written before hours of work, not after.

    Raises:
        ResourceError: the folder cannot be made or written (exit code 4).
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):  # without a name, so that a kill leaves nothing
            pass
    except OSError as error:
        raise as_resource_error(error, folder) from error


@contextlib.contextmanager
def single_writer(target: Path) -> Iterator[None]:
    """Hold the lock of one output while writing it; a second process is told who writes, and since when.

    The lock (`.<name>.lock` beside the output) is the operating system's: it goes with the process, also on kill -9.

    Args:
        target: the file or folder that only one process may write.

    Raises:
        MissingPrerequisiteError: another process writes it (exit code 3).
        ResourceError: the folder cannot be written (exit code 4).
    """
    lock_path = target.parent / f".{target.name}.lock"
    require_writable(target.parent)
    with lock_path.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            owner = lock.read().strip() or "another process"
            raise MissingPrerequisiteError(
                f"{target} is being written by {owner}: wait for it to end, or stop it"
            ) from None
        _sign(lock_path)
        yield


def _sign(lock_path: Path) -> None:
    try:
        lock_path.write_text(f"process {os.getpid()} since {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC")
    except OSError as error:
        raise as_resource_error(error, lock_path) from error
