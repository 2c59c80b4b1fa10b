"""Written captions as a table: what was heard, what was said of it, and how sure the model is."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from atrkit.reports.style import RULED

_LONGEST_LINE = 34
_SHARE_OF_START = 0.4  # the ends of names differ more often than their starts


def caption_table(records: Sequence[Mapping[str, Any]]) -> RenderableType:
    """What people see of `atrkit caption --json`; reads well in 80 columns.

    The folder that all files share is said once, above. A long path goes on in the next line behind a slash; a name
    that is too long even so is shortened in its middle: JSON and CSV have it in full.

    Args:
        records: `{"path" or "clip", "caption", "score"}`; the score is the mean log-probability of a word.

    Returns:
        Something that a rich console prints.
    """
    of_files = any("path" in record for record in records)
    names = [record["path"] if "path" in record else record["clip"] for record in records]
    folder = common_folder(names) if of_files else ""
    table = Table(box=RULED, show_edge=False, pad_edge=False, header_style="")
    table.add_column("file" if of_files else "clip", overflow="fold")
    table.add_column("caption", min_width=24)
    table.add_column("score", justify="right", no_wrap=True)
    for name, record in zip(names, records, strict=True):
        shown = in_lines(os.path.relpath(name, folder) if folder else name)
        table.add_row(Text(shown), Text(record["caption"]), f"{record['score']:.2f}")
    return Group(Text(f"files in {folder}", overflow="fold"), table) if folder else table


def common_folder(paths: Sequence[str]) -> str:
    """The folder that all paths lie in; empty: there is none that is worth a line."""
    if len({Path(path).is_absolute() for path in paths}) != 1:
        return ""
    folder = os.path.commonpath([Path(path).parent for path in paths])
    return "" if folder in (os.sep, os.curdir) else folder


def in_lines(name: str) -> str:
    """A name broken behind slashes.

    >>> print(in_lines("recordings of the summer/field/rain.wav"))
    recordings of the summer/field/
    rain.wav
    """
    parts = name.split("/")
    lines = [""]
    for part in [*(_shortened(f"{folder}/") for folder in parts[:-1]), _shortened(parts[-1])]:
        if lines[-1] and len(lines[-1]) + len(part) > _LONGEST_LINE:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


def _shortened(part: str) -> str:
    if len(part) <= _LONGEST_LINE:
        return part
    kept = _LONGEST_LINE - 1
    start = round(kept * _SHARE_OF_START)
    return f"{part[:start]}…{part[start - kept :]}"
