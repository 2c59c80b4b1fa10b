"""Tables with a row for each pair: clip, caption, score."""

import csv
import io
import math
from pathlib import Path

from atrkit.datasets.csv_records import shown
from atrkit.errors import DivergedError, IntegrityError
from atrkit.exchange.foreign import FoundLists, FoundMatrix
from atrkit.exchange.pairs import ArrangedPairs, Pairs
from atrkit.exchange.table_header import SCORE_COLUMNS, PairColumns, columns_not_read
from atrkit.exchange.truth import Truth

FORMAT_NAME = "table of pairs"


def read_pairs_csv(path: Path, columns: PairColumns, truth: Truth | None) -> FoundMatrix | FoundLists:
    """Read scores of pairs.

    All pairs of the captions and clips that occur make a matrix. Otherwise they are lists of the best when every
    caption lists equally many clips, or none lists more than half of them; anything else looks like a damaged matrix
    and is refused.

    Args:
        path: the table, in UTF-8.
        columns: what its header says.
        truth: says how many captions a text stands for.

    Raises:
        IntegrityError: a row or score that is none, a pair that occurs again, or pairs that are missing; with file,
            line and column (exit code 5).
        DivergedError: a score is NaN (exit code 8).
    """
    pairs = Pairs(path)
    blank_lines = 0
    with path.open("rb") as binary, io.TextIOWrapper(binary, "utf-8-sig", newline="") as text:
        rows = csv.reader(text, delimiter=columns.delimiter, strict=True)
        try:
            header = next(rows)
            _refuse_two_scores(path, header)
            for row in rows:
                if not row:
                    blank_lines += 1
                    continue
                if len(row) != len(header):
                    raise IntegrityError(
                        f"{path}:{rows.line_num}: {len(row)} columns where the header has {len(header)}: put text "
                        "that holds the delimiter between double quotes"
                    )
                line = rows.line_num
                score = as_score(path, line, shown(header[columns.score]), row[columns.score])
                pairs.add(*_names(path, line, header, row, columns), score, line)
        except csv.Error as error:
            raise IntegrityError(
                f"{path}:{rows.line_num}: {error}: is a quote left open, or is it no table of clip, caption, score?"
            ) from None
        except UnicodeDecodeError as error:
            raise IntegrityError(
                f"{path}:{rows.line_num + 1} or later: byte 0x{error.object[error.start]:02x} is not UTF-8; if the "
                "file is Latin-1: iconv -f ISO-8859-1 -t UTF-8 OLD > NEW"
            ) from None
    if not pairs.score_P:
        raise IntegrityError(f"{path}: only the column names are there: add one row per pair of clip and caption")
    notes = columns_not_read(header, {columns.caption, columns.clip, columns.score})
    notes += [f"{blank_lines:,} blank lines were skipped"] if blank_lines else []
    if columns.delimiter not in ",\t":
        notes.append(f"columns are separated by {shown(columns.delimiter)}")
    return _matrix_or_lists(path, pairs.arranged(truth), tuple(notes))


def _refuse_two_scores(path: Path, header: list[str]) -> None:
    of_scores = [name for name in header if name.strip().lower() in SCORE_COLUMNS]
    if len(of_scores) > 1:
        raise IntegrityError(
            f"{path}:1: columns {' and '.join(map(shown, of_scores))} may all hold the scores: keep one, and rename "
            "or remove the others"
        )


def as_score(path: Path, line: int, column: str, cell: str) -> float:
    """A score in a cell.

    Raises:
        IntegrityError: it is no number (exit code 5).
        DivergedError: it is NaN (exit code 8).
    """
    try:
        score = float(cell)
    except ValueError:
        score = None
    if score is None or "_" in cell:
        hint = "write the decimal sign as a point" if "," in cell else "a score is a number, higher is better"
        raise IntegrityError(f"{path}:{line}: column {column}: {shown(cell)} is no number: {hint}")
    if math.isnan(score):
        raise DivergedError(
            f"{path}:{line}: column {column}: the score is NaN: no ranking can be computed; the model that made it has "
            "diverged"
        )
    return score


def _names(path: Path, line: int, header: list[str], row: list[str], columns: PairColumns) -> tuple[str, str]:
    """Caption and clip."""
    caption, clip = row[columns.caption], row[columns.clip]
    if not caption.strip() or not clip.strip():
        column = columns.clip if caption.strip() else columns.caption
        raise IntegrityError(f"{path}:{line}: column {shown(header[column])} is empty: fill it in, or remove the row")
    return caption, clip


def _matrix_or_lists(path: Path, arranged: ArrangedPairs, notes: tuple[str, ...]) -> FoundMatrix | FoundLists:
    if not arranged.missing:
        return arranged.as_matrix(FORMAT_NAME, notes=notes)
    listed_C = arranged.listed_C
    fewest, most = int(listed_C.min()), int(listed_C.max())
    if fewest < most and 2 * most > len(arranged.clips):
        caption, clip = arranged.first_missing()
        raise IntegrityError(
            f"{path}: {arranged.missing:,} of {len(arranged.captions) * len(arranged.clips):,} pairs have no score, "
            f"the first is caption {shown(caption)} with clip {shown(clip)}: score every pair, or list equally many "
            "clips for every caption"
        )
    depth = f"{fewest:,}" if fewest == most else f"{fewest:,} to {most:,}"
    notes += (f"taken as lists of the best {depth} clips: {arranged.missing:,} pairs are not listed (which is no 0)",)
    return arranged.as_lists(f"{FORMAT_NAME}, lists", notes=notes)
