"""What runs between the decoders and the caller: groups of clips, threads of the model, parts that fill up."""

import queue
import threading
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from atrkit.audio.read import UnusableAudioError
from atrkit.datasets.manifest import AudioFile, Clip
from atrkit.errors import DivergedError
from atrkit.processes import LONGEST_WAIT_S
from atrkit.workflows.decode_ahead import Decoders, Decoding, samples_of
from atrkit.workflows.throughput import Balance

if TYPE_CHECKING:
    from atrkit.encoders import Encoded, Encoder

Float32Array = npt.NDArray[np.float32]

# of audio in parts that are begun and not taken: enough to go on while one is written. The next part is begun below
# this, and two are in any case, so with parts of up to two hours it is four at most. An hour's frames of the widest
# encoders (2,048 numbers in 0.32 s, or 64 in 0.01 s) are 92 MB in float32: results take less than 0.4 GB
RESULTS_AHEAD_S = 7200.0
_LEAST_PARTS_AHEAD = 2
# decoded groups that lie ready while all threads are busy
GROUPS_WAITING = 2


@dataclass(frozen=True, eq=False)
class EncodedClip:
    """One clip's share of what `Encoder.encode` gives.

    Args:
        frames_TF: (T, F) float32.
        clip_emb_D: (D,) float32.
        logits_K: (K,) float32 before the sigmoid, or None where the encoder has no classifier.
        is_padded: zeros were appended because the clip is shorter than the encoder's shortest.
    """

    frames_TF: Float32Array
    clip_emb_D: Float32Array
    logits_K: Float32Array | None
    is_padded: bool


@dataclass(eq=False)
class Part:
    """A part that is under way.

    Args:
        number: the caller's.
        clips: in the caller's order.
        entries: what came of each, None for those to come.
        left: how many are to come.
        is_taken: the caller is done with it.
    """

    number: int
    clips: Sequence[Clip]
    entries: list[EncodedClip | UnusableAudioError | None]
    left: int
    is_taken: bool = False

    def finished_entries(self) -> list[EncodedClip | UnusableAudioError]:
        """One entry per clip, which the part then forgets: frames of many parts would fill the memory."""
        entries = [entry for entry in self.entries if entry is not None]
        self.entries.clear()
        return entries

    @property
    def audio_s(self) -> float:
        """Length of all clips."""
        return sum(clip.duration_s for clip in self.clips)


@dataclass(eq=False)
class Group:
    """Clips of one part that are encoded together.

    Args:
        part: theirs.
        positions: in the part.
        files: the best one of each clip for the encoder.
        decoding: once it began.
    """

    part: Part
    positions: list[int]
    files: list[AudioFile]
    decoding: Decoding | None = None


@dataclass(frozen=True)
class Progress:
    """Clips that are done, and how long those are that were encoded."""

    clips: int
    audio_s: float


def groups_of(part: Part, encoder: "Encoder", batch_size: int) -> Iterator[Group]:
    """Cut a part into groups of like length, the longest first.

    Lengths are those of the manifest, so that the groups are known before anything is decoded.
    """
    from atrkit.encoders.batching import SECONDS_PER_ITEM, plan_batches

    rate_hz = encoder.sample_rate_hz
    files = [clip.best_file(rate_hz) for clip in part.clips]
    lengths = [max(samples_of(file, rate_hz), encoder.min_samples) for file in files]
    for positions in plan_batches(lengths, batch_size, int(SECONDS_PER_ITEM * rate_hz)):
        yield Group(part, positions, [files[position] for position in positions])


