"""CSV files as records that know their line, so that every fault can be named by its place.

Python's csv module accepts ragged rows and knows of an unclosed quote only where the file ends, hundreds of lines
after the row to mend. Here every row must be as long as the header, and a quote is traced to where it opened.
"""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from atrkit.errors import UsageError

_LONGEST_SHOWN = 80
_SHOWN_AFTER_QUOTE = 20
_LINE_END = re.compile(r"\r\n|\r|\n")
_QUOTED = re.compile(r'"[^"]*(?:""[^"]*)*"')
_TAB_NAMES = ("tab", "\\t")
_DELIMITERS = (",", ";", "\t", "|")
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True)
class Record:
    """One row: its cells, and the 1-based line on which it begins."""

    fields: tuple[str, ...]
    line: int


@dataclass(frozen=True)
class Records:
    """A table: header and rows of equal length, and notes on what was accepted."""

    header: Record
    rows: tuple[Record, ...]
    notes: tuple[str, ...]


def read_records(path: Path, delimiter: str = ",", *, fallback_encoding: str | None = None) -> Records:
    """Read a CSV file of UTF-8 text.

    Args:
        path: the file.
        delimiter: one character, or "tab".
        fallback_encoding: that the publisher is known to use besides UTF-8, such as "latin-1"; what is not UTF-8 is
            then in it. None refuses such a file.

    Raises:
        UsageError: the file cannot be read or is in another encoding, has NUL bytes, an unclosed quote, a row that
            is not as long as the header, two columns of one name, or no rows; the message has file, line, column and
            the fix.
    """
    delimiter = _checked_delimiter(delimiter)
    data = _read_bytes(path)
    text, notes = _decode(path, data, fallback_encoding)
    _refuse_other_delimiter(path, text, delimiter)
    records = list(_Cells(path, text, delimiter).records())
    filled = [record for record in records if record.fields]
    if not filled:
        raise UsageError(f"{path}:1: the file is empty: it needs a line with column names, and one row per clip")
    if len(filled) < len(records):
        notes.append(f"{len(records) - len(filled)} blank lines were skipped")
    header, *rows = filled
    _check_header(path, header)
    for row in rows:
        _check_length(path, header, row)
    if not rows:
        raise UsageError(f"{path}:{header.line}: only the column names are there: add one row per clip")
    return Records(header, tuple(rows), tuple(notes))


def shown(text: str) -> str:
    """A cell for an error message: quoted, on one line, and short.

    >>> shown("caption_1"), len(shown("x" * 1000))
    ("'caption_1'", 80)
    """
    quoted = repr(text)
    return quoted if len(quoted) <= _LONGEST_SHOWN else quoted[: _LONGEST_SHOWN - 3] + "..."


def _checked_delimiter(delimiter: str) -> str:
    if delimiter in _TAB_NAMES:
        return "\t"
    if len(delimiter) != 1 or delimiter in '"\r\n\0':
        raise UsageError(f"--delimiter {delimiter!r}: give one character, such as ';', or tab")
    return delimiter


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read the table {path}: {error.strerror or error}") from None


def _decode(path: Path, data: bytes, fallback_encoding: str | None) -> tuple[str, list[str]]:
    """The text, and what was accepted for it."""
    if data.startswith(_UTF_16):
        raise UsageError(f"{path}:1: the file is UTF-16, not UTF-8: iconv -f UTF-16 -t UTF-8 OLD > NEW")
    nul = data.find(0)
    if nul >= 0:
        place = _place(path, data, nul)
        if data[:200].count(0) > len(data[:200]) // 4:
            raise UsageError(f"{place}: a NUL byte; the file is probably UTF-16: iconv -f UTF-16LE -t UTF-8 OLD > NEW")
        raise UsageError(f"{place}: a NUL byte: the file is damaged; restore it, or remove the byte: tr -d '\\000'")
    mark = codecs.BOM_UTF8 if data.startswith(codecs.BOM_UTF8) else b""
    try:
        return data[len(mark) :].decode(), ["a byte order mark was skipped"] if mark else []
    except UnicodeDecodeError as error:
        if fallback_encoding is not None and not mark:
            return data.decode(fallback_encoding), []
        position = len(mark) + error.start
        raise UsageError(
            f"{_place(path, data, position)}: byte 0x{data[position]:02x} is not UTF-8; if the file is "
            "Latin-1: iconv -f ISO-8859-1 -t UTF-8 OLD > NEW (from Windows: -f WINDOWS-1252)"
        ) from None


