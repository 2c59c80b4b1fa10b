"""Qrels: grades of clips for queries, by id, in BEIR's tab-separated form.

TREC's own form separates by blanks, and Clotho's ids have blanks in them.
"""

import csv
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from atrkit.errors import IntegrityError, UsageError

HEADER = ("query-id", "corpus-id", "score")
_GRADE = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True)
class Qrels:
    """Judgements of one split.

    Args:
        name: of the annotation, such as "dcase2025".
        split: whose captions are the queries and whose clips were judged.
        grades: query id -> clip id -> grade; 0 is "judged, and not relevant". What was not judged is not in it.

    Example:
        >>> qrels = Qrels("ours", "eval", {"rain.wav#1": {"rain.wav": 100, "dog.wav": 0}})
        >>> [qrels.grade("rain.wav#1", clip) for clip in ("rain.wav", "dog.wav", "sea.wav")]
        [100, 0, None]
    """

    name: str
    split: str
    grades: Mapping[str, Mapping[str, int]]

    @property
    def query_ids(self) -> tuple[str, ...]:
        """Ids of the captions that were judged, sorted."""
        return tuple(sorted(self.grades))

    @property
    def clip_ids(self) -> tuple[str, ...]:
        """Ids of all clips that were judged for any query, sorted."""
        return tuple(sorted({clip_id for graded in self.grades.values() for clip_id in graded}))

    def grade(self, query_id: str, clip_id: str) -> int | None:
        """The grade; None when this pair was not judged."""
        return self.grades.get(query_id, {}).get(clip_id)

    def relevant(self, query_id: str, least_grade: int = 1) -> tuple[str, ...]:
        """Clips with at least that grade, sorted."""
        graded = self.grades.get(query_id, {})
        return tuple(sorted(clip_id for clip_id, grade in graded.items() if grade >= least_grade))

    @property
    def judgements(self) -> int:
        """How many pairs of query and clip were judged."""
        return sum(map(len, self.grades.values()))


def qrels_bytes(qrels: Qrels) -> bytes:
    """The file's content: sorted by query, then from the highest grade down."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t", lineterminator="\n")
    writer.writerow(HEADER)
    for query_id in qrels.query_ids:
        graded = sorted(qrels.grades[query_id].items(), key=lambda item: (-item[1], item[0]))
        writer.writerows((query_id, clip_id, grade) for clip_id, grade in graded)
    return text.getvalue().encode()


def load_qrels(path: Path) -> Qrels:
    """Read qrels, those beside a manifest or your own.

    Args:
        path: `<name>.<split>.tsv` with the header query-id, corpus-id, score; grades are whole numbers from 0.

    Raises:
        UsageError: the file cannot be read (exit code 2).
        IntegrityError: it is no such table; names the line (exit code 5).
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read the judgements {path}: {error.strerror or error}") from None
    return parse_qrels(path, data)


def parse_qrels(path: Path, data: bytes) -> Qrels:
    """Qrels from a file's content; `path` names them."""
    try:
        rows = csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), delimiter="\t", strict=True)
        if tuple(next(rows, ())) != HEADER:
            raise ValueError(f"its first line is not {', '.join(HEADER)}, separated by tabs")
        grades: dict[str, dict[str, int]] = {}
        for row in rows:
            if len(row) != len(HEADER) or not _GRADE.fullmatch(row[2]):
                raise ValueError(f"line {rows.line_num} is not a query, a clip and a whole number")
            query_id, clip_id, grade = row
            if clip_id in grades.setdefault(query_id, {}):
                raise ValueError(f"line {rows.line_num} judges a pair again")
            grades[query_id][clip_id] = int(grade)
    except (ValueError, csv.Error) as error:
        raise IntegrityError(f"{path} is damaged or no qrels ({error}); make it again with --relevance") from None
    name, _, split = path.name.removesuffix(".tsv").partition(".")
    return Qrels(name, split, grades)
