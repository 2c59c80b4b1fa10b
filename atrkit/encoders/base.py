"""What every frozen audio encoder offers, whatever network is behind it.

Each wave is encoded alone: padding a clip inside a batch changes its output (ENCODERS.md, pitfall 1), and on a CPU
mn04 is twice as fast without a batch, which outgrows the caches. So a batch of many equals batches of one, to the bit.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from atrkit.errors import DivergedError, UsageError

Float32Array = npt.NDArray[np.float32]


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
class EncodedWave:
    """What a network makes of one wave: frames_TF, clip_emb_D and, with a classifier, logits_K."""

    frames_TF: Float32Array
    clip_emb_D: Float32Array
    logits_K: Float32Array | None = None


class Encoder(ABC):
    """A frozen audio encoder: waves in, frame and clip embeddings out.

    Args:
        name: as in `load_encoder`.
        sample_rate_hz: the rate that waves must have; the encoder owns it.
        frame_period_s: time from one frame to the next.
        frame_dim: F, width of a frame.
        clip_dim: D, width of a clip embedding.
        min_samples: waves shorter than this are padded with zeros at the end, and that is said.
        labels: names of the classifier's classes, or None.
        checkpoint_path: the weights, or None without any.
        checkpoint_sha256: of the weights' bytes, or None.
        checkpoint_note: what a user should know of the weights, for example that they are not the published ones.
        settings: everything that changes the output; JSON values, for provenance and cache keys.
    """

    name: ClassVar[str]
    sample_rate_hz: ClassVar[int]
    frame_period_s: float
    frame_dim: ClassVar[int]
    clip_dim: ClassVar[int]
    min_samples: ClassVar[int]
    labels: tuple[str, ...] | None = None
    checkpoint_path: Path | None = None
    checkpoint_sha256: str | None = None
    checkpoint_note: str | None = None
    settings: dict[str, Any]

    def encode(self, waves: Sequence[Float32Array]) -> Encoded:
        """Embed waves of any lengths; the result for a wave does not depend on the others.

        Args:
            waves: mono float samples at `sample_rate_hz`, (n,) each; values over 1 are allowed.

        Returns:
            One entry per wave, in order.

        Raises:
            UsageError: a wave is not one-dimensional.
            DivergedError: a wave has NaN or infinite samples.
        """
        samples = [_checked(wave, index) for index, wave in enumerate(waves)]
        encoded = [self._encode_wave(_pad_end(wave_N, self.min_samples)) for wave_N in samples]
        logits = [wave.logits_K for wave in encoded if wave.logits_K is not None]
        no_clips = np.empty((0, self.clip_dim), dtype=np.float32)
        return Encoded(
            frames=[wave.frames_TF for wave in encoded],
            clip=np.stack([wave.clip_emb_D for wave in encoded]) if encoded else no_clips,
            logits=np.stack(logits) if logits else self._no_logits(),
            padded=[len(wave_N) < self.min_samples for wave_N in samples],
        )

    @abstractmethod
    def _encode_wave(self, wave_N: Float32Array) -> EncodedWave:
        """Embed one wave of at least `min_samples` finite samples."""

    def _no_logits(self) -> Float32Array | None:
        return np.empty((0, len(self.labels)), dtype=np.float32) if self.labels else None


def _checked(wave: Float32Array, index: int) -> Float32Array:
    wave_N = np.ascontiguousarray(wave, dtype=np.float32)
    if np.ndim(wave) != 1:
        raise UsageError(f"wave {index} has shape {np.shape(wave)}: one channel, (n,), is needed; mix it down first")
    if not np.isfinite(wave_N).all():
        raise DivergedError(f"wave {index} has {int((~np.isfinite(wave_N)).sum()):,} NaN or infinite samples")
    return wave_N if wave_N.flags.writeable else wave_N.copy()  # torch wants to be able to write


def _pad_end(wave_N: Float32Array, min_samples: int) -> Float32Array:
    return np.pad(wave_N, (0, max(0, min_samples - len(wave_N))))
