"""A value for every query: what figures are means of, and what intervals, comparisons and histograms need."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from atrkit.metrics.ranking import (
    MAP_CUTOFF,
    MAP_CUTOFF_DCASE,
    average_precisions_at_k,
    first_ranks,
    found_fractions_at_k,
    hits_at_k,
)
from atrkit.metrics.relevance import RelevantPairs, own_pairs
from atrkit.metrics.tie_blocks import TieBlocks, audio_to_text_blocks, text_to_audio_blocks
from atrkit.score_matrix import IntArray, ScoreRows

Float64Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class QueryValues:
    """One direction of an evaluation, query by query.

    Args:
        query_ids: (Q) ids, captions or clips.
        clip_Q: (Q,) number of the clip that each query belongs to: captions of one clip move together.
        clip_ids: ids of the clips that `clip_Q` counts.
        values: figure -> (Q,): "R@k" probability of a hit, "mAP@10" and "mAP@16" average precision,
            "fractional_R@k" share of what is relevant.
        first_rank_Q: (Q,) expected rank of the best relevant candidate, 1-based; MedR is its median, MnR its mean.
    """

    query_ids: tuple[str, ...]
    clip_Q: IntArray
    clip_ids: tuple[str, ...]
    values: dict[str, Float64Array]
    first_rank_Q: Float64Array


def text_to_audio_values(
    scores: ScoreRows,
    pairs: RelevantPairs | None = None,
    ks: Sequence[int] = (1, 5, 10),
    *,
    blocks: TieBlocks | None = None,
) -> QueryValues:
    """Every caption that has something relevant; it moves with the clip it was written for.

    Args:
        scores: of every pair.
        pairs: what is relevant; None: each caption's own clip.
        ks: cut-offs of recall.
        blocks: of these scores and pairs, where they are at hand: the scores are not read again.

    Example:
        >>> from atrkit import ScoreMatrix
        >>> matrix = ScoreMatrix([[.9, .1], [.2, .8]], ["rain", "dog"], ["rain#1", "dog#1"], ["rain", "dog"])
        >>> text_to_audio_values(matrix).first_rank_Q.tolist()
        [1.0, 1.0]
    """
    pairs = own_pairs(scores) if pairs is None else pairs
    blocks = text_to_audio_blocks(scores, pairs) if blocks is None else blocks
    captions = np.unique(pairs.caption_P)
    ids = tuple(scores.caption_ids[caption] for caption in captions)
    clip_Q = scores.clip_index_of_caption_C[captions]
    return QueryValues(ids, clip_Q, scores.clip_ids, _values(blocks, ks), first_ranks(blocks))


def audio_to_text_values(
    scores: ScoreRows,
    pairs: RelevantPairs | None = None,
    ks: Sequence[int] = (1, 5, 10),
    *,
    blocks: TieBlocks | None = None,
) -> QueryValues:
    """Every clip that has captions; the arguments are those of `text_to_audio_values`.

    Example:
        >>> from atrkit import ScoreMatrix
        >>> matrix = ScoreMatrix([[.9, .1], [.7, .8]], ["rain", "dog"], ["rain#1", "dog#1"], ["rain", "dog"])
        >>> audio_to_text_values(matrix).values["R@1"].tolist()
        [1.0, 1.0]
    """
    pairs = own_pairs(scores) if pairs is None else pairs
    blocks = audio_to_text_blocks(scores, pairs) if blocks is None else blocks
    clip_Q = np.unique(pairs.clip_P)
    ids = tuple(scores.clip_ids[clip] for clip in clip_Q)
    return QueryValues(ids, clip_Q, scores.clip_ids, _values(blocks, ks), first_ranks(blocks))


def _values(blocks: TieBlocks, ks: Sequence[int]) -> dict[str, Float64Array]:
    return {
        **{f"R@{k}": hits_at_k(blocks, k) for k in ks},
        **{f"mAP@{k}": average_precisions_at_k(blocks, k) for k in (MAP_CUTOFF, MAP_CUTOFF_DCASE)},
        **{f"fractional_R@{k}": found_fractions_at_k(blocks, k) for k in ks},
    }
