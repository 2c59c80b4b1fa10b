"""Scores seen from the side of the queries: what every export lists."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, assert_never

import numpy as np

from atrkit.score_matrix import FloatArray, IntArray, ScoreRows

Direction = Literal["text-to-audio", "audio-to-text"]
Grades = Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, eq=False)
class QueryScores:
    """One direction of a score matrix.

    Args:
        query_ids: Q ids.
        candidate_ids: N ids of the gallery.
        scores_QN: (Q, N), higher is better, no NaN.
    """

    query_ids: tuple[str, ...]
    candidate_ids: tuple[str, ...]
    scores_QN: FloatArray


def query_scores(scores: ScoreRows, direction: Direction) -> QueryScores:
    """Scores with a row for each query; held in memory.

    Args:
        scores: of every pair.
        direction: "text-to-audio": captions look for clips; "audio-to-text": clips look for captions.

    Example:
        >>> from atrkit import ScoreMatrix
        >>> matrix = ScoreMatrix([[.9, .1], [.2, .8]], ["rain", "dog"], ["rain#1", "dog#1"], ["rain", "dog"])
        >>> query_scores(matrix, "text-to-audio").scores_QN.tolist()
        [[0.9, 0.2], [0.1, 0.8]]
    """
    blocks = list(scores.row_blocks())
    scores_AC = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
    match direction:
        case "text-to-audio":
            return QueryScores(scores.caption_ids, scores.clip_ids, scores_AC.T)
        case "audio-to-text":
            return QueryScores(scores.clip_ids, scores.caption_ids, scores_AC)
        case _:
            assert_never(direction)


def own_grades(scores: ScoreRows) -> dict[str, dict[str, int]]:
    """Caption id -> clip id -> 1, for each caption's own clip.

    Example:
        >>> from atrkit import ScoreMatrix
        >>> own_grades(ScoreMatrix([[.9, .1]], ["rain"], ["rain#1", "rain#2"], ["rain", "rain"]))
        {'rain#1': {'rain': 1}, 'rain#2': {'rain': 1}}
    """
    return {caption: {clip: 1} for caption, clip in zip(scores.caption_ids, scores.clip_of_caption, strict=True)}


def grades_by_clip(grades: Grades) -> dict[str, dict[str, int]]:
    """The same judgements with clips as the queries.

    Example:
        >>> grades_by_clip({"rain#1": {"rain": 1}, "rain#2": {"rain": 1}})
        {'rain': {'rain#1': 1, 'rain#2': 1}}
    """
    turned: dict[str, dict[str, int]] = {}
    for caption_id, graded in grades.items():
        for clip_id, grade in graded.items():
            turned.setdefault(clip_id, {})[caption_id] = grade
    return turned


def positions_in_order(names: Sequence[str]) -> IntArray:
    """For each name its position in the order of the characters; what breaks ties where a format must break them.

    Example:
        >>> positions_in_order(["rain", "dog", "sea"]).tolist()
        [1, 0, 2]
    """
    positions = np.empty(len(names), dtype=np.int64)
    positions[sorted(range(len(names)), key=lambda index: names[index])] = np.arange(len(names))
    return positions


def best_first(scores_N: FloatArray, tie_breaker_N: IntArray) -> IntArray:
    """Candidates from the highest score down; those with equal scores from the lowest tie-breaker up.

    Example:
        >>> best_first(np.array([.2, .9, .2]), np.array([1, 2, 0])).tolist()
        [1, 2, 0]
    """
    order_N: IntArray = np.lexsort((tie_breaker_N, -scores_N))
    return order_N


def crosses_a_tie(scores_N: FloatArray, order_N: IntArray, depth: int) -> bool:
    """Whether the last candidate of a list that is cut at a depth ties with one that is cut off.

    Example:
        >>> scores_N = np.array([.9, .2, .2])
        >>> [crosses_a_tie(scores_N, best_first(scores_N, np.arange(3)), depth) for depth in (1, 2, 3)]
        [False, True, False]
    """
    return depth < len(order_N) and bool(scores_N[order_N[depth - 1]] == scores_N[order_N[depth]])


def in_the_gallery(grades: Grades, query_ids: Iterable[str], candidate_ids: Iterable[str]) -> dict[str, dict[str, int]]:
    """Judgements of queries and candidates that are there; queries without any are left out.

    Example:
        >>> in_the_gallery({"rain#1": {"rain": 2, "sea": 1}, "sea#1": {"sea": 1}}, ["rain#1", "sea#1"], ["rain"])
        {'rain#1': {'rain': 2}}
    """
    candidates = set(candidate_ids)
    known = {
        query: {candidate: grade for candidate, grade in grades[query].items() if candidate in candidates}
        for query in query_ids
        if query in grades
    }
    return {query: graded for query, graded in known.items() if graded}
