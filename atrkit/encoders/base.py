"""What every frozen audio encoder offers, whatever network is behind it.

A wave is cut into windows, windows of like length go through the network together, and the clip vector is made from
all of a wave's windows. The result for a wave does not depend on the others in its batch (to the rounding of float32).
"""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from atrkit.encoders.batching import SECONDS_PER_ITEM, plan_batches
from atrkit.encoders.catalogue import PRECISIONS, Precision
from atrkit.encoders.out_of_memory import DeviceMemory
from atrkit.encoders.time_pooling import frames_per_pool, pool_time
from atrkit.errors import DivergedError, UsageError

Float32Array = npt.NDArray[np.float32]

_DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


@dataclass(frozen=True, eq=False)
class Encoded:
    """Embeddings of B waves.

    Args:
        frames: for each wave (T, F) float32, one row per `frame_period_s`.
        clip: (B, D) float32, one vector per wave.
        logits: (B, classes) float32 of the encoder's own classifier before the sigmoid, or None.
        padded: for each wave whether zeros were appended because it was shorter than `min_samples`.
    """

    frames: list[Float32Array]
    clip: Float32Array
    logits: Float32Array | None
    padded: list[bool]


@dataclass(frozen=True, eq=False)
class EncodedWindow:
    """What a network makes of one window, on its device, in float32.

    Args:
        frames_TF: (T, F), before any pooling over time.
        summary_S: of networks whose clip vector is not made from the frames; else None.
        samples: length of the window.
    """

    frames_TF: Tensor
    summary_S: Tensor | None = None
    samples: int = 0


@dataclass(frozen=True)
class Running:
    """How an encoder runs; of these only `precision` changes more than the last digits.

    Args:
        device: where torch computes: "cpu", "cuda", "cuda:1".
        precision: of the network; front ends, pooling and what is returned stay in float32.
        batch_size: at most so many clips of ten seconds at once; None: what suits the device.
        compile: let torch compile the network first.
        pool_time_s: average frames over windows of this length; None: the network's own frames.
    """

    device: str = "cpu"
    precision: Precision = "fp32"
    batch_size: int | None = None
    compile: bool = False
    pool_time_s: float | None = None

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise UsageError(f"precision: {self.precision!r} is none of {', '.join(PRECISIONS)}")
        if self.batch_size is not None and self.batch_size < 1:
            raise UsageError(f"batch_size: {self.batch_size} is no positive number")


