"""nDCG: retrieval judged by grades, where some relevant clips are better answers than others.

Ties are at their exact expectation, as in `ranking`: a block of equal scores shares its gain evenly over its places.
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from atrkit.metrics.tie_blocks import PairRanks
from atrkit.score_matrix import IntArray

Float64Array = npt.NDArray[np.float64]


def ndcg_at_k(ranks: PairRanks, k: int) -> float:
    """nDCG@k, the mean of `ndcgs_at_k`."""
    return float(np.mean(ndcgs_at_k(ranks, k)))


def ndcgs_at_k(ranks: PairRanks, k: int) -> Float64Array:
    """Normalised discounted cumulative gain of each query.

    The gain of a candidate is its grade, divided by log2(rank + 1); what the ranking collects in its top k is divided
    by what the best order of all graded candidates would.

    Args:
        ranks: of every candidate with a grade above 0, whatever counts as relevant elsewhere; what is not in it has
            gain 0.
        k: places that count.

    Returns:
        (queries,) in [0, 1].

    Source: our choice, as PROTOCOL.md names nDCG@k without a formula: linear gains, as trec_eval (ndcg_cut) and
        ir_measures (nDCG@k) have them.

    Example:
        >>> from atrkit import ScoreMatrix
        >>> from atrkit.metrics.relevance import judged_pairs
        >>> from atrkit.metrics.tie_blocks import text_to_audio_ranks
        >>> matrix = ScoreMatrix([[.9], [.5], [.1]], ["rain", "dog", "sea"], ["rain#1"], ["rain"])
        >>> judged = judged_pairs(matrix, {"rain#1": {"rain": 1, "sea": 3}})
        >>> ndcgs_at_k(text_to_audio_ranks(matrix, judged.pairs), 3).round(4).tolist()
        [0.6885]
    """
    blocks, discounts = ranks.blocks, _summed_discounts(k)
    assert blocks.grade_sum is not None
    last = np.minimum(blocks.better + blocks.tied, k)
    of_places = discounts[last] - discounts[np.minimum(blocks.better, k)]
    gain = np.bincount(blocks.query, weights=blocks.grade_sum / blocks.tied * of_places, minlength=blocks.queries)
    return np.asarray(gain / _ideal_gain(ranks, discounts))


def optimistic(ranks: PairRanks) -> PairRanks:
    """The same when ties fall out for the graded candidates, the highest grade first."""
    return _in_order(ranks, -ranks.grade_P, ranks.better_P)


def pessimistic(ranks: PairRanks) -> PairRanks:
    """The same when ties fall out against the graded candidates, the highest grade last."""
    blocks = ranks.blocks
    relevant_P = blocks.relevant[_block_of(ranks)]
    return _in_order(ranks, ranks.grade_P, ranks.better_P + ranks.tied_P - relevant_P)


def chance(ranks: PairRanks) -> PairRanks:
    """The same queries and gallery in random order: every candidate tied."""
    return replace(ranks, better_P=np.zeros_like(ranks.better_P), tied_P=np.full_like(ranks.tied_P, ranks.candidates))


def _summed_discounts(k: int) -> Float64Array:
    """Sum of 1 / log2(rank + 1) over the first n places, (k + 1,) for n from 0."""
    return np.concatenate([[0.0], np.cumsum(1 / np.log2(np.arange(2, k + 2)))])


def _ideal_gain(ranks: PairRanks, discounts: Float64Array) -> Float64Array:
    """What the best order collects, (queries,)."""
    order_P = np.lexsort((-ranks.grade_P, ranks.query_P))
    query_P, grade_P = ranks.query_P[order_P], ranks.grade_P[order_P]
    place_P = np.minimum(np.arange(len(query_P)) - np.searchsorted(query_P, query_P), len(discounts) - 1)
    discount_P = np.diff(discounts, append=discounts[-1])[place_P]
    return np.asarray(np.bincount(query_P, weights=grade_P * discount_P, minlength=ranks.queries), dtype=np.float64)


def _block_of(ranks: PairRanks) -> IntArray:
    """Number of the block in `ranks.blocks` that each pair is in, (P,)."""
    return np.unique(np.stack([ranks.query_P, ranks.better_P]), axis=1, return_inverse=True)[1].ravel()


def _in_order(ranks: PairRanks, key_P: IntArray, first_place_P: IntArray) -> PairRanks:
    """Pairs of one block one after the other, the lowest key first, from the block's first place."""
    block_P = _block_of(ranks)
    order_P = np.lexsort((key_P, block_P))
    within_P = np.empty_like(block_P)
    within_P[order_P] = np.arange(len(order_P)) - np.searchsorted(block_P[order_P], block_P[order_P])
    return replace(ranks, better_P=first_place_P + within_P, tied_P=np.ones_like(ranks.tied_P))
