"""Decode and encode clips in parallel, and give them back in order."""

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING

from atrkit.audio.read import UnusableAudioError, load_mono
from atrkit.datasets.manifest import AudioFile, Clip, Dataset, command_that_makes
from atrkit.errors import IntegrityError
from atrkit.files import sha256_of_file
from atrkit.processes import result_of

if TYPE_CHECKING:
    from atrkit.encoders import Encoded, Encoder

WORKERS = os.cpu_count() or 1
UNREADABLE = "cannot be read"


def encode_ahead(
    dataset: Dataset, clips: Sequence[Clip], encoder: "Encoder"
) -> Iterator[tuple[Clip, "Encoded | UnusableAudioError"]]:
    """Decode and encode a few clips at once, one thread each, and give them back in order.

    libsndfile, soxr and torch all let go of the GIL. One torch thread per clip scales better than two on one clip, and
    makes the result independent of the number of cores.
    """
    remaining = iter(clips)
    pool = ThreadPoolExecutor(WORKERS)
    with _single_threaded_torch():
        waiting: deque[tuple[Clip, Future[Encoded | UnusableAudioError]]] = deque()

        def submit(count: int) -> None:
            waiting.extend(
                (clip, pool.submit(_encode_clip, dataset, clip, encoder)) for clip in islice(remaining, count)
            )

        try:
            submit(2 * WORKERS)
            while waiting:
                clip, future = waiting.popleft()
                yield clip, result_of(future)
                submit(1)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # not waiting: a clip may be an hour long


def _encode_clip(dataset: Dataset, clip: Clip, encoder: "Encoder") -> "Encoded | UnusableAudioError":
    try:
        file = clip.best_file(encoder.sample_rate_hz)
        refuse_changed_audio(dataset, file)
        wave_N = load_mono(dataset.audio_path(file), encoder.sample_rate_hz)
    except UnusableAudioError as error:
        return error
    return encoder.encode([wave_N])


@contextmanager
def _single_threaded_torch() -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


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
