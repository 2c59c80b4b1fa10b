"""What a dataset holds, in a table: splits, clips, captions, hours, and what an oracle could reach on it."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from atrkit.datasets.manifest import Dataset
from atrkit.datasets.missing import MissingClip
from atrkit.reports.style import RULED

CEILING_NAMES = {
    "kinds": "the kinds of sound only",
    "properties": "kinds and properties",
    "overlap": "kinds, properties, overlap",
    "text": "everything but identical captions",
}
_READING_ORDER = ("dev", "train", "val", "eval", "test")


def dataset_record(dataset: Dataset, missing: Sequence[MissingClip] | None = None) -> dict[str, Any]:
    """The summary as JSON: counts and hours per split, problems, and what the dataset says about itself.

    Args:
        dataset: to be counted.
        missing: clips that it should have, also of splits of which nothing is there; None when that is not known.
    """
    splits = _in_reading_order({*dataset.splits, *(clip.split for clip in missing or ())})
    return {
        "dataset": dataset.name,
        "folder": str(dataset.folder),
        "splits": {split: _split_record(dataset, split, missing) for split in splits},
        "problems": len(dataset.problems),
        "about": dataset.about,
    }


def _split_record(dataset: Dataset, split: str, missing: Sequence[MissingClip] | None) -> dict[str, Any]:
    clips = [clip for clip in dataset.clips if clip.split == split]
    record: dict[str, Any] = {
        "clips": len(clips),
        "captions": sum(len(clip.captions) for clip in clips),
        "hours": round(sum(clip.duration_s for clip in clips) / 3600, 4),
    }
    if missing is not None:
        record["missing"] = sum(clip.split == split for clip in missing)
    return record


def dataset_table(dataset: Dataset, missing: Sequence[MissingClip] | None = None) -> Group:
    """The summary for people; the arguments are those of `dataset_record`."""
    record = dataset_record(dataset, missing)
    notes = note_lines(record["about"])
    return Group(title_line(record), splits_table(record), *([Text()] if notes else []), *map(Text, notes))


def title_line(record: Mapping[str, Any]) -> Text:
    """The dataset and where it lies."""
    return Text(f"{record['dataset']} in {record['folder']}", style="bold", overflow="fold")


def splits_table(record: Mapping[str, Any]) -> Table:
    """Clips, captions, hours and, where it is on record, missing clips of each split.

    Args:
        record: of `dataset_record`.
    """
    table = Table(box=RULED, show_edge=False, pad_edge=False, header_style="")
    table.add_column("split", min_width=8)
    knows_missing = any("missing" in split for split in record["splits"].values())
    for heading in ("clips", "captions", "hours", *(["missing"] if knows_missing else [])):
        table.add_column(heading, justify="right")
    for name, split in record["splits"].items():
        missing = [f"{split['missing']:,}"] if knows_missing else []
        table.add_row(name, f"{split['clips']:,}", f"{split['captions']:,}", f"{split['hours']:,.2f}", *missing)
    return table


def note_lines(about: Mapping[str, Any]) -> list[str]:
    """What the dataset says of itself: an oracle's ceilings, and notes from when it was made."""
    return [*_ceiling_lines(about), *(str(note) for note in about.get("notes", ()))]


def _in_reading_order(splits: set[str]) -> list[str]:
    return [s for s in _READING_ORDER if s in splits] + sorted(splits.difference(_READING_ORDER))


def _ceiling_lines(about: Mapping[str, Any]) -> list[str]:
    ceilings = about.get("ceilings")
    if not ceilings:
        return []
    lines = ["text-to-audio R@1 that an oracle reaches on eval when it knows:"]
    return lines + [f"  {CEILING_NAMES.get(key, key)}: {100 * value:.1f} %" for key, value in ceilings.items()]
