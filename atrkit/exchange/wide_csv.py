"""Tables with a row for each clip and a column for each caption, as pandas writes a DataFrame with ids."""

import csv
import io
import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from atrkit.datasets.csv_records import shown
from atrkit.errors import IntegrityError
from atrkit.exchange.foreign import FoundMatrix
from atrkit.exchange.pairs_csv import as_score
from atrkit.exchange.truth import CAPTION_ID_COLUMNS, CAPTION_TEXT_COLUMNS, CLIP_COLUMNS, DELIMITERS, Truth

FORMAT_NAME = "wide table"
_FEWEST_CELLS = 2
_CORNERS = ("", *CLIP_COLUMNS, *CAPTION_ID_COLUMNS, *CAPTION_TEXT_COLUMNS)  # pandas: the index has no name, or one


@dataclass(frozen=True)
class WideColumns:
    """A table with ids in its first row and first column.

    Args:
        delimiter: between the columns.
    """

    delimiter: str


def wide_columns_of(lines: list[str]) -> WideColumns | None:
    """Recognise a wide table by its first two lines: ids, and then a name and as many numbers.

    Example:
        >>> wide_columns_of([",rain#1,dog#1", "rain.wav,0.9,0.1"])
        WideColumns(delimiter=',')
        >>> wide_columns_of(["0.9,0.1", "0.3,0.2"]) is None
        True
    """
    for delimiter in DELIMITERS:
        try:
            header, *rows = [next(csv.reader([line], delimiter=delimiter), []) for line in lines[:2]]
        except (csv.Error, ValueError):
            continue
        if len(header) < _FEWEST_CELLS or not rows or len(rows[0]) != len(header) or header[0].strip() not in _CORNERS:
            continue
        if all(map(is_number, rows[0][1:])):
            return WideColumns(delimiter)
    return None


def first_two_lines(path: Path) -> list[str]:
    """The first lines that are not blank, whole, however long; undecodable bytes are not looked at here."""
    with path.open("rb") as file:
        lines = (line.decode("utf-8-sig", errors="replace").rstrip("\r\n") for line in file)
        return list(itertools.islice((line for line in lines if line.strip()), 2))


def are_numbers_alone(line: str) -> bool:
    """Whether a line is numbers and nothing else, at least two of them, as np.savetxt writes.

    Example:
        >>> are_numbers_alone("1.0e+00,2.5e-01"), are_numbers_alone("0.1 0.2"), are_numbers_alone("a,0.1")
        (True, True, False)
    """
    cells = line.replace(",", " ").replace(";", " ").split()
    return len(cells) >= _FEWEST_CELLS and all(map(is_number, cells))


def is_number(cell: str) -> bool:
    """Whether a cell is a number."""
    try:
        float(cell)
    except ValueError:
        return False
    return True


def read_wide_csv(path: Path, columns: WideColumns, truth: Truth | None) -> FoundMatrix:
    """Read scores from a wide table; one whose rows are captions is turned where the truth says so.

    Args:
        path: the table, in UTF-8.
        columns: how it is separated.
        truth: which of its names are clips.

    Raises:
        IntegrityError: a row has another length, or a cell is no number; with file, line and column (exit code 5).
        DivergedError: a score is NaN (exit code 8).
    """
    names: list[str] = []
    rows: list[np.ndarray[tuple[int], np.dtype[np.float64]]] = []
    with path.open("rb") as binary, io.TextIOWrapper(binary, "utf-8-sig", newline="") as text:
        cells = csv.reader(text, delimiter=columns.delimiter, strict=True)
        try:
            header = next(row for row in cells if row)
            columns_shown = [shown(name) for name in header[1:]]
            for row in cells:
                if not row:
                    continue
                line = cells.line_num
                if len(row) != len(header):
                    raise IntegrityError(f"{path}:{line}: {len(row)} columns where the header has {len(header)}")
                names.append(row[0])
                scores = (as_score(path, line, name, cell) for name, cell in zip(columns_shown, row[1:], strict=True))
                rows.append(np.fromiter(scores, dtype=np.float64, count=len(header) - 1))
        except (csv.Error, UnicodeDecodeError) as error:
            raise IntegrityError(
                f"{path}:{cells.line_num} or later: {error}: save it as UTF-8, quoted as CSV"
            ) from None
    scores_AC, heads = np.stack(rows), tuple(header[1:])
    if truth is not None and _are_captions(names, heads, truth):
        note = "its rows are captions and its columns clips: turned"
        return FoundMatrix(scores_AC.T, heads, tuple(names), FORMAT_NAME, notes=(note,))
    return FoundMatrix(scores_AC, tuple(names), heads, FORMAT_NAME)


def _are_captions(rows: list[str], heads: tuple[str, ...], truth: Truth) -> bool:
    """Whether the rows are called as captions and not as clips, and the columns the other way round."""
    if any(truth.clip_named(name).ids for name in rows) or any(truth.captions_named(name).ids for name in heads):
        return False
    return all(truth.clip_named(name).ids for name in heads) and all(truth.captions_named(name).ids for name in rows)
