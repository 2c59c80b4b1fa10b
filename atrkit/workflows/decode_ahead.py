"""Audio on its way to the model: decoded and resampled by other processes, or by threads of this one.

Decoding one second of audio takes about a millisecond, of which Python's lock is held for a tenth: threads are enough
where the model needs far longer than that (a CPU), and would starve a GPU, so there it is done by processes. Waves
come back through one piece of shared memory that has no name: nothing can be left of it, however the processes end,
and its size is what bounds the audio in memory.
"""

import ctypes
import multiprocessing
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from functools import partial
from math import ceil
from typing import Any

import numpy as np
import numpy.typing as npt

from atrkit.audio.read import UnusableAudioError, load_mono
from atrkit.datasets.manifest import AudioFile, Dataset, command_that_makes
from atrkit.errors import IntegrityError, ResourceError
from atrkit.files import sha256_of_file
from atrkit.processes import _follow_parent, _unless_over, interrupt_blocked
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
class _Chunk:
    """A few files for one process or thread.

    Args:
        files: to decode.
        starts: where the samples of each go in shared memory.
        rooms: how many samples fit there.
    """

    files: tuple[AudioFile, ...]
    starts: tuple[int, ...]
    rooms: tuple[int, ...]


@dataclass(frozen=True)
class _Decoded:
    """What came of a chunk.

    Args:
        waves: for each file its samples, or how many of them lie in shared memory, or why there are none.
        seconds: what it took.
    """

    waves: list[Float32Array | int | UnusableAudioError]
    seconds: float


class Decoding:
    """Files that are being decoded, to be encoded together.

    Args:
        chunks: each with its future result.
        start: of their room; given back when they are released.
        samples: of the whole shared memory, where there is any.
    """

    def __init__(
        self, chunks: Sequence[tuple[_Chunk, "Future[_Decoded]"]], start: int, samples: Float32Array | None
    ) -> None:
        self.start = start
        self._chunks = chunks
        self._samples = samples

    @property
    def is_done(self) -> bool:
        """Whether `waves` returns at once."""
        return all(future.done() for _, future in self._chunks)

    @property
    def seconds(self) -> float:
        """What decoding took, over all processes or threads."""
        return sum(_result(future).seconds for _, future in self._chunks)

    def waves(self) -> list[Float32Array | UnusableAudioError]:
        """Samples of each file, which may lie in shared memory and are valid until release; or why there are none.

        Raises:
            IntegrityError: a file changed since the dataset was made.
            ResourceError: a process was killed.
        """
        waves: list[Float32Array | UnusableAudioError] = []
        for chunk, future in self._chunks:
            for start, wave in zip(chunk.starts, _result(future).waves, strict=True):
                waves.append(self._samples_at(start, wave) if isinstance(wave, int) else wave)
        return waves

    def _samples_at(self, start: int, count: int) -> Float32Array:
        assert self._samples is not None
        return self._samples[start : start + count]


def _result(future: "Future[_Decoded]") -> _Decoded:
    try:
        return future.result()
    except BrokenProcessPool as error:
        raise ResourceError(
            "a process that decoded audio was killed, perhaps for want of memory: run the same command again, "
            "with --decoders 0 if it happens again"
        ) from error


class Decoders(ABC):
    """Decodes files ahead of the model, as far as there is room.

    Args:
        dataset: whose files they are.
        sample_rate_hz: wanted.
        ahead_samples: at most so many samples are decoded and not released yet.
        on_done: called, in some thread, whenever something is decoded.
    """

    def __init__(self, dataset: Dataset, sample_rate_hz: int, ahead_samples: int, on_done: Callable[[], None]) -> None:
        self.room = Room(ahead_samples)
        self._dataset = replace(dataset, clips=(), problems=())  # light enough to be sent to processes
        self._sample_rate_hz = sample_rate_hz
        self._on_done = on_done

    def begin(self, files: Sequence[AudioFile]) -> Decoding | None:
        """Begin to decode files that will be encoded together, or None while there is no room for them."""
        rooms = [samples_of(file, self._sample_rate_hz) for file in files]
        start = self.room.take(sum(rooms))
        if start is None:
            return None
        chunks = _cut_into_chunks(files, rooms, start, int(CHUNK_S * self._sample_rate_hz))
        futures = [self._submit(chunk) for chunk in chunks]
        for future in futures:
            future.add_done_callback(lambda _: self._on_done())
        return Decoding(list(zip(chunks, futures, strict=True)), start, self._shared_samples)

    def release(self, decoding: Decoding) -> None:
        """Give the room of waves back that nobody reads any more."""
        self.room.give_back(decoding.start)

    @property
    def _shared_samples(self) -> Float32Array | None:
        return None

    @abstractmethod
    def _submit(self, chunk: _Chunk) -> "Future[_Decoded]": ...

    @abstractmethod
    def close(self) -> None:
        """Drop what has not begun, and do not wait for the rest: a recording may be hours long."""


