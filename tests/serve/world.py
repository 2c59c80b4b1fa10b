"""A folder of sounds of four kinds, their index, and a model that knows the four words: no training, no weights."""

import hashlib
import http.client
import io
import json
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile

from atrkit.search.index_files import IndexedFile, file_id, write_index
from atrkit.search.segments import save_segment
from atrkit.serve.application import build_application
from atrkit.workflows import query_model
from atrkit.workflows.live_search import LiveSearch
from atrkit.workflows.query_model import QueryModel
from atrkit.workflows.serve import ServeOptions, make_server, open_socket, rules_for
from atrkit.workflows.session import Session
from atrkit.workflows.workspace import Workspace

RATE_HZ = 16000
KINDS = {"rain": None, "dog": 300.0, "bell": 880.0, "whistle": 2500.0}
HOSTILE_NAME = "<img src=x onerror=alert(1)>.wav"
HOSTILE_CAPTION = "<script>alert('caption')</script> a dog"
# path, kind of each ten seconds, seconds, captions
SOUNDS: tuple[tuple[str, tuple[str, ...], float, tuple[str, ...]], ...] = (
    ("rain.wav", ("rain",), 6.0, ("Rain falls on a tin roof", "It rains")),
    ("dog.mp3", ("dog",), 4.0, ("A dog barks far away",)),
    ("bell.ogg", ("bell",), 5.0, ("A bell rings once",)),
    ("whistle.aiff", ("whistle",), 3.0, ()),
    ("field/a long walk.flac", ("rain", "bell", "dog"), 30.0, ()),
    (HOSTILE_NAME, ("dog", "whistle"), 12.0, (HOSTILE_CAPTION,)),
)


def wave_of(kind: str, seconds: float, rate_hz: int = RATE_HZ) -> np.ndarray:
    generator = np.random.default_rng(len(kind))
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    frequency = KINDS[kind]
    wave = generator.standard_normal(len(time_s)) if frequency is None else np.sin(2 * np.pi * frequency * time_s)
    return 0.2 * wave * (0.35 + 0.65 * np.abs(np.sin(1.7 * time_s)))


def kind_of(wave: np.ndarray) -> str:
    spectrum = np.abs(np.fft.rfft(wave[:RATE_HZ])) ** 2
    peak = int(spectrum.argmax())
    if spectrum[max(0, peak - 20) : peak + 20].sum() < 0.5 * spectrum.sum():
        return "rain"
    frequency = peak * RATE_HZ / min(len(wave), RATE_HZ)
    return min((kind for kind in KINDS if KINDS[kind]), key=lambda kind: abs(KINDS[kind] - frequency))


def vector_of(kinds: Sequence[str]) -> np.ndarray:
    """A direction for each kind, all a little alike."""
    vector = np.full(len(KINDS) + 1, 0.1, np.float32)
    for kind in kinds:
        vector[list(KINDS).index(kind)] += 1
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def make_sounds(folder: Path) -> None:
    for path, data in _encoded_sounds().items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)


@cache
def _encoded_sounds() -> dict[str, bytes]:
    encoded = {}
    for path, kinds, seconds, _ in SOUNDS:
        rate_hz = 44100 if path.endswith(".aiff") else RATE_HZ
        wave = np.concatenate([wave_of(kind, seconds / len(kinds), rate_hz) for kind in kinds])
        samples = np.stack([wave, wave / 2], axis=1) if path.endswith(".aiff") else wave
        subtype = {".aiff": "PCM_24", ".wav": "PCM_16"}.get(Path(path).suffix)
        buffer = io.BytesIO()
        soundfile.write(buffer, samples, rate_hz, subtype=subtype, format=Path(path).suffix[1:].upper())
        encoded[path] = buffer.getvalue()
    return encoded


