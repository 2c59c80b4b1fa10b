"""Compared systems for a terminal of 80 columns."""

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from atrkit.reports.comparison_rows import (
    FIGURES,
    columns_of,
    difference_rows,
    has_holm,
    notes,
    system_rows,
    target_row,
    title,
)
from atrkit.reports.directions import DIRECTIONS, SHORT
from atrkit.reports.path_name import PathName
from atrkit.reports.style import RULED


def comparison_text(record: Mapping[str, Any]) -> RenderableType:
    """The table of systems, then one table of differences for each but the first.

    Args:
        record: of `atrkit compare --json`.

    Returns:
        Something that a rich console prints; the best of each column is bold.
    """
    parts: list[RenderableType] = [Text(f"{title(record)}; R@k, mAP in %", style="bold"), _systems(record), Text()]
    for comparison in record["comparisons"]:
        heading = Text(f"{comparison['system']} - {comparison['baseline']}", style="bold")
        parts += [heading, _differences(comparison, record), Text()]
    return Group(*parts, *map(Text, notes(record)), Text())


def _systems(record: Mapping[str, Any]) -> Table:
    table = Table(box=RULED, show_edge=False, pad_edge=False, padding=(0, 0, 0, 1), header_style="")
    table.add_column("", overflow="fold", min_width=14)
    for direction, figure in columns_of(record):
        table.add_column(f"{SHORT[direction] if figure == FIGURES[0] else ''}\n{figure}", justify="right", no_wrap=True)
    for row in system_rows(record):
        cells = [
            Text(f"{cell.mean}\n±{cell.deviation}" if cell.deviation else cell.mean, style="bold" * cell.is_best)
            for cell in row.cells
        ]
        table.add_row(PathName(row.name, row.seeds), *cells)
    published = target_row(record)
    if published:
        table.add_section()
        table.add_row(PathName(published.name), *(cell.mean for cell in published.cells))
    return table


def _differences(comparison: Mapping[str, Any], record: Mapping[str, Any]) -> Table:
    table = Table(box=RULED, show_edge=False, pad_edge=False, header_style="")
    table.add_column("", no_wrap=True)
    for name in ("difference", "95 % interval", "p", *(["Holm"] if has_holm(record) else [])):
        table.add_column(name, justify="right", no_wrap=True)
    before = None
    for row in difference_rows(comparison, record):
        if row.direction != before:
            if before is not None:
                table.add_section()
            table.add_row(DIRECTIONS[row.direction], style="bold")
            before = row.direction
        holm = [row.p_holm] if has_holm(record) else []
        table.add_row(f"  {row.figure}", row.difference, Text(row.interval), row.p, *holm)
    return table
