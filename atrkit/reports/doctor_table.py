"""What `atrkit doctor` found, for people: a section for each group, and each fix once, below what it mends."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

_STYLES = {"ok": "", "missing": "yellow", "wrong": "bold red"}
_STATE_WIDTH = 8
# checks whose names begin so are listed together, under this title
_WHERE_WELL = {
    "metric ": "metrics that run",
    "weights ": "weights",
    "hub ": "models of the hub",
    "dataset ": "datasets",
    "embeddings ": "embeddings",
}
_WHERE_NOT = {"weights ": "weights", "hub ": "models of the hub"}
_SAY_NO_MORE = ("metric ", "weights ", "hub ")  # that it is there is all there is to say
_NOT_THERE = "not there"  # as the state says

Check = Mapping[str, Any]


def doctor_view(record: Mapping[str, Any]) -> RenderableType:
    """What people see of `examine`; reads well in 80 columns and without colour.

    What is well takes a line or two for a whole group; what is missing or wrong has its own, with the fix below.

    Args:
        record: "atrkit" (version) and "checks", each with name, state, detail, fix, brief, run, needs and group.
    """
    checks: Sequence[Check] = record["checks"]
    counts = {state: sum(check["state"] == state for check in checks) for state in _STYLES}
    summary = f"atrkit {record['atrkit']}: {counts['ok']} of {len(checks)} checks are fine"
    if counts["missing"]:
        summary += f", {counts['missing']} optional things are missing"
    if counts["wrong"]:
        summary += f", {counts['wrong']} must be mended"
    sections = [_section(group, list(of_group)) for group, of_group in groupby(checks, lambda check: check["group"])]
    return Group(*sections, Text(), Text(summary))


def _section(title: str, checks: Sequence[Check]) -> RenderableType:
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(width=_STATE_WIDTH, no_wrap=True)
    table.add_column(overflow="fold")
    for line in _well([check for check in checks if check["state"] == "ok"]):
        table.add_row("ok", Text(line))
    for fix, of_fix in groupby((check for check in checks if check["state"] != "ok"), _fix):
        for state, line in _lines(list(of_fix)):
            table.add_row(Text(state, style=_STYLES[state]), Text(line))
        if fix:
            table.add_row("", Text(f"fix: {fix}"))
    return Group(Text(title, style="bold"), table)


def _well(checks: Sequence[Check]) -> Iterator[str]:
    """What is fine: families by name in a line each, the others in one."""
    others = [check for check in checks if _family(check, _WHERE_WELL) is None]
    if others:
        yield "; ".join(f"{check['name']}: {check['brief'] or check['detail']}" for check in others)
    for family, title in _WHERE_WELL.items():
        names = [_short(check, family) for check in checks if check["name"].startswith(family)]
        if names:
            yield f"{title}: {', '.join(names)}"


def _lines(checks: Sequence[Check]) -> Iterator[tuple[str, str]]:
    """What is not, of checks with one fix; families that are only absent in a line together."""
    for (state, family), of_family in groupby(checks, lambda check: (check["state"], _family(check, _WHERE_NOT))):
        together = list(of_family)
        if family is None or len(together) == 1:
            yield from ((check["state"], f"{check['name']}: {_finding(check)}") for check in together)
        else:
            names = [_with_brief(check, family) for check in together]
            yield state, f"{_WHERE_NOT[family]}: {', '.join(names)}"


def _family(check: Check, families: Mapping[str, str]) -> str | None:
    return next((family for family in families if check["name"].startswith(family)), None)


def _short(check: Check, family: str) -> str:
    return check["name"].removeprefix(family) if family in _SAY_NO_MORE else _with_brief(check, family)


def _with_brief(check: Check, family: str) -> str:
    name = check["name"].removeprefix(family)
    return f"{name} ({check['brief']})" if check["brief"] not in (None, _NOT_THERE) else name


def _fix(check: Check) -> str | None:
    """What mends it, unless that is said of what it needs."""
    return None if check["needs"] else check["run"] or check["fix"]


def _finding(check: Check) -> str:
    return f"needs {', '.join(check['needs'])}" if check["needs"] else check["brief"] or check["detail"]
