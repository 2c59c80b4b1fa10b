"""Files that are either old or new, never half: atomic writes, hashes, and one writer at a time.

Everything atrkit writes goes through `open_atomic` (`<name>.part` -> fsync -> rename), because a kill or a full disk
at any instant must leave the previous file intact (FAULTS.md rows 1, 7, 23).
"""

import contextlib
import errno
import fcntl
import glob
import hashlib
import json
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, BinaryIO

from atrkit.errors import MissingPrerequisiteError, ResourceError

_PATIENCE_S = 0.2


def write_atomic(path: Path, data: bytes | memoryview) -> None:
    """Write `data` to `path` so that a reader sees the old file or the new one, never a part of it.

    Args:
        path: the file; its folder is made when it is missing.
        data: the whole content, in bytes.

    Raises:
        ResourceError: the disk is full, a size limit is reached or the folder cannot be written (exit code 4).
    """
    with open_atomic(path) as file:
        file.write(data)


@contextlib.contextmanager
def open_atomic(path: Path) -> Iterator[BinaryIO]:
    """Write a file piece by piece; it takes its name when the block ends, and is gone when the block fails.

    Args:
        path: the file; its folder is made when it is missing.

    Returns:
        Where to write; what was at `path` before stays there until the end.

    Raises:
        ResourceError: any OSError of the block: the disk is full, a size limit is reached, the folder cannot be
            written (exit code 4). So a block reads its input in a way that raises other errors.
    """
    part_path = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part_path.open("wb") as part:
            yield part
            part.flush()
            os.fsync(part.fileno())
        part_path.replace(path)
        fsync(path.parent)
    except BaseException as error:
        with contextlib.suppress(OSError):
            part_path.unlink()
        if isinstance(error, OSError):
            raise as_resource_error(error, path) from error
        raise


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
def single_writer(target: Path, *, shard: tuple[int, int] | None = None) -> Iterator[None]:
    """Hold the lock of one output while writing it; a second process is told who writes, and since when.

    Different shards of one output may be written at the same time; whoever writes all of it is alone. The locks
    (`.<name>.lock` beside the output, and one for each shard) are the operating system's: they go with the process,
    also on kill -9.

    Args:
        target: the file or folder that only one process may write.
        shard: (i, n) to write the i-th of n shards, from 1; None: all of it.

    Raises:
        MissingPrerequisiteError: another process writes it, or this shard, or shards cut otherwise (exit code 3).
        ResourceError: the folder cannot be written (exit code 4).
    """
    require_writable(target.parent)
    whole_path = _lock_path(target)
    if shard is None:
        with _held(whole_path, fcntl.LOCK_EX, lambda: _writers_of_shards(target) or [_signature(whole_path)], target):
            _sign(whole_path)
            yield
        return
    own_path = _lock_path(target, shard)
    with _held(own_path, fcntl.LOCK_EX, lambda: [_signature(own_path)], target):
        # signed before the next lock is asked for: whoever is refused because of this process can say its name
        _sign(own_path)
        with _held(whole_path, fcntl.LOCK_SH, lambda: [_signature(whole_path)], target):
            _refuse_shards_cut_otherwise(target, shard[1])
            yield


def _refuse_shards_cut_otherwise(target: Path, count: int) -> None:
    """Shards of two and of three have parts in common."""
    if _writers_of_shards(target, not_of=count):
        time.sleep(_PATIENCE_S)  # who has just begun signs by then, or has stepped back
        others = _writers_of_shards(target, not_of=count)
        if others:
            raise _being_written(target, others)


@contextlib.contextmanager
def one_at_a_time(target: Path) -> Iterator[None]:
    """Wait until no other process is in this block for `target`: for moments that several shards have in common.

    Raises:
        ResourceError: the folder cannot be written (exit code 4).
    """
    require_writable(target.parent)
    with _lock_path(target, "moment").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _lock_path(target: Path, of: tuple[int, int] | str | None = None) -> Path:
    match of:
        case None:
            return target.parent / f".{target.name}.lock"
        case str():
            return target.parent / f".{target.name}.{of}.lock"
        case (index, count):
            return target.parent / f".{target.name}.shard-{index}-of-{count}.lock"


@contextlib.contextmanager
def _held(lock_path: Path, kind: int, owners: Callable[[], Sequence[str]], target: Path) -> Iterator[None]:
    with lock_path.open("a") as lock:
        if not _take(lock, kind):
            raise _being_written(target, owners())
        yield


def _take(lock: IO[str], kind: int) -> bool:
    """Try for a moment: a process that only looks who writes holds the lock for microseconds."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            fcntl.flock(lock, kind | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(_PATIENCE_S / 20)


def _writers_of_shards(target: Path, not_of: int | None = None) -> list[str]:
    """Who holds the lock of a shard, shards of one count excepted."""
    owners = []
    for path in sorted(target.parent.glob(f".{glob.escape(target.name)}.shard-*-of-*.lock")):
        index, _, count = path.name.removesuffix(".lock").rpartition(".shard-")[2].partition("-of-")
        if count != str(not_of) and _is_held(path):
            owners.append(f"{_signature(path)} (shard {index}/{count})")
    return owners


def _is_held(lock_path: Path) -> bool:
    with lock_path.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _being_written(target: Path, owners: Sequence[str]) -> MissingPrerequisiteError:
    who, them = " and ".join(owners), "it" if len(owners) == 1 else "them"
    return MissingPrerequisiteError(f"{target} is being written by {who}: wait for {them} to end, or stop {them}")


def _sign(lock_path: Path) -> None:
    signature = f"process {os.getpid()} since {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC\n{platform.node()}"
    try:
        lock_path.write_text(signature)
    except OSError as error:
        raise as_resource_error(error, lock_path) from error


def _signature(lock_path: Path) -> str:
    """Who signed last; the machine is said when it is another one."""
    who, _, machine = lock_path.read_text().partition("\n")
    return (who or "another process") + (f" on {machine}" if machine not in ("", platform.node()) else "")
