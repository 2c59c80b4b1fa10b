"""What a search found, for people and for machines."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from rich.cells import cell_len, chop_cells
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from atrkit.reports.caption_table import common_folder
from atrkit.reports.counting import counted
from atrkit.reports.printable import echoed, printable
from atrkit.reports.style import RULED

_SHORTEST_LINE = 24  # to which a long name is folded where there is little room


def search_table(records: Sequence[Mapping[str, Any]]) -> RenderableType:
    """What people see of `atrkit search --json`; reads well in 80 columns.

    Args:
        records: one for each query: "query", "like", "not", "index", "rerank" and "results"; each result has "path",
            "start_s", "end_s", "score", "caption", "windows", "copies" and "is_there".

    Returns:
        Something that a rich console prints.
    """
    parts: list[RenderableType] = []
    for record in records:
        parts += [Text(), *_of_query(record)] if parts else _of_query(record)
    return Group(*parts)


def _of_query(record: Mapping[str, Any]) -> list[RenderableType]:
    results = record["results"]
    parts: list[RenderableType] = [Text(query_line(record), style="bold")]
    if not results:
        return [*parts, Text("nothing was found")]
    folder = common_folder([result["path"] for result in results])
    if folder:
        parts.append(Text(f"files in {printable(folder)}", overflow="fold"))
    has_captions = any(result["caption"] for result in results)
    table = Table(box=RULED, show_edge=False, pad_edge=False, header_style="")
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column("file", overflow="fold")
    table.add_column("time", justify="right", no_wrap=True)
    if has_captions:
        table.add_column("caption", min_width=20)
    for rank, result in enumerate(results, start=1):
        name = os.path.relpath(result["path"], folder) if folder else result["path"]
        caption = [Text(printable(result["caption"] or ""))] if has_captions else []
        table.add_row(str(rank), f"{result['score']:.3f}", _Name(name, result["is_there"]), _time(result), *caption)
    return [*parts, table, *map(Text, _notes(record))]


def query_line(record: Mapping[str, Any]) -> str:
    """What was searched for.

    >>> query_line({"query": "rain", "like": ["a.wav"], "not": ["people talking"]})
    'rain, like a.wav, not: people talking'
    """
    parts = [echoed(record["query"])] if record["query"] is not None else []
    parts += [f"like {printable(path)}" for path in record["like"]]
    parts += [f"not: {echoed(text)}" for text in record["not"]]
    return ", ".join(parts)


class _Name:
    """The name of a found file, in as many lines as the table has room for."""

    def __init__(self, name: str, is_there: bool) -> None:
        self._name, self._is_there = name, is_there

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        longest = max(cell_len(line) for line in self._lines(options.max_width).split("\n"))
        return Measurement(min(longest, _SHORTEST_LINE), longest)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(self._lines(options.max_width))

    def _lines(self, width: int) -> str:
        return whole_name(self._name, width) + ("" if self._is_there else "\n(no longer there)")


def whole_name(name: str, width: int) -> str:
    """A name in lines, broken behind slashes where it can be; nothing is left out, so different names look different.

    >>> print(whole_name("recordings of the summer/field/rain on the tin roof of an old barn.wav", 34))
    recordings of the summer/field/
    rain on the tin roof of an old bar
    n.wav
    """
    lines = [""]
    parts = printable(name).split("/")
    for part in [*(f"{folder}/" for folder in parts[:-1]), parts[-1]]:
        pieces = chop_cells(part, width)
        if cell_len(lines[-1] + pieces[0]) <= width:
            lines[-1] += pieces.pop(0)
        lines += pieces
    return "\n".join(lines)


def mm_ss(seconds: float) -> str:
    """A place in a recording.

    >>> mm_ss(0), mm_ss(74.9), mm_ss(3725)
    ('0:00', '1:14', '1:02:05')
    """
    minutes, rest_s = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest_s:02d}" if hours else f"{minutes}:{rest_s:02d}"


def _time(result: Mapping[str, Any]) -> str:
    others = result["windows"] - 1
    return mm_ss(result["start_s"]) + (f" +{others}" if others else "")


def _notes(record: Mapping[str, Any]) -> list[str]:
    results, rerank = record["results"], record["rerank"]
    notes = []
    if any(result["windows"] > 1 for result in results):
        notes.append("+1: so many more windows of the file are as good as the last hit")
    if any(result["copies"] for result in results):
        copied = counted(sum(bool(result["copies"]) for result in results), "file lies", "files lie")
        notes.append(f"{copied} in other places too, with the same content: --json lists them")
    if rerank:
        by = f"{rerank['run']}, {rerank['scoring']}, {rerank['seconds']:.2f} s"
        which = "the best file" if rerank["k"] == 1 else f"the best {rerank['k']} files"
        notes.append(f"re-ranked: {which} by {by}")
        if besides := [f"--{name}" for name in ("like", "not") if record[name]]:
            counts = "counts" if len(besides) == 1 else "count"
            notes.append(
                f"{' and '.join(besides)} {counts} in the choice of these files, not in their order: text alone"
            )
    return notes
