"""Whether a file is the published one."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

_READ_BYTES = 1 << 20
_HTML_STARTS = (b"<!doctype html", b"<html", b"<head")


@dataclass(frozen=True)
class Proof:
    """What is known of the published file; without any of it every file is taken.

    Args:
        md5: hex digest.
        sha256: hex digest.
        size_bytes: exact length.
    """

    md5: str | None = None
    sha256: str | None = None
    size_bytes: int | None = None

    @property
    def has_checksum(self) -> bool:
        """Whether the content can be proven."""
        return bool(self.md5 or self.sha256)

    def difference(self, path: Path) -> str | None:
        """How a file differs from the published one, expected and found; None: not at all.

        The file is read once, in chunks of 1 MiB.

        Args:
            path: of the file.

        Raises:
            OSError: it cannot be read.
        """
        size_bytes = path.stat().st_size
        if self.size_bytes is not None and size_bytes != self.size_bytes:
            return f"{self.size_bytes:,} bytes expected, {size_bytes:,} found{_html_remark(path)}"
        stated = {name: value.lower() for name, value in (("md5", self.md5), ("sha256", self.sha256)) if value}
        for name, found in _digests(path, tuple(stated)).items():
            if found != stated[name]:
                return f"{name} {stated[name]} expected, {found} found{_html_remark(path)}"
        return None


def _digests(path: Path, names: tuple[str, ...]) -> dict[str, str]:
    if not names:
        return {}
    hashes = {name: hashlib.new(name, usedforsecurity=False) for name in names}
    with path.open("rb") as file:
        while block := file.read(_READ_BYTES):
            for digest in hashes.values():
                digest.update(block)
    return {name: digest.hexdigest() for name, digest in hashes.items()}


def _html_remark(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(512).lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return "; it is a web page (HTML), perhaps of a login or an error" if start.startswith(_HTML_STARTS) else ""
