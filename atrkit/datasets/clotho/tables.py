"""Clotho's two tables: five captions per clip, and what Freesound says of the recording.

The metadata of v2 and v2.1 is ISO-8859-1 (the name of one recordist has the byte 0xC1); of v1 aac-datasets reads it
in the locale's encoding, which is UTF-8 nearly everywhere. So a table that is valid UTF-8 is read as such and any
other as ISO-8859-1. That is right for all three: 0xC1 occurs in no valid UTF-8, pure ASCII is the same in both, and
text in Latin-1 would pass for UTF-8 only if every accented letter were followed by a sign such as "©" or "±".
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atrkit.datasets.captions_csv import DEFAULT_FILE_COLUMN, read_captions_csv
from atrkit.datasets.csv_records import Record, Records, read_records, shown
from atrkit.errors import UsageError

METADATA_COLUMNS = ("keywords", "sound_id", "sound_link", "start_end_samples", "manufacturer", "license")
_NOT_KNOWN = {"sound_id": "Not found", "sound_link": "NA"}
_START_END = re.compile(r"\[(\d+), ?(\d+)\]")


@dataclass(frozen=True)
class ClothoRow:
    """One clip.

    Args:
        file_name: as written; some begin with a blank, or hold `&amp;`.
        captions: as written, in the order of the columns.
        metadata: keywords (list), freesound_id, link, start_end_samples (first and last sample of the clip in the
            Freesound recording), manufacturer (the recordist), licence (its URL); what is not known is None. None
            as a whole where the clip has no metadata.
    """

    file_name: str
    captions: tuple[str, ...]
    metadata: dict[str, Any] | None


@dataclass(frozen=True)
class ClothoTable:
    """The clips of one subset.

    Args:
        rows: one per clip with captions, in the order of the captions.
        without_metadata: file names that the table of metadata does not have, where there is one.
        metadata_only: file names that only the table of metadata has.
        notes: what was accepted although it is not quite as it should be.
    """

    rows: tuple[ClothoRow, ...]
    without_metadata: tuple[str, ...] = ()
    metadata_only: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def read_clotho(captions_path: Path, metadata_path: Path | None = None) -> ClothoTable:
    """Read the tables of one subset; the two may be in different order.

    Args:
        captions_path: file_name, caption_1 .. caption_5, in UTF-8.
        metadata_path: file_name and the six columns of metadata, in UTF-8 or ISO-8859-1; None reads none.

    Raises:
        UsageError: a table cannot be read; the message has file, line, column and the fix (exit code 2).
    """
    captions = read_captions_csv(captions_path)
    metadata, notes = read_metadata(metadata_path) if metadata_path is not None else ({}, ())
    rows = tuple(ClothoRow(row.file_name, row.captions, metadata.get(row.file_name)) for row in captions.rows)
    captioned = {row.file_name for row in rows}
    return ClothoTable(
        rows,
        without_metadata=tuple(row.file_name for row in rows if metadata_path is not None and row.metadata is None),
        metadata_only=tuple(name for name in metadata if name not in captioned),
        notes=(*captions.notes, *notes),
    )


def read_metadata(path: Path) -> tuple[dict[str, dict[str, Any]], tuple[str, ...]]:
    """Read a table of metadata.

    Returns:
        File name -> metadata as in `ClothoRow`, in the order of the table; and what was accepted.

    Raises:
        UsageError: as `read_clotho`.
    """
    records = read_records(path, fallback_encoding="latin-1")
    for column in (DEFAULT_FILE_COLUMN, *METADATA_COLUMNS):
        if column not in records.header.fields:
            raise UsageError(
                f"{path}:{records.header.line}: there is no column {shown(column)}: add it, or fetch the table"
            )
    metadata: dict[str, dict[str, Any]] = {}
    for record in records.rows:
        row = _Row(path, records, record)
        name = row.text(DEFAULT_FILE_COLUMN)
        if name in metadata:
            raise row.fault(DEFAULT_FILE_COLUMN, f"{shown(name)} occurs a second time: keep one row per file")
        metadata[name] = row.metadata()
    return metadata, records.notes


class _Row:
    """One row of the metadata, and where it is."""

    def __init__(self, path: Path, records: Records, record: Record) -> None:
        self._place = f"{path}:{record.line}"
        self._cells: Mapping[str, str] = dict(zip(records.header.fields, record.fields, strict=True))

    def metadata(self) -> dict[str, Any]:
        return {
            "keywords": [keyword for keyword in self.text("keywords").split(";") if keyword],
            "freesound_id": self._freesound_id(),
            "link": self._known("sound_link"),
            "start_end_samples": self._start_end_samples(),
            "manufacturer": self._known("manufacturer"),
            "licence": self._known("license"),
        }

    def text(self, column: str) -> str:
        return self._cells[column]

    def fault(self, column: str, problem: str) -> UsageError:
        return UsageError(f"{self._place}: column {shown(column)}: {problem}")

    def _known(self, column: str) -> str | None:
        return None if self.text(column) in ("", _NOT_KNOWN.get(column)) else self.text(column)

    def _freesound_id(self) -> int | None:
        text = self._known("sound_id")
        if text is None:
            return None
        if not (text.isascii() and text.isdigit()):
            raise self.fault("sound_id", f"{shown(text)} is no number: write Freesound's id, or 'Not found'")
        return int(text)

    def _start_end_samples(self) -> list[int] | None:
        text = self._known("start_end_samples")
        if text is None:
            return None
        match = _START_END.fullmatch(text)
        if match is None:
            raise self.fault(
                "start_end_samples", f"{shown(text)} is not like [1024, 845524]: correct it, or leave it empty"
            )
        return [int(match[1]), int(match[2])]