def make_index(
    workspace: Path, folder: Path, paths: Sequence[str] | None = None, sounds: Sequence[Any] = SOUNDS
) -> None:
    """The index `toy` of those files as `atrkit index` would write it; None: of all."""
    index = workspace / "index" / "toy"
    files, hashes, counts, vectors = [], [], [], []
    for path, kinds, _, captions in (sound for sound in sounds if paths is None or sound[0] in paths):
        facts, info = (folder / path).stat(), soundfile.info(folder / path)
        sha256 = hashlib.sha256((folder / path).read_bytes()).hexdigest()
        first = sum(counts)
        if sha256 in hashes:  # files with the same bytes share their vectors
            first = sum(counts[: hashes.index(sha256)])
        else:
            hashes.append(sha256)
            counts.append(len(kinds))
            vectors += [vector_of([kind]) for kind in kinds]
        about = (str(folder), facts.st_size, facts.st_mtime_ns, sha256, info.samplerate, info.duration, captions)
        files.append(IndexedFile(file_id(path, 0), path, *about, 1, first, len(kinds)))
    segment = save_segment(index, 1, hashes, np.array(vectors), counts, {"encoder": "none"})
    about = {
        "source": {"folders": [str(folder)]},
        "model": {"run": "toy", "identity": {}},
        "window_s": 10.0,
        "dim": len(KINDS) + 1,
        "segments": [vars(segment)],
        "counts": {"files": len(files), "windows": sum(counts)},
        "faiss": None,
    }
    write_index(index, about, sorted(files, key=lambda file: file.path))


def toy_model(session: Session, about: Any = None) -> QueryModel:
    def embed(texts: Sequence[str]) -> np.ndarray:
        for text in texts:
            if "zeppelin" in text:
                session.say("1 words that the model does not know: 'zeppelin'")
        return np.stack([vector_of([kind for kind in KINDS if kind in text.lower()]) for text in texts])

    def encode(waves: Sequence[np.ndarray]) -> Any:
        return SimpleNamespace(frames=[vector_of([kind_of(wave)])[None] for wave in waves])

    return QueryModel({"run": "toy"}, {}, RATE_HZ, lambda: embed, lambda: SimpleNamespace(encode=encode))


@dataclass
class Served:
    """A server in a thread of this process."""

    host: str
    port: int
    workspace: Path
    sounds: Path
    said: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def id_of(self, path: str) -> str:
        return file_id(path, 0)

    def ask(self, path: str, method: str = "GET", body: bytes | None = None, **headers: str) -> "Answer":
        """One request on a connection of its own; `if_range` is the header If-Range."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=10)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, named)
            answer = connection.getresponse()
            return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def raw(self, sent: bytes, *, breaks_off: bool = False) -> bytes:
        """Everything that comes back for these bytes, until the server ends the connection."""
        with socket.create_connection((self.host, self.port), timeout=10) as connection:
            connection.sendall(sent)
            if breaks_off:
                connection.shutdown(socket.SHUT_WR)
            received = b""
            while chunk := connection.recv(65536):
                received += chunk
            return received


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def _no_progress(*_: Any, **__: Any) -> AbstractContextManager[Callable[..., None]]:
    return nullcontext(lambda *_, **__: None)


@contextmanager
def serving(root: Path, options: ServeOptions | None = None) -> Iterator[Served]:
    """Serve the toy index below `root`, on a port that is free."""
    pytest.importorskip("fastapi", reason="pip install 'atrkit[search]'")
    options = options or ServeOptions(port=0)
    if not (root / "sounds").is_dir():
        make_sounds(root / "sounds")
        make_index(root / "workspace", root / "sounds")
    said: list[str] = []
    session = Session(Workspace(root / "workspace"), said.append, _no_progress)
    with pytest.MonkeyPatch.context() as patch, open_socket(options.host, options.port) as listening:
        patch.setattr(query_model, "open_query_model", toy_model)
        searches = LiveSearch(session, options.index)
        server = make_server(build_application(searches, rules_for(options), session.say))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        try:
            yield Served(options.host, listening.getsockname()[1], root / "workspace", root / "sounds", said)
        finally:
            server.should_exit = True
            thread.join(10)
            assert not thread.is_alive()
