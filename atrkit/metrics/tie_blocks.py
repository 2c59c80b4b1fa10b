"""Where the relevant candidates of each query stand: everything that a ranking metric needs, in a few small arrays.

A *tie block* is a set of candidates with equal scores for one query, at least one of them relevant. Blocks are
found by counting how many candidates score higher than a relevant one and how many score the same: one pass over the
score matrix, no sort, and no memory beyond a row. Chance and the bounds over ties are blocks too, so that every
metric is written once (atrkit.metrics.ranking).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from atrkit.metrics.counting import AT_ONCE, BoolArray, ComparisonCounts, count_in_columns
from atrkit.metrics.relevance import RelevantPairs, own_pairs
from atrkit.score_matrix import IntArray, ScoreRows

_SLOTS = 8  # relevant captions of a clip that are compared at once
_COMPARISONS_AT_ONCE = 2**21


@dataclass(frozen=True, eq=False)
class TieBlocks:
    """Blocks of equal scores that hold relevant candidates, ordered by query and, within a query, best first.

    Args:
        query: (blocks,) index of the query, 0 to queries - 1; every query has a block.
        better: (blocks,) candidates that score strictly higher than the block.
        tied: (blocks,) candidates in the block.
        relevant: (blocks,) relevant candidates in the block, at least 1.
        found_before: (blocks,) relevant candidates of the same query in earlier blocks.
        queries: number of queries.
        candidates: size of the gallery.
        skipped_queries: items on the query side that have nothing relevant in the gallery, and so are no query.
        grade_sum: (blocks,) sum of the grades of the relevant candidates in the block; None: all grades are 1.

    Source: PROTOCOL.md, "Ties": better is g there, tied t, relevant m, found_before c.
    """

    query: IntArray
    better: IntArray
    tied: IntArray
    relevant: IntArray
    found_before: IntArray
    queries: int
    candidates: int
    skipped_queries: int = 0
    grade_sum: IntArray | None = None

    @cached_property
    def is_first(self) -> BoolArray:
        """(blocks,) whether the block is its query's best."""
        is_first: BoolArray = self.found_before == 0
        return is_first

    @cached_property
    def relevant_of_query(self) -> IntArray:
        """(queries,) relevant candidates of each query, |R|."""
        return self._sum_of_query(self.relevant)

    @property
    def tied_queries(self) -> int:
        """Queries whose figures depend on the order of ties: a relevant candidate ties with one that is not."""
        return len(np.unique(self.query[self.tied > self.relevant]))

    def optimistic(self) -> "TieBlocks":
        """The same when every tie falls out for the relevant candidates."""
        return replace(self, tied=self.relevant)

    def pessimistic(self) -> "TieBlocks":
        """The same when every tie falls out against the relevant candidates."""
        return replace(self, better=self.better + self.tied - self.relevant, tied=self.relevant)

    def chance(self) -> "TieBlocks":
        """The same queries and gallery in random order: every candidate tied."""
        nothing = np.zeros(self.queries, dtype=np.int64)
        return replace(
            self,
            query=np.arange(self.queries),
            better=nothing,
            tied=np.full(self.queries, self.candidates),
            relevant=self.relevant_of_query,
            found_before=nothing,
            grade_sum=None if self.grade_sum is None else self._sum_of_query(self.grade_sum),
        )

    def _sum_of_query(self, of_block: IntArray) -> IntArray:
        return np.bincount(self.query, weights=of_block, minlength=self.queries).astype(np.int64)


@dataclass(frozen=True, eq=False)
class PairRanks:
    """Where each relevant pair stands in its query's ranking, in the order of the pairs.

    Most figures need no more than `blocks`; what depends on single pairs (their grades, their order) is found here.

    Args:
        query_P: (P,) number of the pair's query, from 0 without gaps.
        better_P: (P,) candidates that score strictly higher than the pair.
        tied_P: (P,) candidates that score the same, the pair itself included.
        grade_P: (P,) how relevant.
        queries: number of queries.
        possible_queries: items on the query side, with or without something relevant.
        candidates: size of the gallery.
    """

    query_P: IntArray
    better_P: IntArray
    tied_P: IntArray
    grade_P: IntArray
    queries: int
    possible_queries: int
    candidates: int

    def select(self, is_kept_P: BoolArray) -> "PairRanks":
        """Those pairs alone; queries that lose all of theirs are none any more."""
        queries, query_P = np.unique(self.query_P[is_kept_P], return_inverse=True)
        kept = {name: getattr(self, name)[is_kept_P] for name in ("better_P", "tied_P", "grade_P")}
        return replace(self, query_P=query_P, queries=len(queries), **kept)

    @cached_property
    def blocks(self) -> TieBlocks:
        """Pairs of one query with equal scores, joined."""
        pairs = self.query_P, self.better_P, self.tied_P
        return merge_equal(*pairs, self.queries, self.possible_queries, self.candidates, self.grade_P)


