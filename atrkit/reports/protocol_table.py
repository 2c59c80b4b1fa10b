"""What other code bases would print of the same scores, below what we compute."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from atrkit.reports.directions import DIRECTIONS
from atrkit.reports.figure_cells import as_measured
from atrkit.reports.style import RULED

_COLUMNS = ("R@1", "R@5", "R@10", "mAP@10", "MedR", "MnR")
_RECALLS = ("R@1", "R@5", "R@10")
_Names = tuple[str, ...]  # of figures, in the order of the columns

# label of a row -> protocol, and its names of our columns
_ROWS: dict[str, tuple[str, _Names]] = {
    "wavcaps": ("wavcaps", ("r1", "r5", "r10", "mAP10", "medr", "meanr")),
    "laion": ("laion", (*_RECALLS, "mAP@10", "median_rank", "mean_rank")),
    "dcase23": ("dcase23", ("R1", "R5", "R10", "mAP")),
    "mteb hit_rate": ("mteb", ("hit_rate_at_1", "hit_rate_at_5", "hit_rate_at_10", "map_at_10")),
    "mteb recall": ("mteb", ("recall_at_1", "recall_at_5", "recall_at_10")),
    "koepke": ("koepke", ("R1", "R5", "R10", "", "MedR", "MeanR")),
}


def protocol_table(result: Mapping[str, Any]) -> RenderableType:
    """All protocols side by side below ours, and a line for each that says why its figures differ.

    Args:
        result: JSON object of `atrkit eval`, with "protocols".

    Returns:
        Something that a rich console prints; figures that differ from ours have a star.
    """
    table = Table(box=RULED, show_edge=False, pad_edge=False, header_style="")
    table.add_column("", overflow="fold", min_width=len(DIRECTIONS["text_to_audio"]))
    for column in _COLUMNS:
        table.add_column(column, justify="right", no_wrap=True)
    for direction, name in DIRECTIONS.items():
        ours = result[direction]
        # the blank is where others may have a star
        table.add_row(name, *(f"{as_measured(ours, column)} " for column in _COLUMNS), style="bold")
        for label, theirs in _rows(result["protocols"], direction):
            table.add_row(f"  {label}", *(_cell(theirs, ours, column) for column in _COLUMNS))
        table.add_section()
    title = Text("The same scores as other code bases compute them", style="bold")
    return Group(title, table, Text(), *map(Text, _notes(result["protocols"])))


def _rows(protocols: Sequence[Mapping[str, Any]], direction: str) -> Iterator[tuple[str, dict[str, float]]]:
    """Figures under our names."""
    for label, (protocol, names) in _ROWS.items():
        for found in protocols:
            if found["protocol"] == protocol:
                figures = found[direction]
                columns = zip(_COLUMNS, names, strict=False)
                yield label, {column: figures[name] for column, name in columns if name in figures}


def _cell(theirs: Mapping[str, float], ours: Mapping[str, Any], column: str) -> str:
    if column not in theirs:
        return ""
    differs = ours.get(column) is not None and abs(theirs[column] - ours[column]) > 1e-9
    return as_measured(theirs, column) + ("*" if differs else " ")


def _notes(protocols: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield "* differs from ours; never mix figures of two protocols in one table"
    for found in protocols:
        yield f"{found['protocol']}: {found['why']}"
