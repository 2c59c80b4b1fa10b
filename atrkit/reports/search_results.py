"""What a search found, for people and for machines."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from atrkit.reports.caption_table import common_folder, in_lines
from atrkit.reports.counting import counted
from atrkit.reports.style import RULED


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
        parts.append(Text(f"files in {folder}", overflow="fold"))
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
        marks = "" if result["is_there"] else "\n(no longer there)"
        caption = [Text(result["caption"] or "")] if has_captions else []
        table.add_row(str(rank), f"{result['score']:.3f}", Text(in_lines(name) + marks), _time(result), *caption)
    return [*parts, table, *map(Text, _notes(record))]


def query_line(record: Mapping[str, Any]) -> str:
    """What was searched for.

    >>> query_line({"query": "rain", "like": ["a.wav"], "not": ["people talking"]})
    'rain, like a.wav, not: people talking'
    """
    parts = [record["query"]] if record["query"] is not None else []
    parts += [f"like {path}" for path in record["like"]]
    parts += [f"not: {text}" for text in record["not"]]
    return ", ".join(parts)


def mm_ss(seconds: float) -> str:
    """A place in a recording.

    >>> mm_ss(0), mm_ss(74.9), mm_ss(3725)
    ('0:00', '1:14', '62:05')
    """
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


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
        notes.append(f"re-ranked: the best {rerank['k']} files by {by}")
    return notes
