"""Reads whatever file of scores it is given: the kind is told from the content."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, assert_never

from atrkit.datasets.csv_records import shown
from atrkit.errors import IntegrityError
from atrkit.exchange.arrays import read_npy_scores, read_npz_scores
from atrkit.exchange.foreign import LARGEST_IN_MEMORY_BYTES, FoundLists, FoundMatrix
from atrkit.exchange.numpy_files import HOW_TO_SAVE_SCORES
from atrkit.exchange.pairs_csv import read_pairs_csv
from atrkit.exchange.sniff import Kind, head_of, kind_of
from atrkit.exchange.submission import read_submission
from atrkit.exchange.table_header import PairColumns, SubmissionColumns, columns_of, missing_column
from atrkit.exchange.trec import looks_like_a_run, read_trec_run
from atrkit.exchange.truth import Truth
from atrkit.exchange.wide_csv import are_numbers_alone, first_two_lines, read_wide_csv, wide_columns_of
from atrkit.score_matrix import ScoreMatrix
from atrkit.store.scores import Calibration, load_score_rows

_TEXTS_TRIED = (
    "a table of pairs (columns such as clip, caption, score), a wide one (clip ids in the first column, caption ids in "
    "the first row), a challenge submission (caption, file_name_1, ...), a TREC run (query Q0 clip rank score tag)"
)


@dataclass(frozen=True, eq=False)
class FoundScores:
    """What was read.

    Args:
        found: scores with the file's own names.
        about: what an .h5 of ours says of itself; else empty.
        calibration: of an .h5 of ours.
    """

    found: FoundMatrix | FoundLists
    about: dict[str, Any]
    calibration: Calibration | None


def read_found_scores(path: Path, truth: Truth | None) -> FoundScores:
    """Read a file of scores.

    Args:
        path: .h5 of ours, .npz, .npy, table of pairs, TREC run or challenge submission, whatever its name.
        truth: where it is known already; says how many captions a text stands for.

    Raises:
        UsageError: there is no such file (exit code 2).
        IntegrityError: it is none of these, or damaged; says what was tried (exit code 5).
        DivergedError: a score is NaN (exit code 8).
    """
    kind = kind_of(path)
    match kind:
        case Kind.sealed:
            return _stored(path)
        case Kind.npz:
            return FoundScores(read_npz_scores(path), {}, None)
        case Kind.npy:
            return FoundScores(read_npy_scores(path), {}, None)
        case Kind.text:
            return FoundScores(_from_text(path, truth), {}, None)
        case _:
            assert_never(kind)


def _stored(path: Path) -> FoundScores:
    stored = load_score_rows(path, LARGEST_IN_MEMORY_BYTES)
    scores = stored.scores
    rows = scores.scores_AC if isinstance(scores, ScoreMatrix) else scores.read_rows
    found = FoundMatrix(
        rows, scores.clip_ids, scores.caption_ids, "score file of atrkit", own_clips=scores.clip_of_caption
    )
    return FoundScores(found, stored.about, stored.calibration)


def _from_text(path: Path, truth: Truth | None) -> FoundMatrix | FoundLists:
    line = _first_line(path)
    columns = columns_of(line)
    match columns:
        case PairColumns():
            return read_pairs_csv(path, columns, truth)
        case SubmissionColumns():
            return read_submission(path, columns)
        case None:
            if looks_like_a_run(line):
                return read_trec_run(path, truth)
            lines = first_two_lines(path) or [line]
            _refuse_what_is_nearly_right(path, lines[0])
            if (wide := wide_columns_of(lines)) is not None:
                return read_wide_csv(path, wide, truth)
            raise IntegrityError(f"{path}:1: {shown(line)} begins no file of scores: tried {_TEXTS_TRIED}")
        case _:
            assert_never(columns)


def _refuse_what_is_nearly_right(path: Path, line: str) -> None:
    if (missing := missing_column(line)) is not None:
        raise IntegrityError(f"{path}:1: {missing}")
    if are_numbers_alone(line):
        raise IntegrityError(
            f"{path}:1: numbers without ids (as np.savetxt writes them): save {HOW_TO_SAVE_SCORES}, or a table with "
            "clip ids in its first column and caption ids in its first row"
        )


def _first_line(path: Path) -> str:
    try:
        text = head_of(path).decode("utf-8-sig", errors="strict")
    except UnicodeDecodeError as error:
        if error.end < len(error.object):  # not a character cut in two by the end of what was read
            number = error.object.count(b"\n", 0, error.start) + 1
            raise IntegrityError(
                f"{path}:{number}: byte 0x{error.object[error.start]:02x} is not UTF-8; if the file is Latin-1: "
                "iconv -f ISO-8859-1 -t UTF-8 OLD > NEW"
            ) from None
        text = error.object[: error.start].decode("utf-8-sig")
    return next((line for line in text.splitlines() if line.strip()), "")
