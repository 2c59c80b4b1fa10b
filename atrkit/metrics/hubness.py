"""Hubness: how few items take all first places.

A scorer that gives some captions a high score with every clip retrieves those few again and again; the number of
distinct items at rank 1 shows it at once (paper 004: 120 of 5,225 captions for 1,045 clips on Clotho).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from atrkit.score_matrix import FloatArray, IntArray, ScoreRows


@dataclass(frozen=True)
class Hubness:
    """Distinct items at rank 1, of one direction.

    Args:
        distinct_at_rank_1: expected over a random order of ties, so a whole number when there are none.
        queries: how many first places there were.
        candidates: how many items there are.
    """

    distinct_at_rank_1: float
    queries: int
    candidates: int


def text_to_audio_hubness(matrix: ScoreRows) -> Hubness:
    """Distinct clips that are first for some caption.

    Example:
        >>> from atrkit import ScoreMatrix
        >>> captions = ["rain#1", "dog#1"]
        >>> text_to_audio_hubness(ScoreMatrix([[.9, .9], [.1, .2]], ["rain", "dog"], captions, ["rain", "dog"]))
        Hubness(distinct_at_rank_1=1.0, queries=2, candidates=2)
    """
    clips, captions = len(matrix.clip_ids), len(matrix.caption_ids)
    best_C, first_C, tied_C = _best_clips(matrix)
    never_first_A = np.ones(clips)
    never_first_A[first_C[tied_C == 1]] = 0.0
    tied = np.flatnonzero(tied_C > 1)
    if len(tied):  # only then are the scores read again
        for clip, scores_C in enumerate(_rows(matrix)):
            tied_with = tied_C[tied[scores_C[tied] == best_C[tied]]]
            never_first_A[clip] *= np.prod(1.0 - 1.0 / tied_with)
    return Hubness(float(np.sum(1.0 - never_first_A)), captions, clips)


def _best_clips(matrix: ScoreRows) -> tuple[FloatArray, IntArray, IntArray]:
    """For each caption its highest score, the first clip that has it, and how many have it, (C,) each; one pass."""
    first_C = np.zeros(len(matrix.caption_ids), dtype=np.int64)
    tied_C = np.zeros_like(first_C)
    best_C = np.empty(0)
    for clip, scores_C in enumerate(_rows(matrix)):
        if clip == 0:
            best_C = np.full(len(first_C), -np.inf, dtype=scores_C.dtype)
            tied_C += scores_C == best_C
        better = np.flatnonzero(scores_C > best_C)  # few, once some clips were seen
        equal = np.flatnonzero(scores_C == best_C) if clip else better[:0]
        best_C[better], first_C[better], tied_C[better] = scores_C[better], clip, 1
        tied_C[equal] += 1
    return best_C, first_C, tied_C


def _rows(matrix: ScoreRows) -> Iterator[FloatArray]:
    return (scores_C for block in matrix.row_blocks() for scores_C in block)


def audio_to_text_hubness(matrix: ScoreRows) -> Hubness:
    """Distinct captions that are first for some clip; clips without captions are no query.

    Source: PROTOCOL.md, "Min-max column scaling"; ties at their expectation are our choice.

    Example:
        >>> from atrkit import ScoreMatrix
        >>> captions = ["rain#1", "dog#1"]
        >>> audio_to_text_hubness(ScoreMatrix([[.9, .1], [.8, .2]], ["rain", "dog"], captions, ["rain", "dog"]))
        Hubness(distinct_at_rank_1=1.0, queries=2, candidates=2)
    """
    is_queried_A = np.zeros(len(matrix.clip_ids), dtype=bool)
    is_queried_A[matrix.clip_index_of_caption_C] = True
    never_first_C = np.ones(len(matrix.caption_ids))
    for scores_C, is_queried in zip(_rows(matrix), is_queried_A, strict=True):
        if is_queried:
            is_first_C = scores_C == scores_C.max()
            never_first_C[is_first_C] *= 1.0 - 1.0 / np.count_nonzero(is_first_C)
    return Hubness(float(np.sum(1.0 - never_first_C)), int(np.count_nonzero(is_queried_A)), len(never_first_C))
