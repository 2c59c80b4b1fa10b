"""Hubness: how few items take all first places.

A scorer that gives some captions a high score with every clip retrieves those few again and again; the number of
distinct items at rank 1 shows it at once (paper 004: 120 of 5,225 captions for 1,045 clips on Clotho).
"""

from dataclasses import dataclass

import numpy as np

from atrkit.metrics.tie_blocks import comparable
from atrkit.score_matrix import ScoreMatrix


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


def text_to_audio_hubness(matrix: ScoreMatrix) -> Hubness:
    """Distinct clips that are first for some caption.

    Example:
        >>> captions = ["rain#1", "dog#1"]
        >>> text_to_audio_hubness(ScoreMatrix([[.9, .9], [.1, .2]], ["rain", "dog"], captions, ["rain", "dog"]))
        Hubness(distinct_at_rank_1=1.0, queries=2, candidates=2)
    """
    scores_AC = comparable(matrix)
    best_C = scores_AC.max(axis=0)
    tied_C = np.zeros(len(best_C), dtype=np.int64)
    for scores_C in scores_AC:
        tied_C += scores_C == best_C
    never_first_A = [np.prod(1.0 - 1.0 / tied_C[scores_C == best_C]) for scores_C in scores_AC]
    return Hubness(float(np.sum(1.0 - np.array(never_first_A))), len(best_C), len(scores_AC))


def audio_to_text_hubness(matrix: ScoreMatrix) -> Hubness:
    """Distinct captions that are first for some clip; clips without captions are no query.

    Source: PROTOCOL.md, "Min-max column scaling"; ties at their expectation are our choice.

    Example:
        >>> captions = ["rain#1", "dog#1"]
        >>> audio_to_text_hubness(ScoreMatrix([[.9, .1], [.8, .2]], ["rain", "dog"], captions, ["rain", "dog"]))
        Hubness(distinct_at_rank_1=1.0, queries=2, candidates=2)
    """
    scores_AC = comparable(matrix)
    queried_clips = np.unique(matrix.clip_index_of_caption_C)
    never_first_C = np.ones(scores_AC.shape[1])
    for clip in queried_clips:
        is_first_C = scores_AC[clip] == scores_AC[clip].max()
        never_first_C[is_first_C] *= 1.0 - 1.0 / np.count_nonzero(is_first_C)
    return Hubness(float(np.sum(1.0 - never_first_C)), len(queried_clips), len(never_first_C))
