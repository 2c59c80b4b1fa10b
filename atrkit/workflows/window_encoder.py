"""Waves to vectors of windows: an audio encoder and the audio side of a model, as one thing that encodes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
import numpy.typing as npt

from atrkit.search.windows import WINDOW_S, window_bounds
from atrkit.store.embeddings import FrameDtype
from atrkit.workflows.extract_parts import tag_probabilities

if TYPE_CHECKING:
    import torch

    from atrkit.encoders.base import Encoded, Encoder

Float32Array = npt.NDArray[np.float32]
# frames of so many windows are in memory at once, for each thread that encodes: 8 MB of the widest encoders'
_WINDOWS_AT_ONCE = 32


@dataclass(frozen=True, eq=False)
class EncodedWindows:
    """What an encoder makes of B windows, as a model that was trained on stored embeddings is given it.

    Args:
        frames: for each window (T, F) float32, rounded as in the store.
        clip_emb_BD: one vector for each.
        tag_probs_BK: probabilities of the encoder's classes, or None.
    """

    frames: list[Float32Array]
    clip_emb_BD: Float32Array
    tag_probs_BK: Float32Array | None

    @classmethod
    def of(cls, encoded: "Encoded", labels: Sequence[str] | None, frame_dtype: FrameDtype) -> "EncodedWindows":
        """What a store would hold of them."""
        with np.errstate(over="ignore"):  # what does not fit into float16 becomes infinite, and is left out
            frames = [frames_TF.astype(frame_dtype).astype(np.float32) for frames_TF in encoded.frames]
        tag_probs_BK = None if not labels or encoded.logits is None else tag_probabilities(encoded.logits)
        return cls(frames, encoded.clip, tag_probs_BK)

    @property
    def is_finite_B(self) -> npt.NDArray[np.bool_]:
        """Whether a model can take the window: neither NaN nor infinity."""
        of_frames = np.array([bool(np.isfinite(frames_TF).all()) for frames_TF in self.frames], bool)
        return of_frames & np.isfinite(self.clip_emb_BD).all(axis=1)

    def take(self, index_B: npt.NDArray[np.intp]) -> "EncodedWindows":
        """Some of them."""
        tag_probs_BK = None if self.tag_probs_BK is None else self.tag_probs_BK[index_B]
        return EncodedWindows([self.frames[at] for at in index_B], self.clip_emb_BD[index_B], tag_probs_BK)


EmbedWindows = Callable[[EncodedWindows], Float32Array]


class WindowEncoder:
    """One vector of norm 1 for each window of ten seconds; for `encode_parts` an encoder like any other.

    Args:
        encoder: the audio encoder.
        embed: the model's audio side: from B windows to (B, D), rows of norm 1.
        dim: D.
        frame_dtype: how frames were kept that the model learned from.
    """

    def __init__(self, encoder: "Encoder", embed: EmbedWindows, dim: int, frame_dtype: FrameDtype) -> None:
        self.encoder = encoder
        self.dim = dim
        self.name = encoder.name
        self.sample_rate_hz = encoder.sample_rate_hz
        self.min_samples = encoder.min_samples
        self.window_samples = round(WINDOW_S * encoder.sample_rate_hz)
        self.on_audio: Callable[[float], None] | None = None
        """Told, by whatever thread encodes, of seconds that were just encoded: a recording may take an hour."""
        self._embed = embed
        self._frame_dtype: FrameDtype = frame_dtype

    @property
    def batch_size(self) -> int:
        """At most so many clips of ten seconds at once: the audio encoder's, which halves it when memory runs out."""
        return self.encoder.batch_size

    @property
    def device(self) -> "torch.device":
        """Where the audio encoder computes."""
        return self.encoder.device

    def as_encoder(self) -> "Encoder":
        """This, for what asks for an encoder and only encodes with it."""
        return cast("Encoder", self)

    def encode(self, waves: Sequence[Float32Array]) -> "Encoded":
        """Vectors of the windows of each wave.

        Args:
            waves: mono float samples at `sample_rate_hz`, of any lengths.

        Returns:
            `frames` are the vectors, (W, D) of each wave; NaN where the encoder's own output is not finite. There is no
            vector of a whole wave: `clip` has no width.
        """
        from atrkit.encoders.base import Encoded

        bounds = [window_bounds(len(wave_N), self.window_samples) for wave_N in waves]
        windows = [wave_N[start:stop] for wave_N, each in zip(waves, bounds, strict=True) for start, stop in each]
        starts = range(0, len(windows), _WINDOWS_AT_ONCE)
        new_samples = [samples for each in bounds for samples in _samples_not_seen_before(each)]
        embedded = []
        for start in starts:
            embedded.append(self._embed_windows(windows[start : start + _WINDOWS_AT_ONCE]))
            if self.on_audio is not None:
                self.on_audio(sum(new_samples[start : start + _WINDOWS_AT_ONCE]) / self.sample_rate_hz)
        vectors_WD = np.concatenate([np.zeros((0, self.dim), np.float32), *embedded])
        ends = np.cumsum([len(each) for each in bounds])[:-1]
        return Encoded(
            frames=np.split(vectors_WD, ends) if waves else [],
            clip=np.zeros((len(waves), 0), np.float32),
            logits=None,
            padded=[len(wave_N) < self.min_samples for wave_N in waves],
        )

    def _embed_windows(self, windows: Sequence[Float32Array]) -> Float32Array:
        made = EncodedWindows.of(self.encoder.encode(windows), self.encoder.labels, self._frame_dtype)
        (usable,) = made.is_finite_B.nonzero()
        if len(usable) == len(windows):
            return self._embed(made)
        vectors_BD = np.full((len(windows), self.dim), np.nan, np.float32)
        if len(usable):
            vectors_BD[usable] = self._embed(made.take(usable))
        return vectors_BD


def _samples_not_seen_before(bounds: Sequence[tuple[int, int]]) -> list[int]:
    """How much of a wave each of its windows adds; the last one may overlap the one before.

    >>> _samples_not_seen_before([(0, 10), (10, 20), (14, 24)])
    [10, 10, 4]
    """
    ends = [0, *(stop for _, stop in bounds)]
    return [stop - max(start, end) for (start, stop), end in zip(bounds, ends, strict=False)]
