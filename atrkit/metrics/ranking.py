"""Recall, average precision and ranks, as PROTOCOL.md defines them, with ties at their exact expectation.

`evaluate` gives the whole table. The functions below it take `TieBlocks`, one direction of a score matrix, and return
the expectation over a random order of equal scores: no candidate is ever favoured by its position. Those named in the
plural give a value per query, in the order of the matrix. Numpy only.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from atrkit.errors import UsageError
from atrkit.metrics.tie_blocks import TieBlocks, audio_to_text_blocks, text_to_audio_blocks
from atrkit.score_matrix import ScoreRows

Float64Array = npt.NDArray[np.float64]

MAP_CUTOFF = 10
MAP_CUTOFF_DCASE = 16  # of the challenge of 2025


def evaluate(matrix: ScoreRows, ks: Sequence[int] = (1, 5, 10)) -> dict[str, dict[str, Any]]:
    """All retrieval figures of a score matrix, in both directions.

    Text-to-audio: each caption is a query against the unique clips. Audio-to-text: each clip with captions is a query
    against all captions, and all of its own are relevant. Beside each figure stands what a random order would give.

    Args:
        matrix: higher is better.
        ks: the cut-offs of recall.

    Returns:
        Entries "text_to_audio" and "audio_to_text", each with R@k for every k, mAP@10 (fractions in [0, 1]), MedR, MnR
        (ranks, 1-based), queries, candidates, chance_ before the names of these figures, mAP@16, fractional_R@k,
        tied_queries (queries whose figures depend on the order of equal scores) and skipped_queries (clips without
        captions).

    Raises:
        UsageError: a k that is no positive integer.

    Source: PROTOCOL.md; DESIGN.md, section 9.

    Example:
        >>> from atrkit import ScoreMatrix
        >>> scores = [[.9, .2, .4, .7], [.1, .8, .6, .3]]
        >>> captions = ["rain#1", "rain#2", "dog#1", "dog#2"]
        >>> matrix = ScoreMatrix(scores, ["rain", "dog"], captions, ["rain", "rain", "dog", "dog"])
        >>> figures = evaluate(matrix, ks=(1, 2))
        >>> figures["text_to_audio"]["R@1"], figures["audio_to_text"]["MedR"]
        (0.5, 1.5)
    """
    wrong = [k for k in ks if not isinstance(k, int | np.integer) or isinstance(k, bool) or k < 1]
    if wrong:
        raise UsageError(f"cut-off {wrong[0]!r} of R@k is no positive whole number")
    return {
        "text_to_audio": direction_figures(text_to_audio_blocks(matrix), ks),
        "audio_to_text": direction_figures(audio_to_text_blocks(matrix), ks),
    }


def direction_figures(blocks: TieBlocks, ks: Sequence[int] = (1, 5, 10)) -> dict[str, Any]:
    """One of the two entries of `evaluate`."""
    chance = {f"chance_{name}": value for name, value in figures_of(blocks.chance(), ks).items()}
    return {
        **figures_of(blocks, ks),
        **_further_figures(blocks, ks),
        "queries": blocks.queries,
        "candidates": blocks.candidates,
        **chance,
        "tied_queries": blocks.tied_queries,
        "skipped_queries": blocks.skipped_queries,
    }


def figures_of(blocks: TieBlocks, ks: Sequence[int] = (1, 5, 10)) -> dict[str, float]:
    """R@k for every k, mAP@10, MedR and MnR of one direction."""
    return {
        **{f"R@{k}": recall_at_k(blocks, k) for k in ks},
        f"mAP@{MAP_CUTOFF}": map_at_k(blocks, MAP_CUTOFF),
        "MedR": median_rank(blocks),
        "MnR": mean_rank(blocks),
    }


def tie_bounds(blocks: TieBlocks, ks: Sequence[int] = (1, 5, 10)) -> dict[str, dict[str, float]]:
    """The same figures when all ties fall out for, and against, the relevant candidates.

    The distance between the two says how much of a figure is luck; code that sorts without care lands anywhere within.

    Returns:
        Entries "optimistic" and "pessimistic", each as `figures_of`, with mAP@16 and fractional_R@k.
    """
    bounds = {"optimistic": blocks.optimistic(), "pessimistic": blocks.pessimistic()}
    return {name: {**figures_of(bound, ks), **_further_figures(bound, ks)} for name, bound in bounds.items()}


def _further_figures(blocks: TieBlocks, ks: Sequence[int]) -> dict[str, float]:
    return {
        f"mAP@{MAP_CUTOFF_DCASE}": map_at_k(blocks, MAP_CUTOFF_DCASE),
        **{f"fractional_R@{k}": fractional_recall_at_k(blocks, k) for k in ks},
    }


def recall_at_k(blocks: TieBlocks, k: int) -> float:
    """R@k of audio-text retrieval: the fraction of queries with any relevant candidate in the top k.

    Elsewhere this is called TREC's Success@k, or hit rate; what TREC calls recall is `fractional_recall_at_k`. The two
    are equal where each query has one relevant candidate, as in text-to-audio.

    Returns:
        In [0, 1], the mean of `hits_at_k`.
    """
    return float(np.mean(hits_at_k(blocks, k)))


def fractional_recall_at_k(blocks: TieBlocks, k: int) -> float:
    """The mean fraction of a query's relevant candidates that are in the top k (TREC's recall).

    Returns:
        In [0, 1], the mean of `found_fractions_at_k`.
    """
    return float(np.mean(found_fractions_at_k(blocks, k)))


def map_at_k(blocks: TieBlocks, k: int) -> float:
    """Mean average precision over the top k.

    Returns:
        In [0, 1], the mean of `average_precisions_at_k`.
    """
    return float(np.mean(average_precisions_at_k(blocks, k)))


def median_rank(blocks: TieBlocks) -> float:
    """MedR: the plain median of first ranks, 1-based; halves stay halves."""
    return float(np.median(first_ranks(blocks)))


def mean_rank(blocks: TieBlocks) -> float:
    """MnR: the mean of first ranks, 1-based."""
    return float(np.mean(first_ranks(blocks)))


def hits_at_k(blocks: TieBlocks, k: int) -> Float64Array:
    """Probability that each query finds any relevant candidate in its top k.

    Returns:
        (queries,) in [0, 1]: `1 - C(t - m, j) / C(t, j)`, where the query's best block of t candidates, m of them
        relevant, gets j of the first k places.

    Source: PROTOCOL.md, "Ties".
    """
    first = blocks.is_first
    tied, relevant = blocks.tied[first], blocks.relevant[first]
    places = np.clip(k - blocks.better[first], 0, tied)
    miss = np.where(places > 0, 0.0, 1.0)
    is_open = (places > 0) & (relevant < tied)  # the order of ties decides
    tied, relevant, places = tied[is_open], relevant[is_open], places[is_open]
    chance_of_miss = np.ones(len(tied))
    for drawn in range(places.max(initial=0)):
        of_this_place = np.maximum(tied - relevant - drawn, 0) / np.maximum(tied - drawn, 1)
        chance_of_miss *= np.where(drawn < places, of_this_place, 1.0)
    miss[is_open] = chance_of_miss
    return 1.0 - miss


def found_fractions_at_k(blocks: TieBlocks, k: int) -> Float64Array:
    """Expected fraction of each query's relevant candidates in its top k, (queries,) in [0, 1].

    Source: PROTOCOL.md, "Ties"; what the DCASE 2023 evaluation reports for audio-to-text.
    """
    places = np.clip(k - blocks.better, 0, blocks.tied)
    return _sum_per_relevant(blocks, blocks.relevant * places / blocks.tied)


def average_precisions_at_k(blocks: TieBlocks, k: int) -> Float64Array:
    """Expected AP@k of each query, divided by all its relevant candidates also when they are more than k.

    Returns:
        (queries,) in [0, 1].

    Source: PROTOCOL.md, "Ties" (the DCASE definition).
    """
    better, tied, relevant = blocks.better, blocks.tied, blocks.relevant
    first, last = np.minimum(better, k), np.minimum(better + tied, k)
    inverse_ranks = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, last.max(initial=0) + 1))])
    # precision at rank r is (found before + 1 + (r - better - 1) * more) / r: summed over the block's places up to k
    more = (relevant - 1) / np.maximum(tied - 1, 1)
    of_first_place = (blocks.found_before + 1 - (better + 1) * more) * (inverse_ranks[last] - inverse_ranks[first])
    return _sum_per_relevant(blocks, relevant / tied * (of_first_place + more * (last - first)))


def first_ranks(blocks: TieBlocks) -> Float64Array:
    """Expected rank of each query's best relevant candidate, (queries,) 1-based.

    Source: PROTOCOL.md, "Ties": `g + (t + 1) / (m + 1)`.
    """
    first = blocks.is_first
    return np.asarray(blocks.better[first] + (blocks.tied[first] + 1) / (blocks.relevant[first] + 1))


def _sum_per_relevant(blocks: TieBlocks, value_of_block: Float64Array) -> Float64Array:
    """Sum the blocks of each query and divide by its |R|, (queries,)."""
    sum_of_query = np.bincount(blocks.query, weights=value_of_block, minlength=blocks.queries)
    return np.asarray(sum_of_query / blocks.relevant_of_query)