def text_to_audio_blocks(scores: ScoreRows, pairs: RelevantPairs | None = None) -> TieBlocks:
    """Tie blocks of every caption against all clips: one around each relevant clip, equal ones joined.

    Clips without a caption stay in the gallery as distractors.

    Args:
        scores: higher is better; read twice.
        pairs: what is relevant; None: each caption's own clip. Captions that are in no pair are no query, and are
            counted in `skipped_queries`.

    Example:
        >>> from atrkit import ScoreMatrix
        >>> matrix = ScoreMatrix([[.9, .1], [.9, .8]], ["rain", "dog"], ["rain#1", "dog#1"], ["rain", "dog"])
        >>> text_to_audio_blocks(matrix).tied.tolist()
        [2, 1]
    """
    return text_to_audio_ranks(scores, pairs).blocks


def audio_to_text_blocks(scores: ScoreRows, pairs: RelevantPairs | None = None) -> TieBlocks:
    """Tie blocks of every clip against all captions: one or more per clip, around the captions relevant to it.

    Args:
        scores: higher is better; read once.
        pairs: what is relevant; None: each clip's own captions. Clips that are in no pair have nothing to find: they
            are no query, and are counted in `skipped_queries`.

    Example:
        >>> from atrkit import ScoreMatrix
        >>> matrix = ScoreMatrix([[.9, .9, .1]], ["rain"], ["rain#1", "rain#2", "rain#3"], ["rain"] * 3)
        >>> blocks = audio_to_text_blocks(matrix)
        >>> blocks.relevant.tolist(), blocks.better.tolist()
        ([2, 1], [0, 2])
    """
    return audio_to_text_ranks(scores, pairs).blocks


def text_to_audio_ranks(scores: ScoreRows, pairs: RelevantPairs | None = None) -> PairRanks:
    """The relevant clips of every caption among all clips; arguments as of `text_to_audio_blocks`."""
    pairs = own_pairs(scores) if pairs is None else pairs
    captions, clips = len(scores.caption_ids), len(scores.clip_ids)
    is_own = len(pairs.caption_P) == captions and bool((pairs.caption_P == np.arange(captions)).all())
    columns_P = slice(None) if is_own else pairs.caption_P  # a slice copies nothing
    relevant_P = _scores_of(scores, pairs)
    better_P = np.zeros(len(relevant_P), dtype=np.int64)
    tied_P = np.zeros(len(relevant_P), dtype=np.int64)
    for block in scores.row_blocks():
        for start in range(0, len(block), AT_ONCE):
            scores_RP = block[start : start + AT_ONCE, columns_P]
            better_P += count_in_columns(scores_RP > relevant_P)
            tied_P += count_in_columns(scores_RP == relevant_P)
    queries, query_P = np.unique(pairs.caption_P, return_inverse=True)
    return PairRanks(query_P, better_P, tied_P, pairs.grade_P, len(queries), captions, clips)


