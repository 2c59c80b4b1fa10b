"""A table with one line for each query: where what is relevant stands, and what was retrieved instead."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from atrkit.exchange.queries import Grades, QueryScores, best_first, positions_in_order
from atrkit.files import write_atomic
from atrkit.metrics.ranking import first_ranks
from atrkit.metrics.tie_blocks import merge_equal
from atrkit.score_matrix import FloatArray

HEADER = (
    "query", "text", "own", "first_rank", "tied", "relevant", "relevant_ranks", "best", "best_score", "best_text",
)  # fmt: skip
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")


@dataclass(frozen=True)
class RanksTable:
    """What was written.

    Args:
        rows: queries that have something relevant.
        left_out: queries that have nothing relevant among the candidates.
        guarded: cells with an apostrophe in front, so that a spreadsheet takes them for text.
    """

    rows: int
    left_out: int
    guarded: int


def write_ranks(
    path: Path, queries: QueryScores, grades: Grades, texts: Mapping[str, str], own: Mapping[str, str]
) -> RanksTable:
    """Write the table as RFC 4180 describes CSV, atomically, sorted by the queries' ids.

    Columns: the query and its text; the clip that a caption was written for (empty for clips); the expected rank of
    the best relevant candidate over random order of ties, and how many candidates that are not relevant tie with it;
    the relevant candidates, the best first, and the expected rank of each (both as JSON lists, so that ids may hold
    any character); the candidate with the highest score (of equal ones that with the lowest id), its score, its text.

    Texts and ids that begin with `=`, `+`, `-`, `@`, a tab, a carriage return or an apostrophe get an apostrophe in
    front: spreadsheets run formulas. `unguarded` takes it away again. Numbers stay numbers.

    Args:
        path: the file.
        queries: one direction.
        grades: query id -> candidate id -> grade; what is in it is relevant.
        texts: id -> text, of captions, on either side; those that are not known are left empty.
        own: caption id -> clip id; empty where clips are the queries.

    Raises:
        ResourceError: the file cannot be written (exit code 4).

    Source: PROTOCOL.md, "Ties"; the columns are our choice.
    """
    column_of = {candidate_id: column for column, candidate_id in enumerate(queries.candidate_ids)}
    order_of_ids_N = positions_in_order(queries.candidate_ids)
    row_of = {query_id: row for row, query_id in enumerate(queries.query_ids)}
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(HEADER)
    rows = guarded = 0
    for query_id in sorted(row_of):
        relevant = [column_of[candidate] for candidate in grades.get(query_id, ()) if candidate in column_of]
        if not relevant:
            continue
        scores_N = queries.scores_QN[row_of[query_id]]
        best = int(best_first(scores_N, order_of_ids_N)[0])
        best_id = queries.candidate_ids[best]
        words = [query_id, texts.get(query_id, ""), own.get(query_id, ""), best_id, texts.get(best_id, "")]
        guarded += sum(word.startswith(_FORMULA) for word in words)
        query, query_text, own_clip, best_name, best_text = map(_guarded, words)
        ranks = _ranks(queries.candidate_ids, scores_N, relevant)
        score = float(scores_N[best]) + 0.0
        writer.writerow((query, query_text, own_clip, *ranks, best_name, repr(score), best_text))
        rows += 1
    write_atomic(path, text.getvalue().encode())
    return RanksTable(rows, len(row_of) - rows, guarded)


def unguarded(cell: str) -> str:
    """A text or id as it was before `write_ranks` guarded it.

    Example:
        >>> unguarded("'=rain"), unguarded("rain")
        ('=rain', 'rain')
    """
    return cell.removeprefix("'")


def _guarded(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def _ranks(names: Sequence[str], scores_N: FloatArray, relevant: list[int]) -> tuple[float, int, str, str]:
    """First rank, candidates that tie with it and are not relevant, relevant candidates, their ranks."""
    relevant = sorted(relevant, key=lambda column: (-scores_N[column], names[column]))
    better_P = np.array([np.count_nonzero(scores_N > scores_N[column]) for column in relevant])
    tied_P = np.array([np.count_nonzero(scores_N == scores_N[column]) for column in relevant])
    blocks = merge_equal(np.zeros_like(better_P), better_P, tied_P, 1, 1, len(names))
    ranks = (better_P + (tied_P + 1) / 2).tolist()
    of_relevant = json.dumps([names[column] for column in relevant], ensure_ascii=False)
    first_rank = float(first_ranks(blocks)[0])
    return first_rank, int(blocks.tied[0] - blocks.relevant[0]), of_relevant, json.dumps(ranks)
