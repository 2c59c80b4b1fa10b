"""What a dataset holds, in a table: splits, clips, captions, hours, and what an oracle could reach on it."""

from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from atrkit.datasets.manifest import Dataset
from atrkit.reports.style import RULED

CEILING_NAMES = {
    "kinds": "the kinds of sound only",
    "properties": "kinds and properties",
    "overlap": "kinds, properties, overlap",
    "text": "everything but identical captions",
}


def dataset_record(dataset: Dataset) -> dict[str, Any]:
    """The summary as JSON: counts and hours per split, problems, and what the dataset says about itself."""
    return {
        "dataset": dataset.name,
        "folder": str(dataset.folder),
        "splits": {split: _split_record(dataset, split) for split in dataset.splits},
        "problems": len(dataset.problems),
        "about": dataset.about,
    }


def _split_record(dataset: Dataset, split: str) -> dict[str, Any]:
    clips = dataset.split(split)
    return {
        "clips": len(clips),
        "captions": sum(len(clip.captions) for clip in clips),
        "hours": round(sum(clip.duration_s for clip in clips) / 3600, 4),
    }


def dataset_table(dataset: Dataset) -> Group:
    """The summary for people."""
    table = Table(box=RULED, show_edge=False, pad_edge=False, header_style="")
    table.add_column("split", min_width=8)
    for heading in ("clips", "captions", "hours"):
        table.add_column(heading, justify="right")
    for split in _in_reading_order(dataset.splits):
        record = _split_record(dataset, split)
        table.add_row(split, f"{record['clips']:,}", f"{record['captions']:,}", f"{record['hours']:.2f}")
    title = Text(f"{dataset.name} in {dataset.folder}", style="bold", overflow="fold")
    notes = [*_ceiling_lines(dataset), *(str(note) for note in dataset.about.get("notes", ()))]
    return Group(title, table, *([Text()] if notes else []), *map(Text, notes))


def _in_reading_order(splits: tuple[str, ...]) -> list[str]:
    usual = ["dev", "val", "eval"]
    return [s for s in usual if s in splits] + [s for s in splits if s not in usual]


def _ceiling_lines(dataset: Dataset) -> list[str]:
    ceilings = dataset.about.get("ceilings")
    if not ceilings:
        return []
    lines = ["text-to-audio R@1 that an oracle reaches on eval when it knows:"]
    return lines + [f"  {CEILING_NAMES.get(key, key)}: {100 * value:.1f} %" for key, value in ceilings.items()]
