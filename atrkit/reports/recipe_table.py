"""The recipes that come with atrkit, as a table with the rows of the papers; and one of them, with what it aims at."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from atrkit.reports.counting import counted
from atrkit.reports.style import RULED

_FIGURES = (("text_to_audio", "T2A"), ("audio_to_text", "A2T"))
_SHOWN = ("R@1", "R@10")

Record = Mapping[str, Any]


def recipe_table(records: Sequence[Record]) -> RenderableType:
    """Recipes by folder and data set, those of one table of a paper together; reads well in 80 columns.

    Args:
        records: each with "name", "dataset" and "target" (or None), as `atrkit recipes --json` prints them.

    Returns:
        Something that a rich console prints.
    """
    table = Table(box=RULED, show_edge=False, pad_edge=False, padding=(0, 0, 0, 1), header_style="")
    table.add_column("recipe", overflow="fold", no_wrap=True)
    table.add_column("paper,\ntable", no_wrap=True)
    table.add_column("row", overflow="fold")
    for _, direction in _FIGURES:
        for figure in _SHOWN:
            table.add_column(f"{direction}\n{figure}", justify="right", no_wrap=True)
    for (folder, dataset), group in groupby(sorted(records, key=_place), key=_group):
        table.add_row(f"{folder}/" if folder else "", "", f"on {dataset}", style="bold")
        for record in group:
            table.add_row(f"  {record['name'].rpartition('/')[2]}", *_target_cells(record["target"] or {}))
        table.add_section()
    return Group(
        table,
        Text(),
        Text(
            f"{counted(len(records), 'recipe')}; T2A: text to audio, A2T: audio to text, in % as printed. "
            "One of them whole: atrkit recipes NAME; run it: atrkit train NAME"
        ),
    )


def recipe_text(record: Record) -> str:
    """A recipe's file as it stands, and the published figures that it aims at.

    Args:
        record: as for `recipe_table`, with the file's "text".
    """
    return "\n".join([record["text"].rstrip("\n"), "", *_about_target(record)])


def _group(record: Record) -> tuple[str, str]:
    return record["name"].rpartition("/")[0], record["dataset"] or "your data"


def _place(record: Record) -> tuple[Any, ...]:
    target = record["target"] or {}
    return (*_group(record), str(target.get("paper", "")), str(target.get("table", "")), record["name"])


def _target_cells(target: Record) -> Iterator[str]:
    values = target.get("values") or {}
    table = f", {target['table']}" if target.get("table") is not None else ""
    yield f"{target['paper']}{table}" if target else ""
    yield str(target.get("row") or "")
    for direction, _ in _FIGURES:
        for figure in _SHOWN:
            value = (values.get(direction) or {}).get(figure)
            yield "" if value is None else f"{value:.1f}"


def _about_target(record: Record) -> Iterator[str]:
    target = record["target"]
    if not target:
        yield f"{record['name']} aims at no published row"
        return
    place = [f"paper {target['paper']}"]
    place += [f"table {target['table']}"] if target.get("table") is not None else []
    place += [f"row {target['row']}"] if target.get("row") else []
    values = target.get("values") or {}
    yield f"{record['name']} aims at {', '.join(place)}" + (", published in %:" if values else "")
    for name, figures in values.items():
        yield f"  {name.replace('_', ' ')}: " + ", ".join(f"{figure} {value:g}" for figure, value in figures.items())
