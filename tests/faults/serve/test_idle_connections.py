"""Clients that open connections and ask nothing, or never to the end."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from atrkit.serve import connections
from atrkit.workflows import serve
from atrkit.workflows.serve import ServeOptions
from tests.serve.world import Served, serving

TOKEN = "a-token-of-24-characters"
UPLOAD = b"POST /api/search-by-sound HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n"


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """A server of four connections that is not as patient as usual."""
    monkeypatch.setattr(connections, "LONGEST_WAIT_S", 0.2)
    monkeypatch.setattr(serve, "_MOST_CONNECTIONS", 5)
    with serving(tmp_path, ServeOptions(port=0, token=TOKEN)) as server:
        yield server


def connect(served: Served, sent: bytes = b"") -> socket.socket:
    connection = socket.create_connection((served.host, served.port), timeout=10)
    connection.sendall(sent)
    return connection


def read_to_end(connection: socket.socket) -> bytes:
    """What comes until the server ends the connection."""
    received = b""
    while chunk := connection.recv(65536):
        received += chunk
    return received


def test_connections_without_a_request_shut_others_out_for_a_moment_only(served, monkeypatch):
    monkeypatch.setattr(connections, "LONGEST_WAIT_S", 1.0)  # to see the moment
    half = b"GET / HTTP/1.1\r\nHost: localhost\r\n"
    with ExitStack() as stack:
        idle = [stack.enter_context(connect(served, sent)) for sent in (b"", b"", b"G", half)]
        crowded = served.ask("/api/about", authorization=f"Bearer {TOKEN}")
        assert (crowded.status, crowded.headers["x-content-type-options"]) == (503, "nosniff")
        assert [read_to_end(connection) for connection in idle] == [b""] * 4
        assert served.ask("/api/about", authorization=f"Bearer {TOKEN}").status == 200


@pytest.mark.parametrize(
    ("head", "status"),
    [(b"", None), (b"GET /api/about HTTP/1.1\r\nHost: localhost\r\n\r\n", 401), (UPLOAD % 100_000 + b"\r\n", 401)],
    ids=["first request", "second request", "body of a refused request"],
)
def test_who_sends_byte_by_byte_gets_no_more_time(served, head, status):
    with connect(served, head) as connection:
        if status is not None:
            assert connection.recv(65536).startswith(b"HTTP/1.1 %d " % status)
        connection.settimeout(0.02)
        ends_s = time.monotonic() + 10
        is_open = True
        while is_open and time.monotonic() < ends_s:
            try:
                connection.sendall(b"x")
                is_open = connection.recv(65536) != b""
            except TimeoutError:
                continue  # nothing came, and it is open
            except OSError:
                is_open = False
        assert not is_open


def test_an_upload_may_take_longer_than_a_head(served):
    body = (served.sounds / "bell.ogg").read_bytes()
    head = UPLOAD % len(body) + f"Authorization: Bearer {TOKEN}\r\nConnection: close\r\n\r\n".encode()
    with connect(served, head + body[:100]) as upload, connect(served) as idle:
        assert read_to_end(idle) == b""  # so long did it take
        upload.sendall(body[100:])
        assert read_to_end(upload).startswith(b"HTTP/1.1 200 ")
