"""Audio decoded by other processes, which hand it over through memory that all of them see.

Ten seconds of audio through a pipe cost this process a millisecond, in which no GPU is fed, and no more than 0.5 GB/s
come through; of shared memory it is told where the samples lie (0.25 ms, our measurement). The memory has no name, so
that nothing of it is left behind however the processes end, and its size is what bounds the audio in memory.
"""

import ctypes
import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from atrkit.datasets.manifest import Dataset
from atrkit.errors import ResourceError
from atrkit.processes import follow_parent, interrupt_blocked, unless_over
from atrkit.workflows.decode_ahead import Chunk, Decoded, Decoders, Float32Array, decode

# what comes back of a chunk: how many samples of each file lie in the shared memory, or None where `decoded` has it
_Written = tuple[list[int | None], Decoded]


class DecodingProcesses(Decoders):
    """Decodes in processes, which write into memory that this process sees too.

    Args:
        dataset, sample_rate_hz, ahead_samples, on_done: as in `Decoders`.
        processes: how many; they are started as they are needed, and end when this one does.
    """

    def __init__(
        self, dataset: Dataset, sample_rate_hz: int, ahead_samples: int, on_done: Callable[[], None], processes: int
    ) -> None:
        super().__init__(dataset, sample_rate_hz, ahead_samples, on_done)
        context = multiprocessing.get_context("spawn")
        # it has no name from its first moment on, and all of its pages: too small a /dev/shm never shows later
        shared: Any = context.RawArray(ctypes.c_float, ahead_samples)
        self._samples: Float32Array = np.frombuffer(shared, dtype=np.float32)
        # nothing is ever sent: its end tells the processes that the work is over, or that this process is
        self._their_end, self._our_end = context.Pipe(duplex=False)
        of_worker = (self._their_end, shared, self.dataset, sample_rate_hz)
        self._pool = ProcessPoolExecutor(processes, context, initializer=_start_worker, initargs=of_worker)

    def _submit(self, chunk: Chunk) -> Future[Any]:
        with _process_may_be_killed(), interrupt_blocked():  # submitting may start a process, which inherits this
            return self._pool.submit(unless_over, _decode_into_shared_memory, chunk)

    def _result_of(self, chunk: Chunk, future: Future[Any]) -> Decoded:
        with _process_may_be_killed():
            written: _Written = future.result()
        lengths, decoded = written
        start = chunk.start
        for index, (length, room) in enumerate(zip(lengths, chunk.rooms, strict=True)):
            if length is not None:
                decoded.waves[index] = self._samples[start : start + length]
            start += room
        return decoded

    def close(self) -> None:
        """Drop what has not begun; processes that are busy are ended after two seconds."""
        self._our_end.close()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._their_end.close()


@contextmanager
def _process_may_be_killed() -> Iterator[None]:
    try:
        yield
    except BrokenProcessPool as error:
        raise ResourceError(
            "a process that decoded audio was killed, perhaps for want of memory: run the same command again, "
            "with --workers 0 if it happens again"
        ) from error


# in a worker, set by `_start_worker`
_dataset: Dataset
_sample_rate_hz: int
_shared_samples: Float32Array


def _start_worker(parents_pipe: Connection, shared: Any, dataset: Dataset, sample_rate_hz: int) -> None:
    global _dataset, _sample_rate_hz, _shared_samples
    follow_parent(parents_pipe)
    _dataset, _sample_rate_hz = dataset, sample_rate_hz
    _shared_samples = np.frombuffer(shared, dtype=np.float32)


def _decode_into_shared_memory(chunk: Chunk) -> _Written:
    decoded = decode(_dataset, _sample_rate_hz, chunk.files)
    lengths: list[int | None] = []
    start = chunk.start
    for index, (wave, room) in enumerate(zip(decoded.waves, chunk.rooms, strict=True)):
        # a file that is longer than the manifest says comes back through the pipe
        if isinstance(wave, np.ndarray) and len(wave) <= room:
            _shared_samples[start : start + len(wave)] = wave
            lengths.append(len(wave))
            decoded.waves[index] = wave[:0]
        else:
            lengths.append(None)
        start += room
    return lengths, decoded
