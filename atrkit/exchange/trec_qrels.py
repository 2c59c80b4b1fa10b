"""Reads TREC's qrels: `query 0 candidate grade`, separated by blanks."""

import re
from pathlib import Path

from atrkit.errors import UsageError
from atrkit.exchange.write_trec import own_id

_GRADE = re.compile(r"[+-]?[0-9]{1,9}")
_COLUMNS = 4


def is_trec_qrels(first_line: str) -> bool:
    """Whether a file that begins with this line can be one.

    Example:
        >>> is_trec_qrels("rain.wav#1 0 rain.wav 1"), is_trec_qrels("query,audio_filenames")
        (True, False)
    """
    columns = first_line.split()
    return len(columns) == _COLUMNS and _GRADE.fullmatch(columns[3]) is not None


def read_trec_qrels(path: Path, *, is_encoded: bool = True) -> dict[str, dict[str, int]]:
    """Judgements by id; blanks in ids are percent-encoded, as `atrkit export` writes them, or names as they stand.

    Args:
        path: the file; its second column is not looked at.
        is_encoded: ids are percent-decoded.

    Returns:
        Caption id -> clip id -> grade; a grade below 0 ("junk" in TREC's files) is 0, not relevant.

    Raises:
        UsageError: the file cannot be read, or a line of it is no judgement, or judges a pair again; names the line.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the judgements {path}: {error}") from None
    grades: dict[str, dict[str, int]] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        if not is_trec_qrels(line):
            raise UsageError(
                f"{path}:{number}: not 'query 0 clip grade' with a whole number as grade; blanks in ids are written %20"
            )
        query, _, clip, grade = line.split()
        if is_encoded:
            query, clip = own_id(query), own_id(clip)
        graded = grades.setdefault(query, {})
        if clip in graded:
            raise UsageError(f"{path}:{number}: this pair is judged on an earlier line: remove one of them")
        graded[clip] = max(int(grade), 0)
    return grades
