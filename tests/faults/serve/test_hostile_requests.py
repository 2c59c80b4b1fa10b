"""Requests of somebody who wants more than the page gives, as bytes on a socket."""

import socket
import tempfile
from collections.abc import Iterator

import pytest

from atrkit.serve import application
from atrkit.serve.guard import LARGEST_UPLOAD_BYTES
from atrkit.workflows.serve import ServeOptions, open_socket
from tests.serve.world import HOSTILE_CAPTION, HOSTILE_NAME, Served, serving

SECRET = b"the-secret-beside-the-sounds"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server, with a secret in the folder of the sounds, beside it, and in the workspace."""
    root = tmp_path_factory.mktemp("hostile")
    with serving(root) as server:
        for folder in (root, server.sounds, server.workspace):
            (folder / "secret.txt").write_bytes(SECRET)
        yield server
        assert server.ask("/api/search?q=rain").status == 200  # it lives
        assert not any("bug" in line for line in server.said)


def status_of(answer: bytes) -> int:
    assert answer.startswith(b"HTTP/1.1 "), answer[:80]
    return int(answer.split(b" ", 2)[1])


def get(target: bytes, *headers: bytes, host: bytes = b"localhost") -> bytes:
    return b"\r\n".join([b"GET " + target + b" HTTP/1.1", b"Host: " + host, *headers, b"Connection: close", b"", b""])


ESCAPES = [
    b"../../secret.txt", b"..%2f..%2fsecret.txt", b"%2e%2e/%2e%2e/secret.txt", b"%2e%2e%2f%2e%2e%2fsecret.txt",
    b"..%252f..%252fsecret.txt", b"....//....//secret.txt", b"..\\..\\secret.txt", b"..%5c..%5csecret.txt",
    b"%c0%ae%c0%ae%c0%afsecret.txt", b"..%00/secret.txt", b"secret.txt", b"secret.txt%00.wav", b"rain.wav",
    b"%2fetc%2fpasswd", b"//etc/passwd", b"/etc/passwd", b"file:///etc/passwd", b"..;/..;/secret.txt",
    b"%uff0e%uff0e/secret.txt",
    b"../index/toy/index.json", b"%2e%2e%2findex%2ftoy%2findex.json", b"~/secret.txt", b"C:\\secret.txt",
]  # fmt: skip


@pytest.mark.parametrize("before", [b"/", b"/api/audio/", b"/api/peaks/", b"/audio/", b"/page/", b"/static/"])
def test_nothing_is_served_by_path(served, before):
    for escape in ESCAPES:
        for after in (b"", b"?start=0&end=1"):
            answer = served.raw(get(before + escape + after))
            assert status_of(answer) in (400, 404), (before, escape)
            assert SECRET not in answer and b"root:" not in answer and b'"segments"' not in answer
            assert str(served.sounds.parent).encode() not in answer


def test_an_id_is_not_a_path_either(served):
    whole = served.id_of("rain.wav").encode()
    for file_id in (
        whole.upper(),
        whole[:-1],
        whole + b"0",
        whole + b"/",
        b"./" + whole,
        whole + b"%20",
        whole + b"%00",
    ):
        assert status_of(served.raw(get(b"/api/audio/" + file_id))) in (400, 404), file_id
    for like in (b"../../secret.txt@0", b"/etc/passwd@0", whole + b"@../..", b"@", b"@0"):
        assert status_of(served.raw(get(b"/api/search?like=" + like))) == 400, like


@pytest.mark.parametrize(
    "host",
    [
        b"evil.example", b"evil.example:80", b"localhost.evil.example", b"127.0.0.1.evil.example",
        b"localhost@evil.example", b"evil.example@localhost", b"127.0.0.1 evil.example",
        b"[::1].evil.example", b"[evil.example]", b"2130706433",
        b"0.0.0.0", b"10.0.0.1", b"127.1", b"localhost:80:90", b"localhost:x", b"",
        b"local\xc3\xadhost", b"localhost,evil.example",
    ],
)  # fmt: skip
def test_a_name_that_points_here_is_refused(served, host):
    """A page of another name could read everything else: DNS rebinding."""
    for target in (b"/", b"/api/search?q=rain", b"/api/audio/" + served.id_of("rain.wav").encode()):
        answer = served.raw(get(target, host=host))
        assert status_of(answer) == 400
        assert b"RIFF" not in answer and b"results" not in answer


def test_own_names_are_answered(served):
    for host in (b"localhost", b"127.0.0.1", b"LocalHost:1234", b"[::1]:80"):
        assert status_of(served.raw(get(b"/api/about", host=host))) == 200


def test_no_host_and_two_hosts_are_refused(served):
    assert status_of(served.raw(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")) == 400
    assert status_of(served.raw(b"GET / HTTP/1.0\r\n\r\n")) == 400
    assert status_of(served.raw(get(b"/", b"Host: evil.example"))) == 400
    assert status_of(served.raw(get(b"/", b"Host: localhost"))) == 400
    assert status_of(served.raw(get(b"http://evil.example/", host=b"evil.example"))) == 400


def test_lengths_that_are_none_are_refused_and_nothing_is_smuggled(served):
    for length in (
        b"-1",
        b"1e3",
        b"0x10",
        b"99999999999999999999999",
        b"1000000000",
        b"%d" % (LARGEST_UPLOAD_BYTES + 1),
    ):
        request = b"POST /api/search-by-sound HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + length + b"\r\n\r\n"
        assert status_of(served.raw(request)) in (400, 413), length
    inner = get(b"/api/about")
    head = b"POST /api/search HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = served.raw(head + b"0\r\n\r\n" + inner)
    assert status_of(answer) == 400 and answer.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200), b"\r\n\r\n\r\n", b"GET\r\n\r\n",
        bytes(100_000), b"A" * 200_000,
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 200_000 + b"\r\n\r\n",
        b"GET /?q=" + b"y" * 200_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /?q=" + b"y" * 10_000 + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x85" + bytes(9),
    ],
)  # fmt: skip
def test_garbage_is_survived(served, sent):
    try:
        answer = served.raw(sent, breaks_off=True)
    except OSError:  # it ended the connection while there was more to come
        return
    assert answer == b"" or status_of(answer) in (200, 400, 414)


def test_an_address_that_is_too_long_is_refused_whatever_it_says(served):
    for target in (b"/", b"/api/about", b"/nothing"):
        assert status_of(served.raw(get(target + b"?" + b"y" * 8192))) in (200, 404)
        assert status_of(served.raw(get(target + b"?" + b"y" * 8193))) == 414


@pytest.mark.parametrize(
    "ranges", [b"bytes=" + b"0-1," * 2000, b"bytes=0-99999999999999999999999999", b"bytes=-", b"lines=1-2"]
)
def test_ranges_cost_no_more_than_the_file(served, ranges):
    answer = served.raw(get(b"/api/audio/" + served.id_of("rain.wav").encode(), b"Range: " + ranges))
    assert status_of(answer) in (200, 206) and len(answer) < 200_000


def test_text_from_outside_stays_text(served):
    answer = served.ask("/api/search?q=%3Cscript%3Ealert(1)%3C/script%3E")
    assert (
        answer.headers["content-type"] == "application/json" and answer.headers["x-content-type-options"] == "nosniff"
    )
    hit = next(hit for hit in answer.json["results"] if hit["name"] == HOSTILE_NAME)
    assert hit["caption"] == HOSTILE_CAPTION
    refused = served.ask("/api/search?q=rain&k=%3Cscript%3E")
    assert refused.headers["content-type"] == "application/json" and "<script>" not in refused.body.decode()
    missing = served.ask("/%3Cscript%3Ealert(1)%3C/script%3E")
    assert missing.status == 404 and b"script" not in missing.body


def test_an_upload_that_breaks_off_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    with serving(tmp_path) as served:
        head = b"POST /api/search-by-sound HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n"
        served.raw(head + bytes(50_000), breaks_off=True)  # half of it, and then the end
        with socket.create_connection((served.host, served.port), timeout=10) as connection:
            connection.sendall(head + bytes(50_000))
        # uploads that are still open count: all places are free again, one after the other
        body = (served.sounds / "bell.ogg").read_bytes()
        assert [served.ask("/api/search-by-sound", "POST", body).status for _ in range(6)] == [200] * 6
        assert not any("bug" in line for line in served.said)
    assert list((tmp_path / "temporary").iterdir()) == []


def test_slow_uploads_hold_their_places_for_a_while_only(tmp_path, monkeypatch):
    monkeypatch.setattr(application, "_LONGEST_UPLOAD_S", 0.3)
    with serving(tmp_path) as served:
        body = (served.sounds / "bell.ogg").read_bytes()
        head = b"POST /api/search-by-sound HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n"
        head += b"Expect: 100-continue\r\n\r\n"
        slow = [socket.create_connection((served.host, served.port), timeout=10) for _ in range(4)]
        try:
            for connection in slow:
                connection.sendall(head)
                assert connection.recv(65536).startswith(b"HTTP/1.1 100 ")  # it waits for the rest
            refused = served.ask("/api/search-by-sound", "POST", body)
            assert refused.status == 503 and refused.headers["retry-after"]
            assert [status_of(connection.recv(65536)) for connection in slow] == [408] * 4
            assert served.ask("/api/search-by-sound", "POST", body).status == 200
        finally:
            for connection in slow:
                connection.close()


def test_it_listens_to_this_computer_only():
    with open_socket(ServeOptions().host, 0) as listening:
        assert listening.getsockname()[0] == "127.0.0.1"
