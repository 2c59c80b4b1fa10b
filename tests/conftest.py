"""A local HTTP server that misbehaves as it is told: what tests of downloads talk to."""

import hashlib
import http.server
import itertools
import os
import random
import select
import signal
import socket
import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

PIECE_BYTES = 1 << 14


def pytest_configure() -> None:
    """No terminal of the machine shows in a test: what it is started from must not decide what the tests see.

    Ctrl-C is heeded also where a shell started pytest in the background and ignores it: children would inherit that.
    `COLUMNS` is not there unless a test sets it: readline, which pytest imports, sets it for xdist's workers.
    """
    os.environ.pop("COLUMNS", None)
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def make_server(monkeypatch) -> Iterator[Callable[[], "MisbehavingServer"]]:
    """Start further servers like `server`: `other = make_server()`."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    servers: list[MisbehavingServer] = []

    def make() -> MisbehavingServer:
        servers.append(MisbehavingServer())
        return servers[-1]

    yield make
    for each in servers:
        each.stop()


@pytest.fixture
def server(make_server) -> "MisbehavingServer":
    """A real HTTP server on 127.0.0.1, which serves what is published, and fails as it is told.

    Files: `server.publish(path, data, ...)` gives the URL; `data` is bytes, a Path, or a `Content`, which
    `server.noise(size)` makes in any size without holding it. Ranges and If-Range are honoured, a strong ETag is sent;
    `etag=None`, `last_modified="..."`, `bytes_per_s=...` change that. Publishing a path again replaces the file.

    Faults: `faults=[...]`, one for each request of that path in turn, then good answers; `server.always(fault)` never
    ends. They combine with `|`, for example `server.ignore_range() | server.cut(5000)`:

        server.ok()                          a good answer
        server.cut(after_bytes, reset=False) the connection ends after so many bytes of the body (reset: with an RST)
        server.stall(after_bytes)            silence after so many bytes, until the client hangs up or the test ends
        server.mute()                        silence before any answer
        server.hang_up()                     the connection ends before any answer
        server.status(code, retry_after=None)  an error of that status
        server.ignore_range()                200 and the whole file, whatever was asked
        server.ignore_if_range()             206 even if the file is another one by now
        server.headers(Content_Range="bytes 0-9/10", ETag=None)  these in place of the true ones (None: left out)
        server.changed(data, etag)           another version of the file from this request on
        server.extra(data)                   more bytes after the file's, counted in Content-Length only
        server.chunked()                     no Content-Length; chunks, as a server does that makes the file as it goes
        server.unframed()                    no Content-Length and no chunks: the end of the connection is the end
        server.page(html)                    a web page with status 200
        server.redirect(location, code=302)  elsewhere

    What happened: `server.requests` lists every request (`path`, `headers`, `range_start`, `status`, `sent_bytes`);
    `server.requests_of(path)` those of one path.

    Through the command line: set `ATRKIT_MIRROR` to `server.url` and publish files under the paths of their official
    URLs. Retries wait: to try such faults without waiting, set `atrkit.network.transfer.DEFAULT_SETTINGS` to
    `TransferSettings(first_delay_s=0, longest_retry_after_s=0, read_timeout_s=0.2)` with monkeypatch.
    """
    return make_server()


@dataclass(frozen=True)
class Content:
    """A file of any size: `read(start, count)` gives its bytes."""

    size: int
    read: Callable[[int, int], bytes]

    def sha256(self) -> str:
        digest = hashlib.sha256()
        for start in range(0, self.size, 1 << 20):
            digest.update(self.read(start, 1 << 20))
        return digest.hexdigest()


@dataclass(frozen=True)
class Fault:
    """How one answer differs from a good one."""

    status: int | None = None
    headers: dict[str, str | None] = field(default_factory=dict)
    ends_after_bytes: int | None = None
    ending: str = ""
    ranges: bool = True
    checks_if_range: bool = True
    framing: str = "length"
    body: bytes | None = None
    extra: bytes = b""
    change: tuple[Content, str | None] | None = None

    def __or__(self, other: "Fault") -> "Fault":
        changes = {name: value for name, value in vars(other).items() if value != getattr(Fault(), name)}
        return replace(self, **changes | {"headers": self.headers | other.headers})


@dataclass
class Request:
    """One request, and what became of it."""

    path: str
    headers: dict[str, str]
    range_start: int
    status: int = 0
    sent_bytes: int = 0


@dataclass
class Published:
    """A file and the faults that wait for its next requests."""

    content: Content
    etag: str | None
    last_modified: str | None
    content_type: str
    bytes_per_s: float | None
    faults: Iterator[Fault]


class MisbehavingServer(http.server.ThreadingHTTPServer):
    """See the fixture `server`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.requests: list[Request] = []
        self.files: dict[str, Published] = {}
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def stop(self) -> None:
        self.stopping.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, request, client_address) -> None:
        """Clients hang up; that is what these tests are about."""

    def publish(
        self,
        path: str,
        data: "bytes | Path | Content",
        *,
        etag: str | None = "from the content",
        last_modified: str | None = None,
        content_type: str = "application/octet-stream",
        bytes_per_s: float | None = None,
        faults: Iterable[Fault] = (),
    ) -> str:
        content = as_content(data)
        if etag == "from the content":
            etag = f'"{content.size}-{content.sha256()[:16]}"'
        self.files[path] = Published(content, etag, last_modified, content_type, bytes_per_s, iter(faults))
        return self.url + path

    def requests_of(self, path: str) -> list[Request]:
        return [request for request in self.requests if request.path == path]

    @staticmethod
    def noise(size: int, seed: int = 0) -> Content:
        """Random bytes that repeat with a prime period, so that no misplaced chunk goes unseen."""
        block = random.Random(seed).randbytes(1_000_003)

        def read(start: int, count: int) -> bytes:
            count, offset = max(min(count, size - start), 0), start % len(block)
            return (block[offset:] + block * (count // len(block) + 1))[:count]

        return Content(size, read)

    always = staticmethod(itertools.repeat)
    ok = staticmethod(Fault)

    @staticmethod
    def cut(after_bytes: int, *, reset: bool = False) -> Fault:
        return Fault(ends_after_bytes=after_bytes, ending="reset" if reset else "cut")

    @staticmethod
    def stall(after_bytes: int = 0) -> Fault:
        return Fault(ends_after_bytes=after_bytes, ending="stall")

    @staticmethod
    def mute() -> Fault:
        return Fault(ending="mute")

    @staticmethod
    def hang_up() -> Fault:
        return Fault(ending="hang up")

    @staticmethod
    def status(code: int, *, retry_after: str | None = None) -> Fault:
        return Fault(status=code, body=b"no", headers={"Retry-After": retry_after, "ETag": None})

    @staticmethod
    def ignore_range() -> Fault:
        return Fault(ranges=False)

    @staticmethod
    def ignore_if_range() -> Fault:
        return Fault(checks_if_range=False)

    @staticmethod
    def headers(**values: str | None) -> Fault:
        return Fault(headers={name.replace("_", "-"): value for name, value in values.items()})

    @staticmethod
    def changed(data: "bytes | Path | Content", etag: str | None) -> Fault:
        return Fault(change=(as_content(data), etag))

    @staticmethod
    def extra(data: bytes) -> Fault:
        return Fault(extra=data)

    @staticmethod
    def chunked() -> Fault:
        return Fault(framing="chunked")

    @staticmethod
    def unframed() -> Fault:
        return Fault(framing="unframed")

    @staticmethod
    def page(html: bytes = b"<!DOCTYPE html><html><body>Please log in</body></html>") -> Fault:
        return Fault(status=200, body=html, headers={"Content-Type": "text/html; charset=utf-8", "ETag": None})

    @staticmethod
    def redirect(location: str, code: int = 302) -> Fault:
        return Fault(status=code, body=b"", headers={"Location": location, "ETag": None})


def as_content(data: "bytes | Path | Content") -> Content:
    if isinstance(data, Content):
        return data
    if isinstance(data, bytes):
        return Content(len(data), lambda start, count: data[start : start + count])

    def read(start: int, count: int) -> bytes:
        with data.open("rb") as file:
            file.seek(start)
            return file.read(count)

    return Content(data.stat().st_size, read)


class _Handler(http.server.BaseHTTPRequestHandler):
    server: MisbehavingServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.close_connection = True
        asked = self.headers.get("Range", "")
        request = Request(self.path, dict(self.headers), int(asked.removeprefix("bytes=").removesuffix("-") or 0))
        with self.server.lock:
            self.server.requests.append(request)
            path = self.path.partition("?")[0]
            file = self.server.files.get(path)
            fault = next(file.faults, Fault()) if file else Fault(status=404, body=b"no such file")
            if file and fault.change:
                file.content, file.etag = fault.change
        if fault.ending == "mute":
            self.wait_for_the_client()
        elif fault.ending != "hang up":
            self.answer(request, file, fault)

    def answer(self, request: Request, file: Published | None, fault: Fault) -> None:
        content, headers = self.choose(request, file, fault)
        start = request.range_start if request.status == 206 else 0
        length = content.size - start + len(fault.extra)
        if request.status == 206:
            headers["Content-Range"] = f"bytes {start}-{content.size - 1}/{content.size}"
        if fault.framing == "length":
            headers["Content-Length"] = str(length)
        elif fault.framing == "chunked":
            headers["Transfer-Encoding"] = "chunked"
        self.send_response(request.status)
        for name, value in (headers | fault.headers | {"Connection": "close"}).items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()
        self.send_body(request, content, start, fault, file.bytes_per_s if file else None)

    def choose(self, request: Request, file: Published | None, fault: Fault) -> tuple[Content, dict[str, str | None]]:
        if file is None or fault.body is not None:
            request.status = fault.status or 200
            return as_content(fault.body or b""), {}
        headers = {"ETag": file.etag, "Last-Modified": file.last_modified, "Content-Type": file.content_type}
        condition = request.headers.get("If-Range")
        is_same = not fault.checks_if_range or condition in (None, file.etag, file.last_modified)
        if "Range" not in request.headers or not fault.ranges or not is_same:
            request.status = 200
        elif request.range_start >= file.content.size:
            request.status = 416
            return as_content(b""), headers | {"Content-Range": f"bytes */{file.content.size}"}
        else:
            request.status = 206
        return file.content, headers

    def send_body(
        self, request: Request, content: Content, start: int, fault: Fault, bytes_per_s: float | None
    ) -> None:
        size = content.size - start + len(fault.extra)
        end = size if fault.ends_after_bytes is None else min(fault.ends_after_bytes, size)
        while request.sent_bytes < end and not self.server.stopping.is_set():
            count = min(PIECE_BYTES, end - request.sent_bytes)
            piece = content.read(start + request.sent_bytes, count)
            piece = piece or fault.extra[request.sent_bytes - size :][:count]
            framed = b"%x\r\n%b\r\n" % (len(piece), piece) if fault.framing == "chunked" else piece
            self.wfile.write(framed)
            request.sent_bytes += len(piece)
            if bytes_per_s:
                self.server.stopping.wait(len(piece) / bytes_per_s)
        if fault.ending == "stall":
            self.wait_for_the_client()
        elif fault.ending == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        elif fault.framing == "chunked" and not fault.ending:
            self.wfile.write(b"0\r\n\r\n")

    def wait_for_the_client(self) -> None:
        """Silence until the client hangs up or the test is over."""
        while not self.server.stopping.is_set():
            if select.select([self.connection], [], [], 0.02)[0]:
                return

    def log_message(self, *args) -> None:
        """Requests are listed in `server.requests`."""