class EncodePipeline:
    """Keeps the threads of the model busy, from a thread of its own.

    The thread of the caller may write parts meanwhile, and Ctrl-C interrupts it alone.

    Args:
        parts: to be encoded, in this order.
        encoder: whose `encode` is called by several threads at once.
        threads: how many.
        balance: told what the threads do.
    """

    def __init__(self, parts: Sequence[Part], encoder: "Encoder", threads: int, balance: Balance) -> None:
        self._encoder = encoder
        self._threads = threads
        self._balance = balance
        self._pool = ThreadPoolExecutor(threads)
        batch_size = encoder.batch_size  # may be halved while this runs; the groups stay what they are
        self._to_begin = deque(group for part in parts for group in groups_of(part, encoder, batch_size))
        self._decoding: list[Group] = []
        self._encoding: dict[Future[Encoded], Group] = {}
        self._begun: list[Part] = []
        self._to_yield = deque(parts)
        self._out: queue.SimpleQueue[Part | Progress | BaseException | None] = queue.SimpleQueue()
        self._news = threading.Event()
        self._is_stopped = False

    def wake(self) -> None:
        """Something changed: called from any thread."""
        self._news.set()

    def run(self, decoders: Decoders) -> Generator[Part | Progress, None, None]:
        """Encode everything; parts come in order, each after the progress of its clips."""
        driver = threading.Thread(target=self._drive, args=(decoders,), daemon=True, name="encode pipeline")
        driver.start()
        try:
            while (message := self._next_message()) is not None:
                if isinstance(message, BaseException):
                    raise message
                yield message
                if isinstance(message, Part):
                    message.is_taken = True
                    self.wake()
        finally:
            self._is_stopped = True
            self.wake()
            driver.join()  # it never waits for a clip
            self._pool.shutdown(wait=False, cancel_futures=True)  # not waiting: a clip may be an hour long

    def _next_message(self) -> Part | Progress | BaseException | None:
        """Wait, and heed Ctrl-C while waiting (see `processes.result_of`)."""
        while True:
            with suppress(queue.Empty):
                return self._out.get(timeout=LONGEST_WAIT_S)

    def _drive(self, decoders: Decoders) -> None:
        try:
            while not self._is_stopped:
                self._news.clear()
                self._take_encoded(decoders)
                self._begin(decoders)
                self._hand_over(decoders)
                self._pass_on_parts()
                self._observe()
                if not (self._to_begin or self._decoding or self._encoding):
                    self._out.put(None)
                    break
                self._news.wait()
        except BaseException as error:  # whatever it is, the caller raises it
            self._out.put(error)

    def _begin(self, decoders: Decoders) -> None:
        """Begin to decode as many groups as there is room for."""
        self._begun = [part for part in self._begun if not part.is_taken]
        while self._to_begin and self._may_begin(self._to_begin[0].part):
            group = self._to_begin[0]
            group.decoding = decoders.begin(group.files)
            if group.decoding is None:
                break
            self._decoding.append(self._to_begin.popleft())
            if group.part not in self._begun:
                self._begun.append(group.part)

    def _may_begin(self, part: Part) -> bool:
        is_begun_or_first = part in self._begun or len(self._begun) < _LEAST_PARTS_AHEAD
        return is_begun_or_first or sum(begun.audio_s for begun in self._begun) < RESULTS_AHEAD_S

    def _hand_over(self, decoders: Decoders) -> None:
        """Give the threads what is decoded, and some more so that none has to wait for this one."""
        for group in list(self._decoding):
            if len(self._encoding) >= self._threads + GROUPS_WAITING:
                break
            if group.decoding is not None and group.decoding.is_done:
                self._decoding.remove(group)
                self._encode(group, group.decoding, decoders)

    def _encode(self, group: Group, decoding: Decoding, decoders: Decoders) -> None:
        decoded = decoding.result()
        self._balance.add_decoding(decoded.seconds)
        waves: list[Float32Array] = []
        clips: list[Clip] = []
        for position, wave in zip(group.positions, decoded.waves, strict=True):
            if isinstance(wave, UnusableAudioError):
                group.part.entries[position] = wave
            else:
                waves.append(wave)
                clips.append(group.part.clips[position])
        if waves:
            future = self._pool.submit(_encode_naming_clips, self._encoder, waves, clips)
            self._encoding[future] = group
            future.add_done_callback(lambda _: self.wake())
        else:
            self._finish(group, decoders)
            self.wake()  # there is room again, for which `_begin` has looked already

    def _take_encoded(self, decoders: Decoders) -> None:
        for future in [future for future in self._encoding if future.done()]:
            group = self._encoding.pop(future)
            encoded = future.result()
            of_usable = iter(range(len(encoded.frames)))
            for position in group.positions:
                if group.part.entries[position] is None:
                    group.part.entries[position] = _entry(encoded, next(of_usable))
            self._finish(group, decoders)

    def _finish(self, group: Group, decoders: Decoders) -> None:
        if group.decoding is not None:
            decoders.release(group.decoding)
            group.decoding = None
        part = group.part
        encoded = [at for at in group.positions if isinstance(part.entries[at], EncodedClip)]
        audio_s = sum(part.clips[at].duration_s for at in encoded)
        part.left -= len(group.positions)
        self._balance.add_audio(audio_s)
        self._out.put(Progress(len(group.positions), audio_s))

    def _pass_on_parts(self) -> None:
        while self._to_yield and self._to_yield[0].left == 0:
            self._out.put(self._to_yield.popleft())

    def _observe(self) -> None:
        busy = min(self._threads, len(self._encoding))
        waiting = min(self._threads - busy, len(self._decoding))
        stuck = min(self._threads - busy - waiting, len(self._to_begin))
        held = stuck if self._to_begin and self._is_held(self._to_begin[0].part) else 0
        self._balance.observe(busy=busy, waiting=waiting, held=held, cramped=stuck - held)

    def _is_held(self, part: Part) -> bool:
        """Whether a part waits for the caller: of others that are not finished he cannot take any."""
        return not self._may_begin(part) and self._begun[0].left == 0


def _entry(encoded: "Encoded", index: int) -> EncodedClip:
    return EncodedClip(
        encoded.frames[index],
        encoded.clip[index],
        None if encoded.logits is None else encoded.logits[index],
        encoded.padded[index],
    )


def _encode_naming_clips(encoder: "Encoder", waves: list[Float32Array], clips: list[Clip]) -> "Encoded":
    """Encode; the encoder knows waves by their number only, people know clips by their names."""
    try:
        return encoder.encode(waves)
    except DivergedError as error:
        bad = [clip for clip, wave_N in zip(clips, waves, strict=True) if not np.isfinite(wave_N).all()]
        named = ", ".join(f"{clip.id!r} ({clip.best_file(encoder.sample_rate_hz).path})" for clip in bad or clips)
        raise DivergedError(
            f"NaN or infinite samples in {named}" if bad else f"{error}, in a batch of {named}"
        ) from error
