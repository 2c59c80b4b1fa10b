"""Consoles: results on stdout, everything else on stderr; colours only where they are wanted.

`NO_COLOR`, `TERM=dumb` and pipes are honoured by rich. `plain` goes further: pure ASCII without a single escape code,
for logs, screen readers and old terminals.
"""

import sys
from typing import IO, Any, TextIO, cast

from rich.console import Console


def make_stdout(*, plain: bool) -> Console:
    """A console for results."""
    return _make_console(sys.stdout, plain=plain)


def make_stderr(*, plain: bool) -> Console:
    """A console for remarks and progress."""
    return _make_console(sys.stderr, plain=plain)


def _make_console(stream: TextIO, *, plain: bool) -> Console:
    encoding = "ascii" if plain else (getattr(stream, "encoding", None) or "utf-8").lower()
    is_unicode = encoding.startswith(("utf", "cp65001"))
    return Console(
        file=stream if is_unicode else cast(IO[str], _EncodableStream(stream, encoding)),
        force_terminal=False if plain else None,
        markup=False,
        highlight=False,
        emoji=False,
    )


class _EncodableStream:
    """A text stream that writes what its encoding lacks as an escape (`\\xfc`) and never raises for it.

    rich reads `encoding` and draws with ASCII characters when it is not Unicode.
    """

    def __init__(self, stream: TextIO, encoding: str) -> None:
        self._stream = stream
        self.encoding = encoding

    def write(self, text: str) -> int:
        self._stream.write(text.encode(self.encoding, "backslashreplace").decode(self.encoding))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
