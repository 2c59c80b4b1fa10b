"""What `atrkit doctor` found, for people: one line each, and the fix below what needs one."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

_STYLES = {"ok": "", "missing": "yellow", "wrong": "bold red"}
_INDENT = 9


def doctor_view(record: Mapping[str, Any]) -> RenderableType:
    """What people see of `examine`; reads well in 80 columns and without colour.

    Args:
        record: "atrkit" (version) and "checks", each with name, state, detail and fix.
    """
    checks: Sequence[Mapping[str, Any]] = record["checks"]
    counts = {state: sum(check["state"] == state for check in checks) for state in _STYLES}
    summary = f"atrkit {record['atrkit']}: {counts['ok']} of {len(checks)} checks are fine"
    if counts["missing"]:
        summary += f", {counts['missing']} optional things are missing"
    if counts["wrong"]:
        summary += f", {counts['wrong']} must be mended"
    return Group(*(part for check in checks for part in _lines(check)), Text(), Text(summary))


def _lines(check: Mapping[str, Any]) -> list[RenderableType]:
    state = Text(f"{check['state']:<{_INDENT}}", style=_STYLES[check["state"]])
    detail = "" if check["state"] == "ok" and check["detail"] == "runs" else f": {check['detail']}"
    lines: list[RenderableType] = [state + Text(f"{check['name']}{detail}", overflow="fold")]
    if check["fix"]:
        lines.append(Padding(Text(f"fix: {check['fix']}", overflow="fold"), (0, 0, 0, _INDENT), expand=False))
    return lines
