"""What `atrkit doctor` found, for people: one line each, and each fix once, below what it mends."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

_STYLES = {"ok": "", "missing": "yellow", "wrong": "bold red"}
_INDENT = 9
_METRIC = "metric "


def doctor_view(record: Mapping[str, Any]) -> RenderableType:
    """What people see of `examine`; reads well in 80 columns and without colour.

    Args:
        record: "atrkit" (version) and "checks", each with name, state, detail, fix, brief, run and needs.
    """
    checks: Sequence[Mapping[str, Any]] = record["checks"]
    counts = {state: sum(check["state"] == state for check in checks) for state in _STYLES}
    summary = f"atrkit {record['atrkit']}: {counts['ok']} of {len(checks)} checks are fine"
    if counts["missing"]:
        summary += f", {counts['missing']} optional things are missing"
    if counts["wrong"]:
        summary += f", {counts['wrong']} must be mended"
    return Group(*_lines(checks), Text(), Text(summary))


def _lines(checks: Sequence[Mapping[str, Any]]) -> Iterator[RenderableType]:
    running = [check for check in checks if check["name"].startswith(_METRIC) and check["state"] == "ok"]
    for fix, of_fix in groupby((check for check in checks if check not in running), _fix):
        for check in of_fix:
            state = Text(f"{check['state']:<{_INDENT}}", style=_STYLES[check["state"]])
            yield state + Text(f"{check['name']}: {_finding(check)}", overflow="fold")
        if fix:
            yield Padding(Text(f"fix: {fix}", overflow="fold"), (0, 0, 0, _INDENT), expand=False)
    names = ", ".join(check["name"].removeprefix(_METRIC) for check in running)
    if names:
        yield Text(f"{'ok':<{_INDENT}}metrics that run: {names}", overflow="fold")


def _fix(check: Mapping[str, Any]) -> str | None:
    """What mends it, unless that is said of what it needs."""
    return None if check["needs"] else check["run"] or check["fix"]


def _finding(check: Mapping[str, Any]) -> str:
    return f"needs {', '.join(check['needs'])}" if check["needs"] else check["brief"] or check["detail"]