class Encoder(ABC):
    """A frozen audio encoder: waves in, frame and clip embeddings out.

    A subclass calls `_start` in its constructor and says how windows become frames and how frames become clip vectors.

    Args:
        name: as in `load_encoder`.
        sample_rate_hz: the rate that waves must have; the encoder owns it.
        frame_period_s: time from one frame to the next.
        frame_dim: F, width of a frame.
        clip_dim: D, width of a clip embedding.
        min_samples: waves shorter than this are padded with zeros at the end, and that is said.
        window_samples: longer waves are seen in windows of this length; a rest under `min_samples` joins the last one.
        labels: names of the classifier's classes, or None where they are not known.
        num_classes: of the classifier, 0 without one.
        checkpoint_path: the weights, or None without any.
        checkpoint_sha256: of the weights' bytes, or None.
        checkpoint_note: what a user should know of the weights, for example that they are not the published ones.
        weights_are_published: they are those that the encoder is known for; also where there are none.
        settings: everything that changes the output; JSON values, for provenance and cache keys.
        batch_size: at most so many clips of ten seconds at once; halved when memory runs out.
        on_remark: told each time that the batch size was halved.
    """

    name: str
    sample_rate_hz: int
    frame_period_s: float
    frame_dim: int
    clip_dim: int
    min_samples: int
    window_samples: int
    labels: tuple[str, ...] | None = None
    num_classes: int = 0
    checkpoint_path: Path | None = None
    checkpoint_sha256: str | None = None
    checkpoint_note: str | None = None
    weights_are_published: bool = True
    settings: dict[str, Any]
    batch_size: int
    on_remark: Callable[[str], None] | None = None

    # clips of ten seconds at once that are fastest: more outgrow the caches of a CPU, fewer leave a GPU idle
    cpu_batch_size: ClassVar[int] = 1
    gpu_batch_size: ClassVar[int] = 32

    def _start(self, own_frame_period_s: float, running: Running, settings: dict[str, Any]) -> None:
        """Take over how to run, and note what changes the output: the encoder's own `settings`, and what holds for all.

        Where an encoder says nothing else, a recording is seen whole, and one that is too short gets zeros.
        """
        self.device = torch.device(running.device)
        if self.device.type == "cuda":
            # fp32 means float32: torch lets cuDNN round what it convolves to ten bits (TF32). For the whole process,
            # because several threads encode, and such a switch cannot be one thread's
            torch.backends.cudnn.allow_tf32 = False
            torch.backends.cuda.matmul.allow_tf32 = False
        self.dtype = _DTYPES[running.precision]
        default = self.cpu_batch_size if self.device.type == "cpu" else self.gpu_batch_size
        self.batch_size = running.batch_size or default
        self._frames_per_pool = frames_per_pool(running.pool_time_s, own_frame_period_s)
        self.frame_period_s = self._frames_per_pool * own_frame_period_s
        of_lengths = {"long_audio": "whole"}
        if self.min_samples > 1:
            of_lengths["short_audio"] = f"zeros appended up to {self.min_samples} samples"
        own = {**of_lengths, **settings}
        self.settings = {**own, "pool_time_s": running.pool_time_s, "precision": running.precision}
        self._memory = DeviceMemory(self.name, self.device)
        self._halving = threading.Lock()

    def encode(self, waves: Sequence[Float32Array]) -> Encoded:
        """Embed waves of any lengths; the result for a wave does not depend on the others.

        Args:
            waves: mono float samples at `sample_rate_hz`, (n,) each; values over 1 are allowed.

        Returns:
            One entry per wave, in order.

        Raises:
            UsageError: a wave is not one-dimensional.
            DivergedError: a wave has NaN or infinite samples.
            ResourceError: memory runs out even with one window at a time, and no other thread's beside it.
        """
        samples = [_checked(wave, index) for index, wave in enumerate(waves)]
        padded = [len(wave_N) < self.min_samples for wave_N in samples]
        if not samples:
            return Encoded([], np.empty((0, self.clip_dim), np.float32), self._no_logits(), [])
        with torch.inference_mode():
            clips = self._encode_windows([_pad_end(wave_N, self.min_samples) for wave_N in samples])
            return self._memory.fit(lambda: self._joined(clips, padded), f"the frames of {len(clips)} clips")

    def unheard_samples(self, num_samples: int) -> int:
        """How many samples at the end of a wave leave no trace in the output.

        Networks that see audio in pieces of one length may drop a rest that fills none.

        Args:
            num_samples: length of the wave.

        Returns:
            0 unless the encoder says otherwise: every sample is heard.
        """
        return 0

    @abstractmethod
    def _frames_of(self, windows: list[Float32Array]) -> list[EncodedWindow]:
        """Encode windows of like length (at most a quarter longer than the shortest), each as if it were alone."""

    @abstractmethod
    def _clips_of(self, clips: list[list[EncodedWindow]]) -> tuple[Tensor, Tensor | None]:
        """Clip vectors (B, D) and logits (B, K), float32, from the windows of each clip."""

    def _encode_windows(self, waves: list[Float32Array]) -> list[list[EncodedWindow]]:
        windows = [(index, window_N) for index, wave_N in enumerate(waves) for window_N in self._windows(wave_N)]
        lengths = [len(window_N) for _, window_N in windows]
        encoded: dict[int, EncodedWindow] = {}
        batch_size = self.batch_size
        pending = self._plan(lengths, range(len(windows)), batch_size)
        while pending:
            batch = pending.pop(0)
            results = self._encode_batch([windows[i][1] for i in batch])
            if results is None:
                batch_size = self._halve_batch_size(batch_size)
                half = len(batch) // 2
                rest = [i for later in pending for i in later]
                pending = [
                    smaller
                    for positions in (batch[:half], batch[half:], rest)
                    for smaller in self._plan(lengths, positions, batch_size)
                ]
            else:
                encoded.update(zip(batch, results, strict=True))
        clips: list[list[EncodedWindow]] = [[] for _ in waves]
        for position, (index, _) in enumerate(windows):
            clips[index].append(encoded[position])
        return clips

    def _plan(self, lengths: list[int], positions: Sequence[int], batch_size: int) -> list[list[int]]:
        samples_per_item = int(SECONDS_PER_ITEM * self.sample_rate_hz)
        batches = plan_batches([lengths[i] for i in positions], batch_size, samples_per_item)
        return [[positions[i] for i in batch] for batch in batches]

    def _encode_batch(self, windows: list[Float32Array]) -> list[EncodedWindow] | None:
        """The windows encoded, or None where several do not fit into memory together."""
        if len(windows) == 1:
            seconds = len(windows[0]) / self.sample_rate_hz
            return self._memory.fit(lambda: self._frames_of(windows), f"one window of {seconds:.1f} s")
        return self._memory.attempt(lambda: self._frames_of(windows))

    def _halve_batch_size(self, planned: int) -> int:
        """The batch size to go on with: half of what was planned, unless another thread halved it meanwhile."""
        self._memory.free_unused()
        with self._halving:
            is_halved = self.batch_size == planned > 1
            if is_halved:
                self.batch_size = planned // 2
            batch_size = self.batch_size
        if is_halved and self.on_remark is not None:
            self.on_remark(f"memory ran out on {self.device}: going on with --batch-size {batch_size}")
        return batch_size

    def _joined(self, clips: list[list[EncodedWindow]], padded: list[bool]) -> Encoded:
        clip_emb_BD, logits_BK = self._clips_of(clips)
        pooled = [pool_time(frames_TF, self._frames_per_pool) for frames_TF in frames_of_clips(clips)]
        all_frames = torch.cat(pooled).cpu().numpy()  # one transfer from the device
        ends = np.cumsum([len(frames_TF) for frames_TF in pooled])[:-1]
        return Encoded(
            frames=np.split(all_frames, ends),
            clip=clip_emb_BD.cpu().numpy(),
            logits=None if logits_BK is None else logits_BK.cpu().numpy(),
            padded=padded,
        )

    def _windows(self, wave_N: Float32Array) -> list[Float32Array]:
        bounds = window_bounds(len(wave_N), self.window_samples, self.min_samples)
        return [wave_N[start:stop] for start, stop in bounds]

    def _no_logits(self) -> Float32Array | None:
        return np.empty((0, self.num_classes), dtype=np.float32) if self.num_classes else None


