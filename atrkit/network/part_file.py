"""What has arrived of a file, and which file that was: a part and its sidecar on disk.

`<name>.part` holds the first bytes of the file, appended chunk by chunk without a buffer of ours, so that a kill loses
at most the chunk under way. `<name>.part.json` says what they are the beginning of. The order of writing makes every
instant safe: the part is emptied before a new sidecar is written, and the sidecar is there before the first byte.
"""

import contextlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from atrkit.files import as_resource_error, write_json_atomic


@dataclass(frozen=True)
class Origin:
    """The version of a file on a server that a part is the beginning of.

    Args:
        url: asked for.
        etag: of the answer.
        last_modified: of the answer, as it was written there.
        total_bytes: length of the whole file; None: not known until its end.
    """

    url: str
    etag: str | None = None
    last_modified: str | None = None
    total_bytes: int | None = None

    @property
    def if_range(self) -> str | None:
        """The validator that HTTP allows in If-Range: a strong ETag, else Last-Modified."""
        if self.etag and not _is_weak(self.etag):
            return self.etag
        return self.last_modified

    @property
    def can_be_recognised(self) -> bool:
        """Whether a later answer can be seen to be of the same version."""
        return bool(self.etag or self.last_modified)

    def differs_from(self, etag: str | None, last_modified: str | None) -> bool:
        """Whether an answer is seen to be of another version; a weak ETag is compared without its mark."""
        if self.etag and etag:
            return self.etag.removeprefix("W/") != etag.removeprefix("W/")
        return bool(self.last_modified and last_modified and self.last_modified != last_modified)


def _is_weak(etag: str) -> bool:
    return etag.startswith("W/")


class PartFile:
    """The part of one file and its sidecar.

    Args:
        path: of the file when it is whole.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.part_path = path.with_name(path.name + ".part")
        self.sidecar_path = path.with_name(path.name + ".part.json")

    @property
    def size_bytes(self) -> int:
        """How much there is."""
        try:
            return self.part_path.stat().st_size
        except FileNotFoundError:
            return 0

    def read_origin(self) -> Origin | None:
        """What the part is the beginning of; None where the sidecar is missing or damaged."""
        try:
            record = json.loads(self.sidecar_path.read_bytes())
            origin = Origin(**record)
        except (OSError, ValueError, TypeError):
            return None
        texts = (origin.etag, origin.last_modified)
        is_sound = isinstance(origin.url, str) and all(text is None or isinstance(text, str) for text in texts)
        is_count = origin.total_bytes is None or (isinstance(origin.total_bytes, int) and origin.total_bytes >= 0)
        return origin if is_sound and is_count else None

    def begin(self, origin: Origin) -> None:
        """Empty the part, then say what it will be the beginning of.

        Raises:
            ResourceError: the disk refuses.
        """
        with self._disk_errors(), self.part_path.open("wb") as part:
            os.fsync(part.fileno())
        self.describe(origin)

    def describe(self, origin: Origin) -> None:
        """Write the sidecar."""
        write_json_atomic(self.sidecar_path, asdict(origin))

    @contextmanager
    def appending(self) -> Iterator[BinaryIO]:
        """Open the part at its end; what is written is with the operating system at once.

        Raises:
            ResourceError: the disk refuses, here or in `write_to`.
        """
        with self._disk_errors():
            part = self.part_path.open("ab", buffering=0)
        with contextlib.closing(part):
            yield part

    def write_to(self, part: BinaryIO, chunk: bytes) -> None:
        """Append a chunk; what fits on a disk that fills up stays usable.

        Raises:
            ResourceError: the disk refuses.
        """
        rest = memoryview(chunk)
        with self._disk_errors():
            while rest:
                rest = rest[part.write(rest) :]

    def finish(self) -> None:
        """Give the whole file its name.

        Raises:
            ResourceError: the disk refuses.
        """
        with self._disk_errors():
            with self.part_path.open("rb+") as part:
                os.fsync(part.fileno())
            self.part_path.replace(self.path)
        self.forget_sidecar()

    def set_aside(self) -> Path:
        """Rename the part so that nothing uses it, and return where it is.

        Raises:
            ResourceError: the disk refuses.
        """
        with self._disk_errors():
            aside = set_aside(self.part_path, self.path)
        self.forget_sidecar()
        return aside

    def forget_sidecar(self) -> None:
        """Remove a sidecar whose part is gone; harmless where it cannot be."""
        with contextlib.suppress(OSError):
            self.sidecar_path.unlink()

    @contextmanager
    def _disk_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise as_resource_error(error, self.part_path) from error


def set_aside(wrong: Path, path: Path) -> Path:
    """Rename `wrong` to `<name of path>.rejected`, in place of an earlier one."""
    aside = path.with_name(path.name + ".rejected")
    wrong.replace(aside)
    return aside
