"""Sounds that cannot be sent to their end: the file changes, or nobody listens any more."""

import gc
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
import soundfile

from atrkit.serve import sound_answer
from atrkit.serve.sound_files import BrokenOffError, open_playable
from tests.serve.test_sound_files import OnDisk
from tests.serve.world import RATE_HZ, Served, make_index, serving

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc, to see what is open")

LONG_S = 500.0  # 16 MB: more than the system holds for a client that does not read


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """A server of a long WAV and of a long AIFF, of which WAV is made."""
    (tmp_path / "sounds").mkdir()
    sounds = [(name, ("dog",), LONG_S, ()) for name in ("long.wav", "long.aiff")]
    for name, *_ in sounds:
        soundfile.write(tmp_path / "sounds" / name, np.zeros(round(LONG_S * RATE_HZ), np.int16), RATE_HZ)
    make_index(tmp_path / "workspace", tmp_path / "sounds", sounds=sounds)
    with serving(tmp_path) as server:
        yield server
        assert not any("bug" in line for line in server.said)


@contextmanager
def listener(served: Served, name: str) -> Iterator[socket.socket]:
    """A client that was sent the beginning of a sound, and takes little at once."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(10)
        client.connect((served.host, served.port))
        client.sendall(f"GET /api/audio/{served.id_of(name)} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert client.recv(1000).startswith(b"HTTP/1.1 200 ")
        yield client


def test_who_plays_a_file_that_is_cut_meanwhile_sees_the_end_of_the_connection(served):
    path = served.sounds / "long.wav"
    size_bytes = path.stat().st_size
    with listener(served, "long.wav") as client:
        os.truncate(path, 1000)
        received = 1000
        while chunk := client.recv(1 << 20):
            received += len(chunk)
        assert received < size_bytes
        assert served.ask("/api/search?q=dog").status == 200
    assert served.said[1:] == [f"{path} became shorter while it was played: run atrkit index again"]


def test_a_part_that_is_cut_off_is_not_taken_for_all(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(1_000_000, np.int16), RATE_HZ)
    file = OnDisk(tmp_path / "a.wav")
    chunks = open_playable(file).chunks(0, file.size_bytes)
    first = next(chunks)
    os.truncate(file.full_path, len(first))
    with pytest.raises(BrokenOffError, match="shorter"):
        list(chunks)


@pytest.mark.parametrize("name", ["long.wav", "long.aiff"])
def test_files_are_closed_when_nobody_listens_any_more(served, name):
    gc.disable()  # which would close them some time
    try:
        for _ in range(3):
            with listener(served, name):
                assert name in open_names(served)
        ends_s = time.monotonic() + 10
        while name in open_names(served) and time.monotonic() < ends_s:
            served.ask("/api/about")
        assert name not in open_names(served)
    finally:
        gc.enable()


def test_files_are_closed_where_nothing_of_them_is_sent(served, monkeypatch):
    opened = []  # holds on to them, so that nothing else closes them
    monkeypatch.setattr(sound_answer, "open_playable", lambda file: opened.append(open_playable(file)) or opened[-1])
    for name in ("long.wav", "long.aiff"):
        path = f"/api/audio/{served.id_of(name)}"
        etag = served.ask(path, "HEAD").headers["etag"]
        assert served.ask(path, range="bytes=99999999999-").status == 416
        assert served.ask(path, if_none_match=etag).status == 304
    assert len(opened) == 6 and open_names(served) == set()


def open_names(served: Served) -> set[str]:
    """Names of the sounds that this process holds open."""
    names = set()
    for each in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            target = each.readlink()
            names |= {target.name} if target.parent == served.sounds else set()
    return names
