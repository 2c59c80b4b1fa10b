"""Which of a folder's CSV files is the table of captions, and how it is laid out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from atrkit.datasets.captions_csv import (
    DEFAULT_FILE_COLUMN,
    CaptionTable,
    find_caption_columns,
    read_captions_csv,
    read_columns,
)
from atrkit.errors import UsageError

_TABLE_SUFFIXES = (".csv", ".tsv")
_FIRST_CHOICE = "captions.csv"
_SPLIT_COLUMN = "split"
_LOOKED_AT_BYTES = 4096


@dataclass(frozen=True)
class TableOptions:
    """How a table of captions is laid out; see `read_captions_csv`.

    Args:
        reads_split: False leaves a column named split alone, because splits come from elsewhere.
    """

    file_column: str = DEFAULT_FILE_COLUMN
    caption_columns: tuple[str, ...] | None = None
    delimiter: str = ","
    split_column: str | None = None
    reads_split: bool = True

    @property
    def is_default(self) -> bool:
        """Whether nothing was said about the layout."""
        return self == TableOptions(reads_split=self.reads_split)


def choose_table(folder: Path, options: TableOptions) -> tuple[Path | None, list[str]]:
    """The folder's one table of captions, if there is one, and notes on tables that were left aside.

    A CSV that cannot be read stops the import when it seems meant as the table of captions: its clips would otherwise
    silently come without.

    Raises:
        UsageError: the table has a fault, or several could be meant.
    """
    lacking_in: dict[Path, str | None] = {}
    faults: dict[Path, UsageError] = {}
    for table in _tables_in(folder):
        try:
            lacking_in[table] = _lacks(read_columns(table, options.delimiter), options)
        except UsageError as error:
            faults[table] = error
    chosen = _one_of(folder, [table for table, lacking in lacking_in.items() if lacking is None])
    if chosen is None:
        _refuse_to_overlook(folder, lacking_in, faults, options)
    notes = [f"{table.name} was left aside: {error}" for table, error in faults.items()]
    for table, lacking in lacking_in.items():
        if lacking is not None:
            notes.append(f"{table.name} is no table of captions: it has no {lacking}")
        elif chosen is not None and table != chosen:
            notes.append(f"{table.name} was left aside: {chosen.name} comes first")
    return chosen, notes


def read_table(path: Path, options: TableOptions) -> tuple[CaptionTable, list[str]]:
    """The table, with splits from the column named split when nothing else was said, and a note on that.

    Raises:
        UsageError: see `read_captions_csv`.
    """
    split_column = options.split_column
    notes = []
    if split_column is None and _SPLIT_COLUMN in read_columns(path, options.delimiter):
        split_column = _SPLIT_COLUMN if options.reads_split else None
        used = "splits are those of" if options.reads_split else "--split is used, not"
        notes = [f"{used} the column {_SPLIT_COLUMN!r}"]
    table = read_captions_csv(
        path,
        file_column=options.file_column,
        caption_columns=options.caption_columns,
        delimiter=options.delimiter,
        split_column=split_column,
    )
    return table, notes


def _tables_in(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.suffix.lower() in _TABLE_SUFFIXES and path.is_file())
    except OSError as error:
        raise UsageError(f"cannot list the folder {folder}: {error.strerror or error}") from None


def _refuse_to_overlook(
    folder: Path, lacking_in: dict[Path, str | None], faults: dict[Path, UsageError], options: TableOptions
) -> None:
    for table, fault in faults.items():
        if _mentions_captions(table, options.file_column):
            raise fault
    if lacking_in and not options.is_default:
        lacks = "; ".join(f"{table.name} has no {lacking}" for table, lacking in lacking_in.items())
        raise UsageError(f"no table in {folder} has the columns asked for: {lacks}")
    first = folder / _FIRST_CHOICE
    if first in lacking_in:
        raise UsageError(
            f"{first}:1: there is no {lacking_in[first]}: name the right column with --file-column or --caption-column"
        )


def _mentions_captions(table: Path, file_column: str) -> bool:
    """Whether a file that cannot be read as a table seems meant as one of captions."""
    with table.open("rb") as file:
        start = file.read(_LOOKED_AT_BYTES).replace(b"\0", b"").lower()
    return table.name == _FIRST_CHOICE or b"caption" in start or file_column.lower().encode() in start


def _lacks(columns: Sequence[str], options: TableOptions) -> str | None:
    wanted = [options.file_column, *(options.caption_columns or ())]
    wanted += [options.split_column] if options.split_column else []
    missing = [column for column in wanted if column not in columns]
    if missing:
        return f"column {missing[0]!r}"
    if options.caption_columns is None and not find_caption_columns(columns):
        return "column 'caption' or 'caption_1'"
    return None


def _one_of(folder: Path, tables: Sequence[Path]) -> Path | None:
    if len(tables) <= 1:
        return tables[0] if tables else None
    first = folder / _FIRST_CHOICE
    if first in tables:
        return first
    raise UsageError(
        f"several tables of captions in {folder}: {', '.join(table.name for table in tables)}; "
        "import one of them by its path"
    )