def window_bounds(num_samples: int, window_samples: int, min_samples: int) -> list[tuple[int, int]]:
    """Where a wave is cut into windows; a rest that is too short for a frame joins the window before.

    >>> window_bounds(25, window_samples=10, min_samples=3), window_bounds(22, window_samples=10, min_samples=3)
    ([(0, 10), (10, 20), (20, 25)], [(0, 10), (10, 22)])
    """
    starts = list(range(0, num_samples, window_samples)) or [0]
    if len(starts) > 1 and num_samples - starts[-1] < min_samples:
        starts.pop()
    return list(zip(starts, [*starts[1:], num_samples], strict=True))


def frames_of_clips(clips: list[list[EncodedWindow]]) -> list[Tensor]:
    """All frames of each clip, (T, F)."""
    return [torch.cat([window.frames_TF for window in clip]) for clip in clips]


def _checked(wave: Float32Array, index: int) -> Float32Array:
    wave_N = np.ascontiguousarray(wave, dtype=np.float32)
    if np.ndim(wave) != 1:
        raise UsageError(f"wave {index} has shape {np.shape(wave)}: one channel, (n,), is needed; mix it down first")
    if not np.isfinite(wave_N).all():
        raise DivergedError(f"wave {index} has {int((~np.isfinite(wave_N)).sum()):,} NaN or infinite samples")
    return wave_N if wave_N.flags.writeable else wave_N.copy()  # torch wants to be able to write


def _pad_end(wave_N: Float32Array, min_samples: int) -> Float32Array:
    missing = min_samples - len(wave_N)
    return np.pad(wave_N, (0, missing)) if missing > 0 else wave_N  # no copy: an hour is half a gigabyte
