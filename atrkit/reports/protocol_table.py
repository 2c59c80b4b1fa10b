"""What other code bases would print of the same scores, below what we compute."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from atrkit.reports.directions import DIRECTIONS
from atrkit.reports.figure_cells import as_measured
from atrkit.reports.style import RULED

_RECALLS = ("R@1", "R@5", "R@10")  # that all code bases have
_OTHERS = ("mAP@10", "MedR", "MnR")
_MANY_RECALLS = 4

# label of a row -> protocol, how it names recall at a cut-off, and its names of our other columns
_ROWS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "wavcaps": ("wavcaps", "r{}", ("mAP10", "medr", "meanr")),
    "laion": ("laion", "R@{}", ("mAP@10", "median_rank", "mean_rank")),
    "dcase23": ("dcase23", "R{}", ("mAP",)),
    "mteb hit_rate": ("mteb", "hit_rate_at_{}", ("map_at_10",)),
    "mteb recall": ("mteb", "recall_at_{}", ()),
    "koepke": ("koepke", "R{}", ("", "MedR", "MeanR")),
}
_NDCG_OF_MTEB = "ndcg_at_10"


def protocol_table(result: Mapping[str, Any]) -> RenderableType:
    """All protocols side by side below ours, and a line for each that says why its figures differ.

    Args:
        result: JSON object of `atrkit eval`, with "protocols".

    Returns:
        Something that a rich console prints; figures that differ from ours have a star.
    """
    asked = {name for name in result["text_to_audio"] if name.startswith("R@")}
    recalls = sorted(asked.union(_RECALLS), key=_cut_off)
    columns = [*recalls, *_OTHERS]
    padding = (0, 0, 0, 1) if len(recalls) > _MANY_RECALLS else (0, 1)
    table = Table(box=RULED, show_edge=False, pad_edge=False, padding=padding, header_style="")
    table.add_column("", overflow="fold", min_width=len(DIRECTIONS["text_to_audio"]))
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    for direction, name in DIRECTIONS.items():
        ours = result[direction]
        # the blank is where others may have a star
        table.add_row(name, *(f"{as_measured(ours, column)} " for column in columns), style="bold")
        for label, theirs in _rows(result["protocols"], direction, recalls):
            table.add_row(f"  {label}", *(_cell(theirs, ours, column) for column in columns))
        table.add_section()
    title = Text("The same scores as other code bases compute them", style="bold")
    return Group(title, table, Text(), *map(Text, _notes(result["protocols"])))


def _cut_off(name: str) -> int:
    return int(name.removeprefix("R@"))


def _rows(
    protocols: Sequence[Mapping[str, Any]], direction: str, recalls: Sequence[str]
) -> Iterator[tuple[str, dict[str, float]]]:
    """Figures under our names; a code base has its own cut-offs, and no others."""
    for label, (protocol, recall, others) in _ROWS.items():
        name_of = {column: recall.format(_cut_off(column)) for column in recalls} | dict(
            zip(_OTHERS, others, strict=False)
        )
        for found in protocols:
            if found["protocol"] == protocol:
                figures = found[direction]
                yield label, {column: figures[name] for column, name in name_of.items() if name in figures}


def _cell(theirs: Mapping[str, float], ours: Mapping[str, Any], column: str) -> str:
    if column not in theirs:
        return ""
    differs = ours.get(column) is not None and abs(theirs[column] - ours[column]) > 1e-9
    return as_measured(theirs, column) + ("*" if differs else " ")


def _notes(protocols: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield "* differs from ours; never mix figures of two protocols in one table"
    for found in protocols:
        yield f"{found['protocol']}: {found['why']}"
        if _NDCG_OF_MTEB in found["text_to_audio"]:
            to_audio, to_text = (as_measured(found[direction], _NDCG_OF_MTEB) for direction in DIRECTIONS)
            yield f"  its binary nDCG@10: {to_audio} % text to audio, {to_text} % audio to text"