class DecodingThreads(Decoders):
    """Decodes in threads of this process.

    Args:
        threads: how many.
        dataset, sample_rate_hz, ahead_samples, on_done: as in `Decoders`.
    """

    def __init__(self, threads: int, *of_all: Any) -> None:
        super().__init__(*of_all)
        self._pool = ThreadPoolExecutor(threads)

    def _submit(self, chunk: _Chunk) -> "Future[_Decoded]":
        return self._pool.submit(_decode, chunk, partial(_load_or_say_why, self._dataset, self._sample_rate_hz))

    def close(self) -> None:
        """Drop what has not begun."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class DecodingProcesses(Decoders):
    """Decodes in processes, which write into memory that this process sees too.

    Args:
        processes: how many.
        dataset, sample_rate_hz, ahead_samples, on_done: as in `Decoders`.
    """

    def __init__(self, processes: int, *of_all: Any) -> None:
        super().__init__(*of_all)
        context = multiprocessing.get_context("spawn")
        # has no name from its first moment on, and all its pages: a small /dev/shm is an error now, not a crash later
        shared = context.RawArray(ctypes.c_float, self.room.samples)
        self._samples = np.frombuffer(shared, dtype=np.float32)
        # nothing is ever sent: its end tells the processes that the work is over, or that this process is
        their_end, self._our_end = context.Pipe(duplex=False)
        self._their_end = their_end
        self._pool = ProcessPoolExecutor(
            processes,
            context,
            initializer=_start_in_process,
            initargs=(their_end, shared, self._dataset, self._sample_rate_hz),
        )

    @property
    def _shared_samples(self) -> Float32Array:
        return self._samples

    def _submit(self, chunk: _Chunk) -> "Future[_Decoded]":
        with interrupt_blocked():  # submitting may start a process, which inherits this
            return self._pool.submit(_unless_over, _decode_in_process, chunk)

    def close(self) -> None:
        """Drop what has not begun; processes that are busy are ended after two seconds."""
        self._our_end.close()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._their_end.close()


def _cut_into_chunks(files: Sequence[AudioFile], rooms: Sequence[int], start: int, chunk_samples: int) -> list[_Chunk]:
    """Runs of files that are `chunk_samples` long together, or one that is longer."""
    chunks: list[_Chunk] = []
    begin = 0
    starts = [start + sum(rooms[:i]) for i in range(len(rooms))]
    for end in range(1, len(files) + 1):
        if end == len(files) or sum(rooms[begin : end + 1]) > chunk_samples:
            chunks.append(_Chunk(tuple(files[begin:end]), tuple(starts[begin:end]), tuple(rooms[begin:end])))
            begin = end
    return chunks


def _load_or_say_why(dataset: Dataset, sample_rate_hz: int, file: AudioFile) -> Float32Array | UnusableAudioError:
    try:
        refuse_changed_audio(dataset, file)
        return load_mono(dataset.audio_path(file), sample_rate_hz)
    except UnusableAudioError as error:
        return error


def _decode(chunk: _Chunk, load: Callable[[AudioFile], Float32Array | UnusableAudioError]) -> _Decoded:
    start_s = time.perf_counter()
    waves: list[Float32Array | int | UnusableAudioError] = [load(file) for file in chunk.files]
    return _Decoded(waves, time.perf_counter() - start_s)


_load_in_process: Callable[[AudioFile], Float32Array | UnusableAudioError]
_samples_in_process: Float32Array


def _start_in_process(parents_pipe: Any, shared: Any, dataset: Dataset, sample_rate_hz: int) -> None:
    global _load_in_process, _samples_in_process
    _follow_parent(parents_pipe)
    _load_in_process = partial(_load_or_say_why, dataset, sample_rate_hz)
    _samples_in_process = np.frombuffer(shared, dtype=np.float32)


def _decode_in_process(chunk: _Chunk) -> _Decoded:
    decoded = _decode(chunk, _load_in_process)
    for index, (start, room, wave) in enumerate(zip(chunk.starts, chunk.rooms, decoded.waves, strict=True)):
        # a file that is longer than the manifest says comes back through the pipe
        if isinstance(wave, np.ndarray) and len(wave) <= room:
            _samples_in_process[start : start + len(wave)] = wave
            decoded.waves[index] = len(wave)
    return decoded
