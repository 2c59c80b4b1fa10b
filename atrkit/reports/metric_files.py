"""What `atrkit download metrics` brought, and which metrics run now."""

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from atrkit.reports.counting import counted
from atrkit.reports.lacks import lacks_view

_STATES = ("copied", "fetched", "mended", "there")


def metric_files_view(record: Mapping[str, Any]) -> RenderableType:
    """What people see of `download_metrics`; reads well in 80 columns.

    Args:
        record: "cache", "files" (path, state, sha256) and "metrics" (name, runs, lacks).
    """
    states = [file["state"] for file in record["files"]]
    counts = ", ".join(
        f"{states.count(state)} {'were there' if state == 'there' else state}" for state in _STATES if state in states
    )
    runs = [metric["name"] for metric in record["metrics"] if metric["runs"]]
    return Group(
        Text(f"{counted(len(states), 'file')} in {record['cache']}: {counts}", overflow="fold"),
        Text(f"run on this machine: {', '.join(runs)}"),
        *lacks_view((metric["name"], lack) for metric in record["metrics"] for lack in metric["lacks"]),
    )
