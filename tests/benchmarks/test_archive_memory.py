"""Memory and speed of downloading and extracting an archive of 1 GB, as 7-Zip would write it: one solid LZMA2 stream.

The stream is genuine, but packing 1.7 GB would take minutes: 24 clips of noise are packed once each, and their chunks
are laid end to end under new names, in one stream whose dictionary of 64 MiB is never reset.
"""

import hashlib
import json
import lzma
import subprocess
import sys
import zlib
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import py7zr
import pytest

ARCHIVE_BYTES = 1_000_000_000
DICTIONARY_BYTES = 64 << 20
# no context from bytes before or from positions, so that a clip's chunks mean the same wherever they stand
LZMA2 = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": DICTIONARY_BYTES, "lc": 0, "lp": 0, "pb": 0}]
DISTINCT_CLIPS, SAMPLE_RATE_HZ = 24, 44_100
MOST_MEMORY_MB = 300

# not ru_maxrss, which a child inherits from the process that started it, here more than 1 GB
CHILD = """
import json, re, sys, time
from pathlib import Path

from atrkit.datasets.archives import extract_archive, scan_archive
from atrkit.network import fetch

steps = {}

def measured(name, step):
    start = time.perf_counter()
    outcome = step()
    seconds = time.perf_counter() - start
    status = Path("/proc/self/status").read_text()
    steps[name] = {"peak_MB": int(re.search(r"VmHWM:\\s+(\\d+) kB", status)[1]) / 1024, "s": seconds}
    return outcome

url, md5, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
archive = folder / "downloaded.7z"
measured("imports", lambda: None)
measured("download", lambda: fetch(url, archive, what="the archive", md5=md5))
listing = measured("scan", lambda: scan_archive(archive))
measured("extract", lambda: extract_archive(archive, folder / "development", listing))
print(json.dumps({"steps": steps, "unpacked_bytes": listing.total_bytes}))
"""

pytestmark = pytest.mark.bench


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> Path:
    return write_archive(tmp_path_factory.mktemp("published") / "clotho_audio_development.7z")


@pytest.fixture
def url(archive):
    handler = partial(QuietHandler, directory=str(archive.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/{archive.name}"
        server.shutdown()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *words: object) -> None:
        pass


def test_memory_of_downloading_and_extracting_one_gigabyte(archive, url, tmp_path, show_table, keep_figures):
    with archive.open("rb") as file:
        md5 = hashlib.file_digest(file, "md5").hexdigest()
    figures = run_child(url, md5, tmp_path)
    files = list((tmp_path / "development").iterdir())
    assert sum(path.stat().st_size for path in files) == figures["unpacked_bytes"]

    steps, packed_bytes = figures["steps"], archive.stat().st_size
    moved_bytes = {"download": packed_bytes, "extract": figures["unpacked_bytes"]}
    show_table(
        f"{packed_bytes / 1e6:,.0f} MB to {figures['unpacked_bytes'] / 1e6:,.0f} MB in {len(files)} files",
        ["step", f"peak MB, < {MOST_MEMORY_MB}", "s", "MB/s"],
        [
            [name, f"{step['peak_MB']:.0f}", f"{step['s']:.2f}", rate_of(moved_bytes.get(name), step["s"])]
            for name, step in steps.items()
        ],
    )
    keep_figures("archive_memory", {**figures, "archive_bytes": packed_bytes, "files": len(files)})
    assert max(step["peak_MB"] for step in steps.values()) < MOST_MEMORY_MB


def rate_of(moved_bytes: int | None, seconds: float) -> str:
    return "" if moved_bytes is None else f"{moved_bytes / 1e6 / seconds:,.0f}"


def run_child(*words: object) -> dict[str, Any]:
    command = [sys.executable, "-c", CHILD, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class EndToEnd:
    """A compressor for py7zr that packs each clip once and from then on repeats its chunks."""

    def __init__(self) -> None:
        self.digest = self.packsize = 0
        self._sizes = 0
        self._known: dict[int, bytes] = {}

    def compress(self, file, archive, crc=0):
        data = file.read()
        crc = zlib.crc32(data)
        chunks = self._known.get(crc)
        if chunks is None:
            chunks = self._known[crc] = lzma.compress(data, lzma.FORMAT_RAW, filters=LZMA2)[:-1]  # without its end mark
        if self._sizes:
            # a chunk that begins a stream resets the dictionary (0x01, 0xE0 and above); one within does not
            first = 0x02 if chunks[0] == 0x01 else chunks[0] & ~0x20
            chunks = bytes([first]) + chunks[1:]
        self._write(archive, chunks)
        self._sizes += len(data)
        return len(data), len(chunks), crc

    def flush(self, archive):
        self._write(archive, b"\0")
        return 1

    @property
    def unpacksizes(self):
        return [self._sizes]

    def _write(self, archive, data):
        archive.write(data)
        self.packsize += len(data)
        self.digest = zlib.crc32(data, self.digest)


def write_archive(path: Path) -> Path:
    clips = [noise(seed) for seed in range(DISTINCT_CLIPS)]
    with py7zr.SevenZipFile(path, "w", filters=LZMA2) as archive:
        archive.header.initialize().compressor = compressor = EndToEnd()
        for number in count():
            if compressor.packsize >= ARCHIVE_BYTES:
                break
            archive.writestr(clips[number % DISTINCT_CLIPS], f"development/clip {number}.wav")
    return path


def noise(seed: int) -> bytes:
    """15 to 30 seconds of brown noise with a hiss: packs to about 60 %, as field recordings do."""
    random = np.random.default_rng(seed)
    samples = int(random.integers(15, 30) * SAMPLE_RATE_HZ)
    slow = np.cumsum(random.standard_normal(samples))
    slow *= 9000 / np.abs(slow).max()
    return (slow + 20 * random.standard_normal(samples)).astype("<i2").tobytes()