def _place(path: Path, data: bytes, position: int) -> str:
    lines_before = data.count(b"\n", 0, position)
    line_start = data.rfind(b"\n", 0, position) + 1
    return f"{path}:{lines_before + 1}: byte {position - line_start + 1} of the line"


def _refuse_other_delimiter(path: Path, text: str, delimiter: str) -> None:
    header = text.lstrip("\r\n").partition("\n")[0]
    others = [other for other in _DELIMITERS if other in header]
    if delimiter in header or not others:
        return
    name = "tab" if others[0] == "\t" else f"'{others[0]}'"
    raise UsageError(
        f"{path}:1: the column names are not separated by {shown(delimiter)}, but by {name}: add --delimiter {name}"
    )


class _Cells:
    """A cursor over CSV text (RFC 4180; line ends of any kind) that always knows on which line it is."""

    def __init__(self, path: Path, text: str, delimiter: str) -> None:
        self._path = path
        self._text = text
        self._delimiter = delimiter
        self._unquoted = re.compile(f"[^{re.escape(delimiter)}\r\n]*")
        self._position = 0
        self._line = 1

    def records(self) -> Iterator[Record]:
        """All rows; a blank line is a row without cells."""
        while self._position < len(self._text):
            line = self._line
            cells = [self._cell(1)]
            while self._text.startswith(self._delimiter, self._position):
                self._position += 1
                cells.append(self._cell(len(cells) + 1))
            self._skip(_LINE_END)
            yield Record(() if cells == [""] else tuple(cells), line)

    def _cell(self, column: int) -> str:
        if not self._text.startswith('"', self._position):
            return self._skip(self._unquoted)
        place = f"{self._path}:{self._line}: column {column}"
        text = self._skip(_QUOTED)
        if not text:
            raise UsageError(f"{place}: the quote that opens here is never closed: close it after the text")
        if not (self._at_end() or self._text.startswith((self._delimiter, "\r", "\n"), self._position)):
            after = shown(self._text[self._position : self._position + _SHOWN_AFTER_QUOTE])
            raise UsageError(
                f"{place}: the quote that opens here closes on line {self._line} before {after}: "
                "close it where the text ends; a quote within the text is written twice"
            )
        return text[1:-1].replace('""', '"')

    def _skip(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._position)
        skipped = match[0] if match else ""
        self._position += len(skipped)
        self._line += len(_LINE_END.findall(skipped))
        return skipped

    def _at_end(self) -> bool:
        return self._position == len(self._text)


def _check_header(path: Path, header: Record) -> None:
    seen: set[str] = set()
    for number, column in enumerate(header.fields, start=1):
        if column in seen and column.strip():
            raise UsageError(f"{path}:{header.line}: column {number} is called {shown(column)} like another: rename it")
        seen.add(column)


def _check_length(path: Path, header: Record, row: Record) -> None:
    expected, found = len(header.fields), len(row.fields)
    if found == expected:
        return
    place = f"{path}:{row.line}"
    spans = any("\n" in cell for cell in row.fields)
    hint = " (a cell of this row spans several lines: was a quote left open?)" if spans else ""
    if found > expected:
        raise UsageError(
            f"{place}: column {expected + 1}: {found} columns where the header has {expected}, from "
            f"{shown(row.fields[expected])} on: put text that holds the delimiter between double quotes{hint}"
        )
    raise UsageError(
        f"{place}: column {shown(header.fields[found])} is missing ({found} columns where the header has {expected}): "
        f"add it; a caption that is not there is an empty cell{hint}"
    )
