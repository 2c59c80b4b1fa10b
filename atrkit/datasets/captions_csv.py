"""Tables of captions, read strictly: a caption that lands on the wrong clip is worse than a table that is refused.

The layout is Clotho's (`file_name, caption_1 .. caption_N`), or any other whose columns are named. Every fault is an
error with file, line, column and the way out. Three things are accepted because nothing is lost by it, and noted: a
UTF-8 byte order mark (Excel writes one), blank lines, and blank captions beside others of the same clip.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from atrkit.datasets.csv_records import Record, read_records, shown
from atrkit.errors import UsageError

DEFAULT_FILE_COLUMN = "file_name"
SPLIT_NAME = re.compile(r"[\w.-]+")
_NUMBERED_CAPTION = re.compile(r"caption_(\d+)")


@dataclass(frozen=True)
class CaptionRow:
    """One clip of the table.

    Args:
        file_name: relative to the audio folder, with `/`.
        captions: as written, in the order of the columns; blank ones are left out.
        split: from the split column, if one was asked for.
        line: where the row begins, 1-based.
    """

    file_name: str
    captions: tuple[str, ...]
    split: str | None
    line: int


@dataclass(frozen=True)
class CaptionTable:
    """A table that was read.

    Args:
        rows: one per clip, in the order of the file.
        columns: the header.
        caption_columns: those that captions were taken from.
        notes: what was accepted although it is not quite as it should be, counted.
    """

    rows: tuple[CaptionRow, ...]
    columns: tuple[str, ...]
    caption_columns: tuple[str, ...]
    notes: tuple[str, ...]


def read_captions_csv(
    path: Path,
    *,
    file_column: str = DEFAULT_FILE_COLUMN,
    caption_columns: Sequence[str] | None = None,
    delimiter: str = ",",
    split_column: str | None = None,
    has_options: bool = True,
) -> CaptionTable:
    """Read a table of captions.

    Args:
        path: the CSV, in UTF-8.
        file_column: holds each clip's file name.
        caption_columns: hold captions; None takes caption_1, caption_2, ... or else caption. When exactly one is
            named, a file may have several rows (as in AudioCaps), and their captions are gathered.
        delimiter: between columns: one character, or "tab".
        split_column: holds the name of each clip's split; None reads none.
        has_options: the command that reads has options for columns and folder, which errors may point at.

    Raises:
        UsageError: any fault of FAULTS.md row 10; the message has file, line, column and the fix (exit code 2).
    """
    records = read_records(path, delimiter)
    header = records.header
    file_index = _index_of(path, header, file_column, "--file-column")
    chosen = tuple(caption_columns) if caption_columns else find_caption_columns(header)
    if not chosen:
        raise _no_caption_column(path, header, has_options=has_options)
    caption_indices = [_index_of(path, header, column, "--caption-column") for column in chosen]
    split_index = _index_of(path, header, split_column, "--split-column") if split_column else None
    reader = _RowReader(path, header.fields, file_index, caption_indices, split_index, has_options)
    rows = [reader.row(record) for record in records.rows]
    may_merge = caption_columns is not None and len(chosen) == 1
    merged = _one_row_per_file(path, rows, file_column, may_merge=may_merge, has_options=has_options)
    notes = [*records.notes, *_notes(rows, merged, len(chosen))]
    return CaptionTable(tuple(merged), header.fields, chosen, tuple(notes))


def read_columns(path: Path, delimiter: str = ",") -> tuple[str, ...]:
    """The column names of a table, strictly read.

    Raises:
        UsageError: the file is not a table in UTF-8.
    """
    return read_records(path, delimiter).header.fields


def find_caption_columns(header: Record | Sequence[str]) -> tuple[str, ...]:
    """Columns that hold captions by their names: caption_1, caption_2, ... in the order of their numbers, or caption.

    >>> find_caption_columns(["file_name", "caption_10", "caption_2", "keywords"])
    ('caption_2', 'caption_10')
    """
    fields = header.fields if isinstance(header, Record) else header
    numbered = [(int(match[1]), field) for field in fields if (match := _NUMBERED_CAPTION.fullmatch(field))]
    if numbered:
        return tuple(field for _, field in sorted(numbered))
    return ("caption",) if "caption" in fields else ()


def _index_of(path: Path, header: Record, column: str, option: str) -> int:
    if column in header.fields:
        return header.fields.index(column)
    raise UsageError(
        f"{path}:{header.line}: there is no column {shown(column)}; the columns are "
        f"{', '.join(map(shown, header.fields))}: name the right one with {option}"
    )


def _no_caption_column(path: Path, header: Record, *, has_options: bool) -> UsageError:
    way_out = "name the right one with --caption-column" if has_options else "rename one to caption, or add it"
    return UsageError(
        f"{path}:{header.line}: no column is called caption or caption_1; the columns are "
        f"{', '.join(map(shown, header.fields))}: {way_out}"
    )


@dataclass(frozen=True)
class _RowReader:
    path: Path
    columns: tuple[str, ...]
    file_index: int
    caption_indices: Sequence[int]
    split_index: int | None
    has_options: bool

    def row(self, record: Record) -> CaptionRow:
        cells = record.fields
        captions = tuple(cells[i] for i in self.caption_indices if _says_something(cells[i]))
        if not captions:
            raise self._fault(record, self.caption_indices[0], "no caption says anything: write one, or remove the row")
        return CaptionRow(self._file_name(record), captions, self._split(record), record.line)

    def _file_name(self, record: Record) -> str:
        name = record.fields[self.file_index]
        if not name.strip():
            raise self._fault(record, self.file_index, "the file name is empty: fill it in, or remove the row")
        if "\\" in name:
            raise self._fault(record, self.file_index, f"{shown(name)} has a backslash: separate folders with /")
        if name.startswith("/") or re.match(r"[A-Za-z]:/", name):
            raise self._fault(
                record,
                self.file_index,
                f"{shown(name)} is an absolute path: write names relative to the audio folder"
                + (", and name that with --audio-dir" if self.has_options else ""),
            )
        parts = PurePosixPath(name).parts
        if ".." in parts:
            raise self._fault(
                record,
                self.file_index,
                f"{shown(name)} leads out of the audio folder: remove the '..'"
                + (", and name the folder with --audio-dir" if self.has_options else ""),
            )
        if not parts:
            raise self._fault(record, self.file_index, f"{shown(name)} is no file name: correct it, or remove the row")
        return str(PurePosixPath(*parts))

    def _split(self, record: Record) -> str | None:
        if self.split_index is None:
            return None
        split = record.fields[self.split_index].strip()
        if not SPLIT_NAME.fullmatch(split):
            what = f"{shown(split)} is no name for a split" if split else "the split is empty"
            raise self._fault(record, self.split_index, f"{what}: use letters, digits, - _ . only, such as dev")
        return split

    def _fault(self, record: Record, index: int, problem: str) -> UsageError:
        return UsageError(f"{self.path}:{record.line}: column {shown(self.columns[index])}: {problem}")


def _says_something(caption: str) -> bool:
    return any(character.isalnum() for character in caption)


def _one_row_per_file(
    path: Path, rows: Sequence[CaptionRow], file_column: str, *, may_merge: bool, has_options: bool
) -> list[CaptionRow]:
    merged: dict[str, CaptionRow] = {}
    for row in rows:
        first = merged.get(row.file_name)
        if first is None:
            merged[row.file_name] = row
            continue
        place = f"{path}:{row.line}: column {shown(file_column)}: {shown(row.file_name)}"
        if not may_merge:
            raise UsageError(
                f"{place} is on line {first.line} too: keep one row per file"
                + (
                    " (a table with one caption per row is read with --caption-column COLUMN)"
                    if has_options
                    else ", or one caption per row in a column called caption"
                )
            )
        if row.split != first.split:
            raise UsageError(
                f"{place} is in split {row.split!r} here and in {first.split!r} on line {first.line}: "
                "a clip belongs to one split"
            )
        merged[row.file_name] = replace(first, captions=first.captions + row.captions)
    return list(merged.values())


def _notes(rows: Sequence[CaptionRow], merged: Sequence[CaptionRow], columns: int) -> list[str]:
    notes = []
    blank = sum(columns - len(row.captions) for row in rows)
    if blank:
        clips = sum(len(row.captions) < columns for row in rows)
        notes.append(f"{blank} blank captions left out ({clips} clips have fewer than {columns})")
    if len(merged) < len(rows):
        notes.append(f"{len(rows)} rows gathered into {len(merged)} clips")
    return notes
