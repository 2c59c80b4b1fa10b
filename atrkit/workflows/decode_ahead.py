"""Audio on its way to the model, as far ahead as there is room for it: here by threads of this process.

Hashing, decoding and resampling let go of Python's lock for most of their time. Threads are therefore enough where the
model needs longer than they do, which it does on a CPU; a GPU is fed by processes (decode_processes.py).
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from math import ceil
from typing import Any

import numpy as np
import numpy.typing as npt

from atrkit.audio.read import UnusableAudioError, load_mono
from atrkit.datasets.manifest import AudioFile, Dataset, command_that_makes
from atrkit.errors import IntegrityError
from atrkit.files import sha256_of_file
from atrkit.workflows.room import Room

Float32Array = npt.NDArray[np.float32]

UNREADABLE = "cannot be read"
CHUNK_S = 30.0  # of audio per task: what it costs to hand over a task is then a hundredth of the work


def refuse_changed_audio(dataset: Dataset, file: AudioFile) -> None:
    """Raise when a file of a clip is not the one the dataset was made from.

    Raises:
        UnusableAudioError: the file is gone.
        IntegrityError: its bytes changed; says how to take the new audio in.
    """
    path = dataset.audio_path(file)
    try:
        digest = sha256_of_file(path)
    except OSError as error:
        raise UnusableAudioError(f"{UNREADABLE}: {error.strerror}") from error
    if digest != file.sha256:
        raise IntegrityError(
            f"{path} changed since dataset {dataset.name!r} was made: take the new audio in "
            f"({command_that_makes(dataset.name, dataset.about)}), then extract with --overwrite"
        )


def samples_of(file: AudioFile, sample_rate_hz: int) -> int:
    """How many samples a file has at a rate; soxr rounds, and may give one less."""
    return ceil(file.frames * sample_rate_hz / file.sample_rate_hz)


@dataclass(frozen=True)
class Chunk:
    """A few files for one process or thread.

    Args:
        files: to decode.
        rooms: how many samples each may have; they lie one after the other.
        start: of the first one's room.
    """

    files: tuple[AudioFile, ...]
    rooms: tuple[int, ...]
    start: int


@dataclass(frozen=True)
class Decoded:
    """What came of files.

    Args:
        waves: for each its samples, valid until its room is released, or why there are none.
        seconds: what it took.
    """

    waves: list[Float32Array | UnusableAudioError]
    seconds: float


class Decoding:
    """Files that are being decoded, to be encoded together.

    Args:
        chunks: each with what will come of it.
        result_of: waits for that.
        start: of their room.
    """

    def __init__(
        self,
        chunks: Sequence[tuple[Chunk, Future[Any]]],
        result_of: Callable[[Chunk, Future[Any]], Decoded],
        start: int,
    ) -> None:
        self.start = start
        self._chunks = chunks
        self._result_of = result_of

    @property
    def is_done(self) -> bool:
        """Whether `result` returns at once."""
        return all(future.done() for _, future in self._chunks)

    def result(self) -> Decoded:
        """What came of all files.

        Raises:
            IntegrityError: a file changed since the dataset was made.
            ResourceError: a process was killed.
        """
        results = [self._result_of(chunk, future) for chunk, future in self._chunks]
        return Decoded([wave for each in results for wave in each.waves], sum(each.seconds for each in results))


class Decoders(ABC):
    """Decodes files ahead of the model, as far as there is room.

    Args:
        dataset: whose files they are.
        sample_rate_hz: wanted.
        ahead_samples: at most so many samples are decoded, or being decoded, and not released yet.
        on_done: called, in some thread, whenever something is decoded.
    """

    def __init__(self, dataset: Dataset, sample_rate_hz: int, ahead_samples: int, on_done: Callable[[], None]) -> None:
        self.dataset = replace(dataset, clips=(), problems=())  # light enough to be sent to processes
        self.sample_rate_hz = sample_rate_hz
        self._room = Room(ahead_samples)
        self._on_done = on_done

    def begin(self, files: Sequence[AudioFile]) -> Decoding | None:
        """Begin to decode files that will be encoded together, or None while there is no room for them."""
        samples = sum(samples_of(file, self.sample_rate_hz) for file in files)
        if samples > self._room.samples:
            raise ValueError(f"{samples} samples never fit into {self._room.samples}")  # not to be waited for
        start = self._room.take(max(1, samples))
        if start is None:
            return None
        chunks = cut_into_chunks(files, self.sample_rate_hz, start)
        futures = [self._submit(chunk) for chunk in chunks]
        for future in futures:
            future.add_done_callback(lambda _: self._on_done())
        return Decoding(list(zip(chunks, futures, strict=True)), self._result_of, start)

    def release(self, decoding: Decoding) -> None:
        """Give the room of waves back that nobody reads any more."""
        self._room.give_back(decoding.start)

    @abstractmethod
    def _submit(self, chunk: Chunk) -> Future[Any]:
        """Begin to decode a chunk."""

    @abstractmethod
    def _result_of(self, chunk: Chunk, future: Future[Any]) -> Decoded:
        """Wait for what was begun."""

    @abstractmethod
    def close(self) -> None:
        """Drop what has not begun, and do not wait for the rest: a recording may be hours long."""


class DecodingThreads(Decoders):
    """Decodes in threads of this process.

    Args:
        dataset, sample_rate_hz, ahead_samples, on_done: as in `Decoders`.
        threads: how many.
    """

    def __init__(
        self, dataset: Dataset, sample_rate_hz: int, ahead_samples: int, on_done: Callable[[], None], threads: int
    ) -> None:
        super().__init__(dataset, sample_rate_hz, ahead_samples, on_done)
        self._pool = ThreadPoolExecutor(threads)

    def _submit(self, chunk: Chunk) -> Future[Any]:
        return self._pool.submit(decode, self.dataset, self.sample_rate_hz, chunk.files)

    def _result_of(self, chunk: Chunk, future: Future[Any]) -> Decoded:
        decoded: Decoded = future.result()
        return decoded

    def close(self) -> None:
        """Drop what has not begun."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def decode(dataset: Dataset, sample_rate_hz: int, files: Sequence[AudioFile]) -> Decoded:
    """Decode files one after the other, those that cannot be included with the reason."""
    start_s = time.perf_counter()
    waves: list[Float32Array | UnusableAudioError] = []
    for file in files:
        try:
            refuse_changed_audio(dataset, file)
            waves.append(load_mono(dataset.audio_path(file), sample_rate_hz))
        except UnusableAudioError as error:
            waves.append(error)
    return Decoded(waves, time.perf_counter() - start_s)


def cut_into_chunks(files: Sequence[AudioFile], sample_rate_hz: int, start: int = 0) -> list[Chunk]:
    """Tasks for processes or threads: runs of files that are `CHUNK_S` long together, or one that is longer.

    Args:
        files: to be decoded.
        sample_rate_hz: wanted.
        start: of the room for all of them.
    """
    rooms = [samples_of(file, sample_rate_hz) for file in files]
    chunks: list[Chunk] = []
    begin = 0
    for end in range(1, len(files) + 1):
        if end == len(files) or sum(rooms[begin : end + 1]) > CHUNK_S * sample_rate_hz:
            chunks.append(Chunk(tuple(files[begin:end]), tuple(rooms[begin:end]), start + sum(rooms[:begin])))
            begin = end
    return chunks
