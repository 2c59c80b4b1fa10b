"""Scores of pairs by co-attention, where nothing that depends on one side alone is computed once per pair."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from atrkit.errors import DivergedError, UsageError
from atrkit.models.co_attention import Side
from atrkit.models.co_attention_retriever import CoAttentionRetriever
from atrkit.models.distinct import distinct_sequences
from atrkit.models.ragged import Ragged
from atrkit.models.retriever import ClipInputs, evaluating
from atrkit.scoring.pair_blocks import BLOCK_FRAMES, BLOCK_WORDS, by_length, pairs_in_blocks

Float32Array = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

# rows of frames and words that go through a unit at once
_CHUNK_ROWS = {"cpu": 1 << 11, "cuda": 1 << 16}


def score_all_by_co_attention(
    model: CoAttentionRetriever,
    clips: ClipInputs,
    captions: Ragged,
    *,
    clip_ids: Sequence[str] | None = None,
    caption_ids: Sequence[str] | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> Float32Array:
    """Score every clip with every caption.

    Captions that are prepared to the same numbers are scored once, so that duplicates tie.

    Args:
        model: in any mode; it is evaluated in evaluation mode, where its weights are.
        clips: frames.
        captions: as `prepare_captions` made them.
        clip_ids: for error messages; None: positions.
        caption_ids: for error messages; None: positions.
        on_progress: told of how many clips as many pairs as they have are finished.

    Returns:
        (A, C) float32, higher is better. What a pair gets does not depend on the others, up to rounding (1e-5).

    Raises:
        UsageError: a clip without frames or a caption without words.
        DivergedError: a clip or caption is not finite inside; names it.
    """
    first_U, place_C = distinct_sequences(captions)
    pairs_left = 0

    def told_in_clips(pairs: int) -> None:
        nonlocal pairs_left
        finished, pairs_left = divmod(pairs_left + pairs, len(first_U))
        if on_progress and finished:
            on_progress(finished)

    score = _PairScorer(model, clips, captions, clip_ids, caption_ids, told_in_clips)
    scores_AU = np.empty((len(clips), len(first_U)), dtype=np.float32)
    for block_B in by_length(clips.lengths_A.numpy(force=True), np.arange(len(clips)), BLOCK_FRAMES):
        clip_index_N = np.repeat(block_B, len(first_U))
        scores_AU[block_B] = score(clip_index_N, np.tile(first_U, len(block_B))).reshape(len(block_B), -1)
    return scores_AU[:, place_C]


def score_pairs_by_co_attention(
    model: CoAttentionRetriever,
    clips: ClipInputs,
    captions: Ragged,
    clip_index_N: npt.ArrayLike,
    caption_index_N: npt.ArrayLike,
    *,
    clip_ids: Sequence[str] | None = None,
    caption_ids: Sequence[str] | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> Float32Array:
    """Score listed pairs.

    Args:
        model: as in `score_all_by_co_attention`.
        clips: that the positions refer to.
        captions: that the positions refer to, prepared.
        clip_index_N: clip of each pair, any order and repetitions.
        caption_index_N: caption of each pair.
        clip_ids: for error messages; None: positions.
        caption_ids: for error messages; None: positions.
        on_progress: told the number of pairs of each finished block.

    Returns:
        (N,) float32; those of `score_all_by_co_attention`, up to rounding.

    Raises:
        UsageError, DivergedError: as `score_all_by_co_attention`, of clips and captions that are in a pair.
    """
    clip_N, caption_N = (np.asarray(index, dtype=np.int64) for index in (clip_index_N, caption_index_N))
    return _PairScorer(model, clips, captions, clip_ids, caption_ids, on_progress)(clip_N, caption_N)


class _PairScorer:
    """Scores listed pairs, block of clips by block of captions, so that memory does not grow with the collection."""

    def __init__(
        self,
        model: CoAttentionRetriever,
        clips: ClipInputs,
        captions: Ragged,
        clip_ids: Sequence[str] | None,
        caption_ids: Sequence[str] | None,
        on_progress: Callable[[int], None] | None = None,
    ) -> None:
        self._model = model
        self._frames = clips.frames[0]
        self._captions = captions
        self._ids = {"clip": clip_ids, "caption": caption_ids}
        self._on_progress = on_progress
        self._frames_A = self._frames.lengths_A.numpy(force=True)
        self._words_C = captions.lengths_A.numpy(force=True)

    @torch.inference_mode()
    def __call__(self, clip_N: IntArray, caption_N: IntArray) -> Float32Array:
        """(N,) scores of pairs of positions."""
        scores_N = np.empty(len(clip_N), dtype=np.float32)
        with evaluating(self._model):
            for of_clips in pairs_in_blocks(clip_N, self._frames_A, BLOCK_FRAMES):
                clips_B, clip_row_N = np.unique(clip_N[of_clips], return_inverse=True)
                frames = self._start(self._model.start_clips, self._frames, clips_B, "clip")
                for inside in pairs_in_blocks(caption_N[of_clips], self._words_C, BLOCK_WORDS):
                    pairs = of_clips[inside]
                    captions_B, caption_row_N = np.unique(caption_N[pairs], return_inverse=True)
                    words = self._start(self._model.start_captions, self._captions, captions_B, "caption")
                    scores_N[pairs] = self._score_block(frames, words, clip_row_N[inside], caption_row_N)
                    if self._on_progress:
                        self._on_progress(len(pairs))
        return scores_N

    def _start(self, start: Callable[..., Side], items: Ragged, index_B: IntArray, kind: str) -> Side:
        """What depends on one side alone."""
        index = torch.from_numpy(index_B).to(items.offsets.device)
        if len(empty := index_B[(items.lengths_A[index] == 0).numpy(force=True)]):
            raise UsageError(f"{self._named(kind, int(empty[0]))} has nothing to score: its length is 0")
        padded, lengths_B = items.gather(index)
        side = start(padded.to(self._model.device), lengths_B.to(self._model.device))
        is_broken_B = ~side.x_PTD.isfinite().flatten(1).all(dim=1)  # padding is finite
        if len(broken := index_B[is_broken_B.numpy(force=True)]):
            raise DivergedError(f"{self._named(kind, int(broken[0]))} is not finite inside the model: no score")
        return side

    def _score_block(self, frames: Side, words: Side, clip_N: IntArray, caption_N: IntArray) -> Float32Array:
        """Scores of pairs of rows of both sides; pairs of like lengths go together, and are padded to their longest."""
        frame_lengths_N, word_lengths_N = frames.lengths_P.numpy(force=True), words.lengths_P.numpy(force=True)
        lengths_N = frame_lengths_N[clip_N] + word_lengths_N[caption_N]
        order_N = np.lexsort((word_lengths_N[caption_N], frame_lengths_N[clip_N]))
        rows_at_once = _CHUNK_ROWS.get(frames.x_PTD.device.type, _CHUNK_ROWS["cuda"])
        step = max(1, rows_at_once // int(lengths_N.max()))
        scores_N = np.empty(len(clip_N), dtype=np.float32)
        for start in range(0, len(order_N), step):
            pairs = order_N[start : start + step]
            score_P = self._model.score_pairs(_rows(frames, clip_N[pairs]), _rows(words, caption_N[pairs]))
            scores_N[pairs] = score_P.numpy(force=True)
        return scores_N

    def _named(self, kind: str, position: int) -> str:
        ids = self._ids[kind]
        return f"{kind} {position} (counted from 0)" if ids is None else f"{kind} {ids[position]!r}"


def _rows(side: Side, index_P: IntArray) -> Side:
    """Pairs' rows of one side, without what is padding to all of them."""
    index = torch.from_numpy(index_P).to(side.lengths_P.device)
    lengths_P = side.lengths_P[index]
    longest = int(lengths_P.max())

    def taken(part: Tensor) -> Tensor:
        return part[:, :longest].index_select(0, index)

    return Side(taken(side.x_PTD), taken(side.q_PTD), taken(side.kv_PTD), lengths_P)