def audio_to_text_ranks(scores: ScoreRows, pairs: RelevantPairs | None = None) -> PairRanks:
    """The relevant captions of every clip among all captions; pairs are sorted by clip, and stay in order within.

    Arguments as of `audio_to_text_blocks`.
    """
    pairs = own_pairs(scores) if pairs is None else pairs
    order_P = np.argsort(pairs.clip_P, kind="stable")
    clip_P, caption_P, grade_P = pairs.clip_P[order_P], pairs.caption_P[order_P], pairs.grade_P[order_P]
    better_P = np.empty(len(clip_P), dtype=np.int64)
    tied_P = np.empty_like(better_P)
    captions = len(scores.caption_ids)
    rows = max(1, min(AT_ONCE // 2, _COMPARISONS_AT_ONCE // (_SLOTS * captions)))
    counts = ComparisonCounts(rows, _SLOTS, captions)
    first_row = 0
    for block in scores.row_blocks():
        starts = np.searchsorted(clip_P, np.arange(first_row, first_row + len(block) + 1))
        for first in range(0, len(block), rows):
            scores_RC, ends_R = block[first : first + rows], starts[1:][first : first + rows]
            for pair_RS in _slots(starts[:-1][first : first + rows], ends_R):
                is_pair_RS = pair_RS < ends_R[:, None]
                caption_RS = caption_P[np.where(is_pair_RS, pair_RS, 0)]
                wanted_RS = scores_RC[np.arange(len(scores_RC))[:, None], caption_RS]
                found_P = pair_RS[is_pair_RS]
                better_P[found_P] = counts(np.greater, scores_RC, wanted_RS)[is_pair_RS]
                tied_P[found_P] = counts(np.equal, scores_RC, wanted_RS)[is_pair_RS]
        first_row += len(block)
    queries, query_P = np.unique(clip_P, return_inverse=True)
    return PairRanks(query_P, better_P, tied_P, grade_P, len(queries), len(scores.clip_ids), captions)


def _slots(starts_R: IntArray, ends_R: IntArray) -> Iterator[IntArray]:
    """The pairs of each row side by side, (R, at most _SLOTS) at a time; those behind a row's end are not its own."""
    most = int((ends_R - starts_R).max())
    for slot in range(0, most, _SLOTS):
        yield starts_R[:, None] + np.arange(slot, min(slot + _SLOTS, most))


def _scores_of(scores: ScoreRows, pairs: RelevantPairs) -> npt.NDArray[np.floating]:
    """The score of every relevant pair, (P,)."""
    order_P = np.argsort(pairs.clip_P, kind="stable")
    clip_P = pairs.clip_P[order_P]
    found: list[npt.NDArray[np.floating]] = []
    first_row = 0
    for block in scores.row_blocks():
        start, stop = np.searchsorted(clip_P, (first_row, first_row + len(block)))
        of_block = order_P[start:stop]
        found.append(block[pairs.clip_P[of_block] - first_row, pairs.caption_P[of_block]])
        first_row += len(block)
    in_order = np.concatenate(found)
    scores_P = np.empty_like(in_order)
    scores_P[order_P] = in_order
    return scores_P


def merge_equal(
    query_P: IntArray,
    better_P: IntArray,
    tied_P: IntArray,
    queries: int,
    possible_queries: int,
    candidates: int,
    grade_P: IntArray | None = None,
) -> TieBlocks:
    """Join (query, relevant candidate) pairs that stand in the same block: those with equally many better ones.

    Args:
        query_P: (P,) number of the pair's query, from 0 without gaps.
        better_P: (P,) candidates that score strictly higher than the pair.
        tied_P: (P,) candidates that score the same, the pair itself included.
        queries: number of queries.
        possible_queries: items on the query side; those that are no query are counted as skipped.
        candidates: size of the gallery.
        grade_P: (P,) how relevant; None: all the same.
    """
    grade_P = np.ones(len(query_P), dtype=np.int64) if grade_P is None else grade_P
    order_P = np.lexsort((better_P, query_P))
    query_P, better_P, tied_P, grade_P = query_P[order_P], better_P[order_P], tied_P[order_P], grade_P[order_P]
    starts_block_P = np.ones(len(query_P), dtype=bool)
    starts_block_P[1:] = (np.diff(query_P) != 0) | (np.diff(better_P) != 0)
    starts = np.flatnonzero(starts_block_P)
    query = query_P[starts]
    first_of_query = np.searchsorted(query_P, query)
    return TieBlocks(
        query=query,
        better=better_P[starts],
        tied=tied_P[starts],
        relevant=np.diff(np.append(starts, len(query_P))),
        found_before=starts - first_of_query,
        queries=queries,
        candidates=candidates,
        skipped_queries=possible_queries - queries,
        grade_sum=np.add.reduceat(grade_P, starts) if len(starts) else grade_P,
    )
