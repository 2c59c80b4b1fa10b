"""What participants of DCASE's language-based audio retrieval hand in: the ten best file names of each caption."""

from pathlib import Path

import numpy as np

from atrkit.datasets.csv_records import Record, read_records, shown
from atrkit.errors import IntegrityError
from atrkit.exchange.foreign import FoundLists, RankedList
from atrkit.exchange.table_header import SubmissionColumns, columns_not_read

FORMAT_NAME = "challenge submission"


def read_submission(path: Path, columns: SubmissionColumns) -> FoundLists:
    """Read ranked file names; the first is the best.

    Args:
        path: `caption,file_name_1,...,file_name_10`, with `fname_1`, `fid_1` and the like as well, and any depth.
        columns: what its header says.

    Raises:
        UsageError: it is no table in UTF-8; with file, line and column (exit code 2).
        IntegrityError: a row lists a clip twice, or none (exit code 5).
    """
    records = read_records(path, columns.delimiter)
    header = records.header.fields
    lists = tuple(_list_of(path, header, row, columns) for row in records.rows)
    captions = tuple(row.fields[columns.caption] for row in records.rows)
    blank = next((row.line for row in records.rows if not row.fields[columns.caption].strip()), None)
    if blank is not None:
        raise IntegrityError(f"{path}:{blank}: column {shown(header[columns.caption])} is empty: fill it in")
    used = {columns.caption, *columns.places}
    notes = [*records.notes, *columns_not_read(header, used)]
    depths = {len(ranked.clip_ids) for ranked in lists}
    depth = f"{min(depths)}" if len(depths) == 1 else f"{min(depths)} to {max(depths)}"
    notes.append(f"lists of the best {depth} clips: figures that depend on those below are not known")
    return FoundLists(captions, lists, FORMAT_NAME, notes=tuple(notes))


def _list_of(path: Path, header: tuple[str, ...], row: Record, columns: SubmissionColumns) -> RankedList:
    cells = [row.fields[place] for place in columns.places]
    filled = [cell for cell in cells if cell.strip()]
    if not filled:
        raise IntegrityError(f"{path}:{row.line}: no clip is listed: list at least one, or remove the row")
    for number, place in enumerate(columns.places):
        where = f"{path}:{row.line}: column {shown(header[place])}"
        if not cells[number].strip() and number < len(filled):
            raise IntegrityError(f"{where} is empty, and a later one is not: close the gap")
        if cells[number].strip() and cells[number] in cells[:number]:
            raise IntegrityError(f"{where}: {shown(cells[number])} is listed twice in this row: keep the better place")
    return RankedList(tuple(filled), -np.arange(1.0, len(filled) + 1))
