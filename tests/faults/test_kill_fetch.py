"""FAULTS.md row 4: a download of 60 MB is killed at 25 random instants; what is on disk is not fetched again."""

import contextlib
import json
import os
import random
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

import atrkit
from atrkit.files import sha256_of_file
from atrkit.network import TransferSettings

KILLS = 25
SIZE_BYTES = 60_000_000
BYTES_PER_S = 8_000_000  # 7.5 s in all, so that kills between 0.02 and 0.25 s after the first byte fall inside
IN_SOCKETS_BYTES = 1 << 15  # two of the server's writes, on average
CHUNK_BYTES = TransferSettings().chunk_bytes

FETCH = """
import sys
from pathlib import Path
from atrkit.network import fetch

url, path, sha256 = sys.argv[1:]
waits = ["ready"]

def report(done_bytes, total_bytes):
    if waits:
        print(waits.pop(), flush=True)

fetch(url, Path(path), what="the recordings", sha256=sha256, on_progress=report)
"""


@pytest.fixture
def start(tmp_path):
    children = []

    def start_child(url, path, sha256):
        environment = os.environ | {"PYTHONPATH": str(Path(atrkit.__file__).parents[1])}
        command = [sys.executable, "-c", FETCH, url, str(path), sha256]
        children.append(subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, text=True))
        return children[-1]

    yield start_child
    for child in children:
        child.kill()
        child.communicate()


@pytest.mark.faults
def test_no_byte_on_disk_is_fetched_again(server, start, tmp_path):
    content = server.noise(SIZE_BYTES)
    sha256 = content.sha256()
    url = server.publish("/a.7z", content, bytes_per_s=BYTES_PER_S)
    path, part = tmp_path / "a.7z", tmp_path / "a.7z.part"
    instants, kept_bytes = random.Random(4), [0]
    for _ in range(KILLS):
        child = start(url, path, sha256)
        child.stdout.readline()  # it is about to receive
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(instants.uniform(0, 0.25))
        child.kill()
        child.wait()
        assert not path.exists()
        assert json.loads((tmp_path / "a.7z.part.json").read_text())["total_bytes"] == SIZE_BYTES
        kept_bytes.append(part.stat().st_size)
    child = start(url, path, sha256)
    assert child.wait(timeout=60) == 0
    assert sha256_of_file(path) == sha256
    assert sorted(found.name for found in tmp_path.iterdir()) == [".a.7z.lock", "a.7z"]

    starts = [request.range_start for request in server.requests]
    assert starts == kept_bytes  # each call asks from the first byte that is not on disk: none on disk comes twice
    lost_bytes = [
        request.range_start + request.sent_bytes - following
        for request, following in zip(server.requests, [*starts[1:], SIZE_BYTES], strict=True)
    ]
    # what left the server and never reached the disk: the chunk being read, and what the sockets held
    assert sum(lost_bytes) <= KILLS * (CHUNK_BYTES + IN_SOCKETS_BYTES)
    received = [later - earlier for earlier, later in pairwise(kept_bytes)]
    print(
        f"\n{KILLS} kills in a download of {SIZE_BYTES:,} bytes: the sha256 is right; between two kills "
        f"{min(received):,} to {max(received):,} bytes arrived; bytes on disk that were asked for again: 0; "
        f"sent, but not on disk when killed: {sum(lost_bytes) // KILLS:,} a kill, at most {max(lost_bytes):,} "
        f"(a chunk is {CHUNK_BYTES:,}; the rest lay in sockets)"
    )
