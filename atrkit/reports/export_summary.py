"""What `atrkit export` wrote, for people."""

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text


def export_view(record: Mapping[str, Any]) -> RenderableType:
    """A line for each file and each note.

    Args:
        record: of `atrkit export --json`.
    """
    files = [Text(f"{each['path']}: {each['rows']:,} lines", overflow="fold") for each in record["files"]]
    return Group(*files, *(Text(f"note: {note}") for note in record["notes"]))
