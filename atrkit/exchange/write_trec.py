"""TREC's run and qrels files: what trec_eval, ir_measures and other search tools read."""

import re
from pathlib import Path
from urllib.parse import quote, unquote

from atrkit.exchange.queries import Grades, QueryScores, best_first, crosses_a_tie, positions_in_order
from atrkit.files import open_atomic

_SEPARATES = re.compile(r"[\s%\x00]+")


def trec_id(own_id: str) -> str:
    """An id as it stands in TREC's files: blanks and `%` percent-encoded, because blanks separate the columns there.

    Example:
        >>> trec_id("eval/Santa Motor.wav#1"), trec_id("50%")
        ('eval/Santa%20Motor.wav#1', '50%25')
    """
    return _SEPARATES.sub(lambda found: quote(found.group(), safe=""), own_id)


def own_id(of_trec: str) -> str:
    """The id that `trec_id` encoded.

    Example:
        >>> own_id("eval/Santa%20Motor.wav#1")
        'eval/Santa Motor.wav#1'
    """
    return unquote(of_trec)


def write_trec_run(path: Path, queries: QueryScores, tag: str, depth: int | None = None) -> tuple[int, int, int]:
    """Write a TREC run, atomically: `query Q0 candidate rank score tag`, sorted by query, the best candidate first.

    Scores are written with as many digits as give the same number back, so equal scores stay equal and no others
    become so. trec_eval ignores the ranks and breaks ties by the candidate's id, the last in the order of its bytes
    first; lines stand in that order, so that the ranks are those that trec_eval takes.

    Args:
        path: the file.
        queries: one direction.
        tag: name of the system.
        depth: how many candidates of each query are listed; None: all.

    Returns:
        Lines; queries with equal scores among what is listed; queries whose list is cut between equal scores.

    Raises:
        ResourceError: the file cannot be written (exit code 4).

    Source: trec_eval's formats; encoding ids is our choice.
    """
    names = [trec_id(candidate_id) for candidate_id in queries.candidate_ids]
    last_first_N = -positions_in_order(names)
    depth = len(names) if depth is None else min(depth, len(names))
    tag = trec_id(tag)
    tied = cut = 0
    of_query = {trec_id(query_id): row for row, query_id in enumerate(queries.query_ids)}
    with open_atomic(path) as file:
        for name in sorted(of_query):
            scores_N = queries.scores_QN[of_query[name]]
            order_N = best_first(scores_N, last_first_N)
            listed = order_N[:depth]
            values = (scores_N[listed] + 0.0).tolist()  # -0.0 and 0.0 are equal, and are written as such
            tied += len(set(values)) < len(values)
            cut += crosses_a_tie(scores_N, order_N, depth)
            lines = [
                f"{name} Q0 {names[candidate]} {rank} {score!r} {tag}\n"
                for rank, (candidate, score) in enumerate(zip(listed.tolist(), values, strict=True), start=1)
            ]
            file.write("".join(lines).encode())
    return len(of_query) * depth, tied, cut


def write_trec_qrels(path: Path, grades: Grades) -> int:
    """Write TREC qrels, atomically: `query 0 candidate grade`, sorted by query, the highest grade first.

    Args:
        path: the file.
        grades: query id -> candidate id -> grade.

    Returns:
        Lines.

    Raises:
        ResourceError: the file cannot be written (exit code 4).

    Source: trec_eval's formats; encoding ids is our choice.
    """
    rows = sorted(
        (trec_id(query_id), -grade, trec_id(candidate_id))
        for query_id, graded in grades.items()
        for candidate_id, grade in graded.items()
    )
    with open_atomic(path) as file:
        file.write("".join(f"{query} 0 {candidate} {-less}\n" for query, less, candidate in rows).encode())
    return len(rows)
