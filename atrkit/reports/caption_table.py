"""Written captions as a table: what was heard, what was said of it, and how sure the model is."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.table import Table

from atrkit.reports.style import RULED


def caption_table(records: Sequence[Mapping[str, Any]]) -> RenderableType:
    """What people see of `atrkit caption --json`; reads well in 80 columns.

    Args:
        records: `{"path" or "clip", "caption", "score"}`; the score is the mean log-probability of a word.

    Returns:
        Something that a rich console prints.
    """
    table = Table(box=RULED, show_edge=False, pad_edge=False, header_style="")
    table.add_column("file" if any("path" in record for record in records) else "clip", overflow="fold")
    table.add_column("caption", min_width=24)
    table.add_column("score", justify="right", no_wrap=True)
    for record in records:
        name = record["path"] if "path" in record else record["clip"]
        table.add_row(name, record["caption"], f"{record['score']:.2f}")
    return table
