"""A long name of a run or file in a narrow column: it goes on behind a slash, not in the middle of a word."""

from collections.abc import Iterator
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.text import Text

_INDENT = "  "


@dataclass(frozen=True)
class PathName:
    """A name with slashes, and what stands below it.

    Args:
        name: such as "study/pooling/mean/seed-1".
        below: on a line of its own; empty: nothing.
    """

    name: str
    below: str = ""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """As few lines as the width allows; a word that is wider than a line is folded."""
        lines = [*lines_of(self.name, options.max_width), *([self.below] if self.below else [])]
        yield Text("\n".join(lines), overflow="fold")

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """From the longest part to all on one line."""
        parts = [f"{_INDENT}{part}/" for part in self.name.split("/")]
        widest = max(cell_len(self.name), cell_len(self.below))
        return Measurement(min(widest, *map(cell_len, parts)), widest).with_maximum(options.max_width)


def lines_of(name: str, width: int) -> Iterator[str]:
    """A name on lines of a width, each but the last with a slash at its end, each but the first indented.

    >>> list(lines_of("study/pooling/mean/seed-1", 16))
    ['study/pooling/', '  mean/seed-1']
    """
    *heads, last = name.split("/")
    line = ""
    for part in [*(f"{head}/" for head in heads), last]:
        if line.strip() and cell_len(line) + cell_len(part) > width:
            yield line
            line = _INDENT
        line += part
    yield line
