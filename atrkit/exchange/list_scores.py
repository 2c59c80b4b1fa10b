"""Ranked lists seen as scores, so that every figure is computed by the same code, and which figures they tell.

What is not listed stands below what is, in no known order; where several listed clips share the last score, the list
may have been cut between equal scores, and clips that are not listed may have that score, too. One clip alone with the
last score is taken to be alone. A figure is known when it is the same wherever the unlisted clips stand.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from atrkit.exchange.foreign import RankedLists
from atrkit.metrics.tie_blocks import PairRanks
from atrkit.score_matrix import BlockedScores, FloatArray, IntArray, ScoreRows

Figures = dict[str, Any]
BoolArray = np.ndarray[Any, np.dtype[np.bool_]]


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


def open_blocks(ranked: RankedLists) -> dict[str, float]:
    """Lists that several clips with the same score end: unlisted clips may have that score, too.

    Args:
        ranked: a list for each caption.

    Returns:
        Caption id -> the score of its last block, as in `scores_of_lists`; lists with one last clip are not in it.

    Source: our choice.

    Example:
        >>> from atrkit.exchange.foreign import RankedList
        >>> tied = RankedList(("sea", "rain", "dog"), np.array([.9, .2, .2]))
        >>> open_blocks(RankedLists({"rain#1": tied, "sea#1": RankedList(("sea",), np.array([.9]))}))
        {'rain#1': -1.0}
    """
    last = {}
    for caption_id, listed in ranked.lists.items():
        scores_N = _minus_better(listed.scores_N)
        if np.count_nonzero(scores_N == scores_N.min()) > 1:
            last[caption_id] = float(scores_N.min())
    return last


@dataclass(frozen=True, eq=False)
class ListEnds:
    """Where the list of each query ends.

    Args:
        listed_Q: (queries,) clips that each query lists.
        open_Q: (queries,) how many of them share a last score that unlisted clips may have, too; 0: none do.
    """

    listed_Q: IntArray
    open_Q: IntArray

    @property
    def open_queries(self) -> int:
        """How many lists may have been cut between equal scores."""
        return int(np.count_nonzero(self.open_Q))


def list_ends(scores: ScoreRows, open_of: Mapping[str, float], captions: IntArray) -> ListEnds:
    """Where lists end in a gallery, which may be a part of the one that they are of.

    Args:
        scores: as `scores_of_lists` makes them, perhaps some rows and columns of them.
        open_of: by `open_blocks`.
        captions: (queries,) columns of the queries.
    """
    open_C = np.array([open_of.get(caption_id, np.nan) for caption_id in scores.caption_ids])
    listed_C = np.zeros(len(open_C), dtype=np.int64)
    tied_C = np.zeros(len(open_C), dtype=np.int64)
    for block in scores.row_blocks():
        listed_C += np.count_nonzero(block > -np.inf, axis=0)
        tied_C += np.count_nonzero(block == open_C, axis=0)
    tied_C[listed_C == len(scores.clip_ids)] = 0  # nothing is left that could have the last score
    return ListEnds(listed_C[captions], tied_C[captions])


def unlisted_first(ranks: PairRanks, ends: ListEnds) -> PairRanks:
    """Unlisted relevant clips as high as they can stand: in the last block where it is open, else directly below.

    Args:
        ranks: of scores as `scores_of_lists` makes them.
        ends: of the queries' lists.
    """
    is_unlisted_P, unlisted_P = _unlisted(ranks, ends)
    open_P = ends.open_Q[ranks.query_P]
    below = _below(ranks, ends)
    is_joined_P = (is_unlisted_P | _is_last(ranks, ends)) & (open_P > 0)
    return replace(
        below,
        better_P=np.where(is_joined_P, ends.listed_Q[ranks.query_P] - open_P, below.better_P),
        tied_P=np.where(is_joined_P, open_P + unlisted_P, below.tied_P),
    )


def unlisted_last(ranks: PairRanks, ends: ListEnds) -> PairRanks:
    """Unlisted relevant clips at the very end, the highest grade last; all others in the last block where it is open.

    Arguments as of `unlisted_first`.
    """
    is_unlisted_P, unlisted_P = _unlisted(ranks, ends)
    others_P = ranks.candidates - ends.listed_Q[ranks.query_P] - unlisted_P
    place_P = _places(ranks, is_unlisted_P, ranks.grade_P)
    tied_P = np.where(_is_last(ranks, ends), ranks.tied_P + others_P, ranks.tied_P)
    return replace(
        ranks,
        better_P=np.where(is_unlisted_P, ranks.candidates - unlisted_P + place_P, ranks.better_P),
        tied_P=np.where(is_unlisted_P, 1, tied_P),
    )


def known_figures(ranks: PairRanks, ends: ListEnds, figures_of: Callable[[PairRanks], Figures]) -> Figures:
    """Figures, and None in the place of those that depend on where unlisted clips stand.

    Args:
        ranks: of scores as `scores_of_lists` makes them.
        ends: of the queries' lists.
        figures_of: makes figures, also in dicts of dicts.
    """
    known = _where_equal(figures_of(unlisted_first(ranks, ends)), figures_of(unlisted_last(ranks, ends)))
    # of several grades a low one in the last block may cost what a high one loses: the lists as they stand decide, too
    return _where_equal(known, figures_of(_below(ranks, ends))) if ends.open_queries else known


def _below(ranks: PairRanks, ends: ListEnds) -> PairRanks:
    """Unlisted relevant clips directly below the list, the highest grade first."""
    is_unlisted_P, _ = _unlisted(ranks, ends)
    place_P = _places(ranks, is_unlisted_P, -ranks.grade_P)
    return replace(
        ranks, better_P=ranks.better_P + place_P * is_unlisted_P, tied_P=np.where(is_unlisted_P, 1, ranks.tied_P)
    )


def _places(ranks: PairRanks, is_unlisted_P: BoolArray, key_P: IntArray) -> IntArray:
    """Number of each unlisted pair among those of its query, the lowest key first, (P,); 0 for listed ones."""
    place_P = np.zeros(len(key_P), dtype=np.int64)
    order = np.flatnonzero(is_unlisted_P)
    order = order[np.lexsort((key_P[order], ranks.query_P[order]))]
    query = ranks.query_P[order]
    place_P[order] = np.arange(len(order)) - np.searchsorted(query, query)
    return place_P


def _is_last(ranks: PairRanks, ends: ListEnds) -> BoolArray:
    """Whether each pair is listed with a last score that unlisted clips may have, too, (P,)."""
    open_P = ends.open_Q[ranks.query_P]
    is_last_P: BoolArray = (open_P > 0) & (ranks.better_P == ends.listed_Q[ranks.query_P] - open_P)
    return is_last_P


def _unlisted(ranks: PairRanks, ends: ListEnds) -> tuple[BoolArray, IntArray]:
    """Whether each pair is not listed, (P,), and how many pairs of its query are not, (P,)."""
    is_unlisted_P = ranks.better_P == ends.listed_Q[ranks.query_P]
    unlisted_Q = np.bincount(ranks.query_P[is_unlisted_P], minlength=ranks.queries)
    return is_unlisted_P, unlisted_Q[ranks.query_P]


def _where_equal(one: Figures, other: Figures) -> Figures:
    return {
        name: _where_equal(value, other[name]) if isinstance(value, dict) else value if value == other[name] else None
        for name, value in one.items()
    }
