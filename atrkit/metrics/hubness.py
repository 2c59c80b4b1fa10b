"""Hubness: how few items take all first places.

A scorer that gives some captions a high score with every clip retrieves those few again and again; the number of
distinct items at rank 1 shows it at once (paper 004: 120 of 5,225 captions for 1,045 clips on Clotho).
"""

from dataclasses import dataclass

import numpy as np

from atrkit.score_matrix import ScoreRows


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
    captions = len(matrix.caption_ids)
    best_C = np.full(captions, -np.inf)
    for block in matrix.row_blocks():
        np.maximum(best_C, block.max(axis=0), out=best_C)
    tied_C = np.zeros(captions, dtype=np.int64)
    for block in matrix.row_blocks():
        for scores_C in block:
            tied_C += scores_C == best_C
    never_first = [
        np.prod(1.0 - 1.0 / tied_C[scores_C == best_C]) for block in matrix.row_blocks() for scores_C in block
    ]
    return Hubness(float(np.sum(1.0 - np.array(never_first))), captions, len(never_first))


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
    rows = (scores_C for block in matrix.row_blocks() for scores_C in block)
    for scores_C, is_queried in zip(rows, is_queried_A, strict=True):
        if is_queried:
            is_first_C = scores_C == scores_C.max()
            never_first_C[is_first_C] *= 1.0 - 1.0 / np.count_nonzero(is_first_C)
    return Hubness(float(np.sum(1.0 - never_first_C)), int(np.count_nonzero(is_queried_A)), len(never_first_C))
