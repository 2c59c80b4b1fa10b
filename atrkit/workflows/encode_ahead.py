"""Clips through an encoder: decoded ahead of it, grouped by length, and back in the parts they came in.

Three things happen at once: processes or threads decode, threads encode groups of clips, and the caller writes finished
parts. What shares a group depends on a part's clips alone, so a part has the same bits whatever happens around it.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from heapq import nlargest
from typing import TYPE_CHECKING

from atrkit.audio.read import UnusableAudioError
from atrkit.datasets.manifest import Clip, Dataset
from atrkit.errors import UsageError
from atrkit.processes import available_cores
from atrkit.workflows.decode_ahead import (
    CHUNK_S,
    UNREADABLE,
    DecodingThreads,
    cut_into_chunks,
    refuse_changed_audio,
    samples_of,
)
from atrkit.workflows.decode_processes import DecodingProcesses
from atrkit.workflows.encode_pipeline import GROUPS_WAITING, EncodedClip, EncodePipeline, Part, Progress, groups_of
from atrkit.workflows.throughput import Balance

if TYPE_CHECKING:
    from atrkit.encoders import Encoder

__all__ = ["UNREADABLE", "EncodedClip", "encode_parts", "refuse_changed_audio"]

WORKERS = available_cores()
GPU_THREADS = 2  # one prepares a batch while the other's is computed
# our choice: processes take a second to start, in which threads decode an hour of audio
WORTH_PROCESSES_S = 3600.0
# more only take memory and time to start; some wait for the disk, so there may be more than cores
_MOST_PROCESSES_PER_CORE = 4
# our choice: twelve recordings of ten minutes at once, in 0.9 GB at 32 kHz
LONG_CLIPS_AHEAD_S = 7200.0


def encode_parts(
    dataset: Dataset,
    parts: Iterable[tuple[int, Sequence[Clip]]],
    encoder: "Encoder",
    *,
    decoders: int | None = None,
    on_clips: Callable[[int, float], None],
    balance: Balance | None = None,
    on_remark: Callable[[str], None] | None = None,
) -> Generator[tuple[int, list[EncodedClip | UnusableAudioError]], None, None]:
    """Decode and encode parts of a dataset.

    Work flows across the borders of parts. On a CPU one torch thread per group, and as many groups at once as there
    are cores, scales better than all on one, and makes the result independent of their number.

    Args:
        dataset: whose clips they are.
        parts: each with its number.
        encoder: what encodes; its batch size at the start decides how many clips share a group.
        decoders: processes that decode; 0: threads of this one do. None: processes where the model runs on a GPU and
            there is more than an hour of audio; on a CPU model and decoding share the cores anyway. More than four
            per core, or than there are tasks, are not started.
        on_clips: told how many clips are done, and how many seconds of audio were encoded for them.
        balance: told what the model did, and what it waited for.
        on_remark: told of fewer decoders than were asked for.

    Returns:
        Each part in turn with one entry per clip, in the clips' order. Close the iterator when you stop before its end.

    Raises:
        UsageError: a negative number of decoders.
        IntegrityError: a file changed since the dataset was made.
        ResourceError: memory runs out even with one window at a time, or a decoding process was killed.
        DivergedError: an encoder was given NaN or infinite samples; names the clip.
    """
    all_parts = [Part(number, clips, [None] * len(clips), len(clips)) for number, clips in parts]
    is_on_cpu = encoder.device.type == "cpu"
    if decoders is None:
        is_worth_it = sum(part.audio_s for part in all_parts) > WORTH_PROCESSES_S
        decoders = max(1, WORKERS - GPU_THREADS) if is_worth_it and not is_on_cpu else 0
    if decoders < 0:
        raise UsageError(f"decoders: {decoders} is no number of processes; 0 decodes in threads")
    if decoders:
        decoders = _useful_decoders(decoders, all_parts, encoder, on_remark or (lambda remark: None))
    threads = WORKERS if is_on_cpu else GPU_THREADS
    pipeline = EncodePipeline(all_parts, encoder, threads, balance or Balance())
    room = _room_samples(all_parts, encoder, threads, decoders or WORKERS)
    make_source = DecodingProcesses if decoders else DecodingThreads
    source = make_source(dataset, encoder.sample_rate_hz, room, pipeline.wake, decoders or WORKERS)
    with _single_threaded_torch(), closing(source), closing(pipeline.run(source)) as messages:
        for message in messages:
            if isinstance(message, Progress):
                on_clips(message.clips, message.audio_s)
            else:
                yield message.number, message.finished_entries()


def _useful_decoders(asked: int, parts: Sequence[Part], encoder: "Encoder", on_remark: Callable[[str], None]) -> int:
    """How many of the processes that were asked for would have something to do."""
    groups = (group for part in parts for group in groups_of(part, encoder, encoder.batch_size))
    tasks = sum(len(cut_into_chunks(group.files, encoder.sample_rate_hz)) for group in groups)
    useful = max(1, min(asked, _MOST_PROCESSES_PER_CORE * WORKERS, tasks))
    if useful < asked:
        why = "there is no work for more" if useful == max(1, tasks) else f"{_MOST_PROCESSES_PER_CORE} per core"
        on_remark(f"{useful} of {asked} processes decode: {why}")
    return useful


def _room_samples(parts: Sequence[Part], encoder: "Encoder", threads: int, decoders: int) -> int:
    """How much audio may be in memory, in float32.

    Groups being encoded or ready, and two tasks per decoder, are minutes of audio: 45 MB on two cores and 32 kHz,
    0.3 GB with batches of 32 and 14 decoders. Each thread and each decoder may have one of the longest clips besides,
    as long as these are not more than `LONG_CLIPS_AHEAD_S` together; of longer ones there may be two, so that one is
    decoded while the other is encoded (0.9 GB with recordings of an hour at 32 kHz). A thread needs about as much again
    for a wave that it encodes, and results come on top (`RESULTS_AHEAD_S`): recordings of ten minutes on two cores take
    1 GB more than the encoder itself, of which a third is this (our measurement, logmel).
    """
    from atrkit.encoders.batching import SECONDS_PER_ITEM

    rate_hz = encoder.sample_rate_hz
    seconds = (threads + GROUPS_WAITING) * encoder.batch_size * SECONDS_PER_ITEM + 2 * decoders * CHUNK_S
    lengths = (samples_of(clip.best_file(rate_hz), rate_hz) for part in parts for clip in part.clips)
    longest = nlargest(threads + decoders, lengths)
    return int(seconds * rate_hz) + min(sum(longest), max(sum(longest[:2]), int(LONG_CLIPS_AHEAD_S * rate_hz)))


@contextmanager
def _single_threaded_torch() -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
