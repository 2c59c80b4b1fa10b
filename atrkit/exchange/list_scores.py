"""Ranked lists seen as scores, so that every figure is computed by the same code, and which figures they tell.

What is not listed stands below everything that is, in no known order. A figure is known when it is the same whether
the unlisted relevant clips stand first or last there.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from atrkit.exchange.foreign import RankedLists
from atrkit.metrics.tie_blocks import PairRanks
from atrkit.score_matrix import BlockedScores, FloatArray, IntArray

Figures = dict[str, Any]


def scores_of_lists(ranked: RankedLists, clip_ids: Sequence[str], clip_of_caption: Mapping[str, str]) -> BlockedScores:
    """Lists as a matrix in blocks: minus the place in the list, equal where scores are, and -inf for unlisted clips.

    Args:
        ranked: a list for each caption.
        clip_ids: the gallery; every listed clip is in it.
        clip_of_caption: caption id -> clip id.

    Example:
        >>> from atrkit.exchange.foreign import RankedList
        >>> lists = RankedLists({"rain#1": RankedList(("sea", "rain"), np.array([.9, .2]))})
        >>> scores = scores_of_lists(lists, ["rain", "dog", "sea"], {"rain#1": "rain"})
        >>> [block.tolist() for block in scores.row_blocks()]
        [[[-1.0], [-inf], [0.0]]]
    """
    captions = list(ranked.lists)
    row_of = {clip_id: row for row, clip_id in enumerate(clip_ids)}
    row_P = np.array([row_of[clip] for caption in captions for clip in ranked.lists[caption].clip_ids], dtype=np.int64)
    column_P = np.repeat(np.arange(len(captions)), [len(ranked.lists[caption].clip_ids) for caption in captions])
    score_P = np.concatenate([_minus_better(ranked.lists[caption].scores_N) for caption in captions])
    order_P = np.argsort(row_P, kind="stable")
    row_P, column_P, score_P = row_P[order_P], column_P[order_P], score_P[order_P]

    def read_rows(start: int, stop: int) -> FloatArray:
        rows = np.full((stop - start, len(captions)), -np.inf)
        first, last = np.searchsorted(row_P, (start, stop))
        rows[row_P[first:last] - start, column_P[first:last]] = score_P[first:last]
        return rows

    return BlockedScores(read_rows, clip_ids, captions, [clip_of_caption[caption] for caption in captions])


def _minus_better(scores_N: FloatArray) -> FloatArray:
    """Minus how many of the list score higher, (N,): finite, whatever the scores are."""
    return 0.0 - np.searchsorted(np.sort(-scores_N), -scores_N, side="left")


def unlisted_first(ranks: PairRanks, listed_Q: IntArray) -> PairRanks:
    """Unlisted relevant clips directly below the list.

    Args:
        ranks: of scores as `scores_of_lists` makes them.
        listed_Q: (queries,) clips that each query lists.
    """
    is_unlisted_P, unlisted_P = _unlisted(ranks, listed_Q)
    return replace(ranks, tied_P=np.where(is_unlisted_P, unlisted_P, ranks.tied_P))


def unlisted_last(ranks: PairRanks, listed_Q: IntArray) -> PairRanks:
    """Unlisted relevant clips at the very end of the gallery; arguments as of `unlisted_first`."""
    is_unlisted_P, unlisted_P = _unlisted(ranks, listed_Q)
    return replace(
        ranks,
        better_P=np.where(is_unlisted_P, ranks.candidates - unlisted_P, ranks.better_P),
        tied_P=np.where(is_unlisted_P, unlisted_P, ranks.tied_P),
    )


def known_figures(ranks: PairRanks, listed_Q: IntArray, figures_of: Callable[[PairRanks], Figures]) -> Figures:
    """Figures, and None in the place of those that depend on the order of what is not listed.

    Args:
        ranks: of scores as `scores_of_lists` makes them.
        listed_Q: (queries,) clips that each query lists.
        figures_of: makes figures, also in dicts of dicts.
    """
    return _where_equal(figures_of(unlisted_first(ranks, listed_Q)), figures_of(unlisted_last(ranks, listed_Q)))


def _unlisted(ranks: PairRanks, listed_Q: IntArray) -> tuple[np.ndarray[Any, np.dtype[np.bool_]], IntArray]:
    """Whether each pair is not listed, (P,), and how many pairs of its query are not, (P,)."""
    is_unlisted_P = ranks.better_P == listed_Q[ranks.query_P]
    unlisted_Q = np.bincount(ranks.query_P[is_unlisted_P], minlength=ranks.queries)
    return is_unlisted_P, unlisted_Q[ranks.query_P]


def _where_equal(one: Figures, other: Figures) -> Figures:
    return {
        name: _where_equal(value, other[name]) if isinstance(value, dict) else value if value == other[name] else None
        for name, value in one.items()
    }
