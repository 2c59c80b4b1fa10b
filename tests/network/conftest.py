"""A download that notes what it says and never waits."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from atrkit.network import Fetched, TransferSettings, fetch

CONTENT = bytes(range(256)) * 2000  # 512,000 bytes
CHUNK_BYTES = 1 << 12
IMPATIENT = TransferSettings(read_timeout_s=0.1, chunk_bytes=CHUNK_BYTES, jitter=lambda: 1.0)


@dataclass
class Download:
    """`download(url, ...)` fetches to `path` and notes remarks, waits and progress."""

    path: Path
    remarks: list[str] = field(default_factory=list)
    slept_s: list[float] = field(default_factory=list)
    progress: list[tuple[int, int | None]] = field(default_factory=list)

    content = CONTENT
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    md5 = hashlib.md5(CONTENT).hexdigest()
    chunk_bytes = CHUNK_BYTES
    settings = IMPATIENT

    @property
    def part(self) -> Path:
        return self.path.with_name(self.path.name + ".part")

    @property
    def sidecar(self) -> Path:
        return self.path.with_name(self.path.name + ".part.json")

    @property
    def rejected(self) -> Path:
        return self.path.with_name(self.path.name + ".rejected")

    def files(self) -> dict[str, bytes]:
        """What lies beside the file and in it, but for the lock."""
        return {path.name: path.read_bytes() for path in self.path.parent.iterdir() if path.suffix != ".lock"}

    def __call__(self, url: str, **options: Any) -> Fetched:
        options = {"what": "the recordings", "settings": IMPATIENT, "sleep": self.slept_s.append} | options
        return fetch(
            url,
            self.path,
            on_remark=self.remarks.append,
            on_progress=lambda done, total: self.progress.append((done, total)),
            **options,
        )


@pytest.fixture
def download(tmp_path: Path) -> Download:
    return Download(tmp_path / "data" / "a.7z")
