"""Where the relevant candidates of each query stand: everything that a ranking metric needs, in a few small arrays.

A *tie block* is a set of candidates with equal scores for one query, at least one of them relevant. Blocks are
found by counting how many candidates score higher than a relevant one and how many score the same: one pass over the
score matrix, no sort, and no memory beyond a row. Chance and the bounds over ties are blocks too, so that every
metric is written once (atrkit.metrics.ranking).
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from atrkit.score_matrix import IntArray, ScoreMatrix

BoolArray = npt.NDArray[np.bool_]


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

    @cached_property
    def is_first(self) -> BoolArray:
        """(blocks,) whether the block is its query's best."""
        is_first: BoolArray = self.found_before == 0
        return is_first

    @cached_property
    def relevant_of_query(self) -> IntArray:
        """(queries,) relevant candidates of each query, |R|."""
        return np.bincount(self.query, weights=self.relevant, minlength=self.queries).astype(np.int64)

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
        )


def text_to_audio_blocks(matrix: ScoreMatrix) -> TieBlocks:
    """Tie blocks of every caption against all clips: one block per caption, around its own clip.

    Clips without a caption stay in the gallery as distractors.

    Example:
        >>> matrix = ScoreMatrix([[.9, .1], [.9, .8]], ["rain", "dog"], ["rain#1", "dog#1"], ["rain", "dog"])
        >>> text_to_audio_blocks(matrix).tied.tolist()
        [2, 1]
    """
    scores_AC = comparable(matrix)
    captions = len(matrix.caption_ids)
    own_C = scores_AC[matrix.clip_index_of_caption_C, np.arange(captions)]
    better_C = np.zeros(captions, dtype=np.int64)
    tied_C = np.zeros(captions, dtype=np.int64)
    for scores_C in scores_AC:
        better_C += scores_C > own_C
        tied_C += scores_C == own_C
    return TieBlocks(
        query=np.arange(captions),
        better=better_C,
        tied=tied_C,
        relevant=np.ones(captions, dtype=np.int64),
        found_before=np.zeros(captions, dtype=np.int64),
        queries=captions,
        candidates=len(matrix.clip_ids),
    )


def audio_to_text_blocks(matrix: ScoreMatrix) -> TieBlocks:
    """Tie blocks of every clip against all captions: one or more per clip, around its own captions.

    Clips without a caption have nothing to find: they are no query, and are counted in `skipped_queries`.

    Example:
        >>> matrix = ScoreMatrix([[.9, .9, .1]], ["rain"], ["rain#1", "rain#2", "rain#3"], ["rain"] * 3)
        >>> blocks = audio_to_text_blocks(matrix)
        >>> blocks.relevant.tolist(), blocks.better.tolist()
        ([2, 1], [0, 2])
    """
    scores_AC = comparable(matrix)
    clip_of_caption_C = matrix.clip_index_of_caption_C
    better_C = np.empty(len(clip_of_caption_C), dtype=np.int64)
    tied_C = np.empty_like(better_C)
    for caption, clip in enumerate(clip_of_caption_C):
        scores_C = scores_AC[clip]
        own = scores_C[caption]
        better_C[caption] = np.count_nonzero(scores_C > own)
        tied_C[caption] = np.count_nonzero(scores_C == own)
    queried_clips, query_of_caption_C = np.unique(clip_of_caption_C, return_inverse=True)
    return _merge_equal(query_of_caption_C, better_C, tied_C, len(queried_clips), len(matrix.clip_ids))


def _merge_equal(
    query_P: IntArray, better_P: IntArray, tied_P: IntArray, queries: int, possible_queries: int
) -> TieBlocks:
    """Join (query, relevant candidate) pairs that stand in the same block: those with equally many better ones."""
    order_P = np.lexsort((better_P, query_P))
    query_P, better_P, tied_P = query_P[order_P], better_P[order_P], tied_P[order_P]
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
        candidates=len(query_P),
        skipped_queries=possible_queries - queries,
    )


def comparable(matrix: ScoreMatrix) -> npt.NDArray[np.floating]:
    """The scores in a type that numpy compares fast, and as it would in float64.

    float16 and float32 convert to float64 exactly, so comparing them as float32 gives the same ranks without
    another copy in memory; only what is wider than float64 is rounded.
    """
    match matrix.scores_AC.dtype.itemsize:
        case 4 | 8:
            return matrix.scores_AC
        case 2:
            return matrix.scores_AC.astype(np.float32)
        case _:
            return matrix.scores_AC.astype(np.float64)
