"""Training data in memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from atrkit.errors import DivergedError, UsageError
from atrkit.models import Ragged
from atrkit.text.normalise import words_of

CaptionChoice = Literal["random", "all"]
_CHUNK_FRAMES = 1 << 12
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Frame embeddings and captions of one split.

    Frames are kept as they were stored, float16 for example, and may be mapped from a file: no step here copies all of
    them.

    Args:
        frames: (T, F) frame embeddings of each clip; float16 or float32.
        clip_ids: unique.
        captions: of each clip, at least one; normalised where they are read.
        more_frames: of further encoders, of the same clips in the same order.
        auxiliary_captions: one generated caption of each clip, for models that read them, or to learn from; or None.
        shows_auxiliary: every epoch also pairs each clip with its generated caption (paper 001, section 3.2.2).

    Raises:
        UsageError: counts that disagree, a clip id that occurs twice, a clip without frames or captions.
        DivergedError: a frame is NaN or infinite; names the clips.
    """

    frames: Ragged
    clip_ids: tuple[str, ...]
    captions: tuple[tuple[str, ...], ...]
    more_frames: tuple[Ragged, ...] = ()
    auxiliary_captions: tuple[str, ...] | None = None
    shows_auxiliary: bool = False

    def __post_init__(self) -> None:
        if not len(self.frames) == len(self.clip_ids) == len(self.captions):
            raise UsageError(
                f"frames of {len(self.frames)} clips, {len(self.clip_ids)} clip ids and captions of "
                f"{len(self.captions)} clips: the three must agree"
            )
        if len(set(self.clip_ids)) != len(self.clip_ids):
            raise UsageError("clip ids must be unique, and one occurs more than once")
        if self.auxiliary_captions is not None and len(self.auxiliary_captions) != len(self.clip_ids):
            raise UsageError(f"{len(self.auxiliary_captions)} auxiliary captions of {len(self.clip_ids)} clips")
        if self.shows_auxiliary and self.auxiliary_captions is None:
            raise UsageError("generated captions are to be learned from, and there are none")
        silent = [clip_id for clip_id, texts in zip(self.clip_ids, self.captions, strict=True) if not texts]
        if silent:
            raise UsageError(f"{named(silent)} without a caption: leave clips without captions out of training")
        for frames in self.all_frames:
            self._refuse_bad_frames(frames)

    def _refuse_bad_frames(self, frames: Ragged) -> None:
        if len(frames) != len(self.clip_ids):
            raise UsageError(f"frames of {len(frames)} clips, and {len(self.clip_ids)} clips: the two must agree")
        if empty := self._ids((frames.lengths_A == 0).nonzero()[:, 0]):
            raise UsageError(f"{named(empty)} without a frame: extract the embeddings again")
        is_finite_N = torch.cat([chunk_NF.isfinite().all(dim=1) for chunk_NF in _chunks(frames)])
        bad_rows = (~is_finite_N).nonzero()[:, 0]
        if len(bad_rows):
            index = torch.searchsorted(frames.offsets, bad_rows, right=True).unique() - 1
            raise DivergedError(f"NaN or infinity in the frames of {named(self._ids(index))}: extract them again")

    def __len__(self) -> int:
        """Number of clips."""
        return len(self.clip_ids)

    @property
    def all_frames(self) -> tuple[Ragged, ...]:
        """Of every encoder, the first one first."""
        return (self.frames, *self.more_frames)

    @cached_property
    def all_captions(self) -> list[str]:
        """Captions of all clips, in the order of the clips."""
        return [caption for texts in self.captions for caption in texts]

    @cached_property
    def shown_captions(self) -> list[str]:
        """What pairs refer to: `all_captions`, and behind them the generated one of each clip where it is shown."""
        generated = (self.auxiliary_captions or ()) if self.shows_auxiliary else ()
        return [*self.all_captions, *generated]

    @cached_property
    def captions_per_clip_A(self) -> IntArray:
        """How many captions each clip has, (A,)."""
        return np.array([len(texts) for texts in self.captions], dtype=np.int64)

    @cached_property
    def first_caption_A(self) -> IntArray:
        """Where each clip's captions start in `all_captions`, (A,)."""
        return np.cumsum(self.captions_per_clip_A) - self.captions_per_clip_A

    @cached_property
    def clip_index_of_caption_C(self) -> IntArray:
        """The clip of each of `all_captions`, (C,)."""
        return np.repeat(np.arange(len(self)), self.captions_per_clip_A)

    @cached_property
    def words_of_caption_C(self) -> IntArray:
        """How many words each of `all_captions` has, (C,)."""
        return np.array([len(words_of(caption)) for caption in self.all_captions], dtype=np.int64)

    @cached_property
    def sha256(self) -> str:
        """Digest of ids, captions and frames: says whether a resumed training sees the same data.

        Equal frames count as the same whether they are kept in float16 or float32.
        """
        digest = sha256(repr((self.clip_ids, self.captions)).encode())
        if self.auxiliary_captions is not None:
            digest.update(repr((self.auxiliary_captions, self.shows_auxiliary)).encode())
        for frames in self.all_frames:
            digest.update(frames.offsets.cpu().numpy().data)
            for chunk_NF in _chunks(frames):
                digest.update(chunk_NF.cpu().float().contiguous().numpy().data)
        return digest.hexdigest()

    def _ids(self, index: Tensor) -> list[str]:
        return [self.clip_ids[a] for a in index.tolist()]


def _chunks(frames: Ragged) -> tuple[Tensor, ...]:
    return tuple(frames.values.split(_CHUNK_FRAMES))


def named(clip_ids: Sequence[str], at_most: int = 5) -> str:
    """Name clips in an error message.

    >>> named(["a", "b", "c"], at_most=2)
    "3 clips ('a', 'b', ...)"
    >>> named(["a"])
    "clip 'a'"
    """
    if len(clip_ids) == 1:
        return f"clip {clip_ids[0]!r}"
    dots = ", ..." if len(clip_ids) > at_most else ""
    return f"{len(clip_ids)} clips ({', '.join(map(repr, clip_ids[:at_most]))}{dots})"
