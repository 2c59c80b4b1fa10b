"""Consoles: results on stdout, everything else on stderr; colours only where they are wanted.

`NO_COLOR`, `TERM=dumb` and pipes are honoured by rich. `plain` goes further: no drawing characters and not a single
escape code, for logs, screen readers and old terminals. Letters stay what they are wherever the stream has them: a path
that was printed must be the path that can be pasted. For the same reason results that go into a pipe or a file are not
folded at the 80 columns of a terminal that is not there (`COLUMNS` still sets a width).
"""

import os
import re
import sys
from typing import IO, Any, TextIO, cast

from rich.console import Console


def make_stdout(*, plain: bool) -> Console:
    """A console for results."""
    is_folded = sys.stdout.isatty() or "COLUMNS" in os.environ
    return _make_console(sys.stdout, plain=plain, width=None if is_folded else _UNFOLDED_COLUMNS)


def make_stderr(*, plain: bool) -> Console:
    """A console for remarks and progress."""
    return _make_console(sys.stderr, plain=plain)


_UNFOLDED_COLUMNS = 100_000  # wider than any line of a result: tables and remarks take what they need

# arrows, box drawing, blocks, geometric shapes, braille: what bars, frames and spinners are made of
_DRAWING = re.compile(r"[\u2190-\u21ff\u2500-\u25ff\u2800-\u28ff]")


def _make_console(stream: TextIO, *, plain: bool, width: int | None = None) -> Console:
    encoding = (getattr(stream, "encoding", None) or "utf-8").lower()
    is_drawn = encoding.startswith(("utf", "cp65001")) and not plain
    return Console(
        file=stream if is_drawn else cast(IO[str], _UndrawnStream(stream, encoding, escape_drawing=plain)),
        force_terminal=False if plain else None,
        width=width,
        markup=False,
        highlight=False,
        emoji=False,
    )


class _UndrawnStream:
    """A text stream on which rich draws with ASCII characters, and which never raises for a character.

    Args:
        stream: that is written to.
        encoding: its own; what it lacks is written as an escape (`\\xfc`).
        escape_drawing: write the drawing characters of a text as escapes too, where the encoding has them.
    """

    encoding = "ascii"  # rich looks here for what it may draw with

    def __init__(self, stream: TextIO, encoding: str, *, escape_drawing: bool) -> None:
        self._stream = stream
        self._own_encoding = encoding
        self._escape_drawing = escape_drawing

    def write(self, text: str) -> int:
        shown = _DRAWING.sub(_escaped, text) if self._escape_drawing else text
        self._stream.write(shown.encode(self._own_encoding, "backslashreplace").decode(self._own_encoding))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _escaped(match: re.Match[str]) -> str:
    return match[0].encode("ascii", "backslashreplace").decode()
