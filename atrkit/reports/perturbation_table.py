"""The perturbation table: how often a clip prefers its caption to the same one with another relation.

Laid out as paper 004's table 5. Takes the JSON object of `atrkit eval --metric perturbation --json`. Reads well in 80
columns and without colour.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from atrkit.reports.style import RULED

CHANCE_PERCENT = 50.0
_REMARKS = {
    "without_word": "no word of the set, left out",
    "nothing_to_swap": "begins or ends with the word, left out",
    "unchanged": "the same after swapping, left out",
    "several_words": "several words of the set, the first taken",
    "ties": "equal scores, half a hit each",
}


def perturbation_table(result: Mapping[str, Any]) -> RenderableType:
    """One row for each test, and below it what was left out.

    Args:
        result: "run", "dataset", "split", "scoring", and "perturbation" with "captions", "clips" and "tests", as
            `workflows.perturbation` makes it (fractions in [0, 1]). Published figures are shown when they are there:
            "target" with "paper" and "values" by kind and set, in per cent: {"replace": {"before_after": 76.8}}.

    Returns:
        Something that a rich console prints.
    """
    tests = result["perturbation"]["tests"]
    return Group(_title(result), _table(tests, result.get("target")), Text(), *map(Text, remarks_of(tests)))


def _title(result: Mapping[str, Any]) -> Text:
    perturbation = result["perturbation"]
    title = Text(f"{result['run']} on {result['dataset']}/{result['split']}\n", style="bold")
    size = f"{perturbation['captions']:,} captions, {perturbation['clips']:,} clips"
    return title.append(f"{size}, perturbed; scores: {result['scoring']}; accuracy in %", style="not bold")


def _table(tests: Sequence[Mapping[str, Any]], target: Mapping[str, Any] | None) -> Table:
    values = (target or {}).get("values") or {}
    is_published = any(test["set_name"] in values.get(test["kind"], {}) for test in tests)
    table = Table(box=RULED, show_edge=False, pad_edge=False, header_style="")
    table.add_column("type", no_wrap=True)
    table.add_column("set", no_wrap=True)
    for column in ("accuracy", "95 % interval", "n", "chance"):
        table.add_column(column, justify="right", no_wrap=True)
    if target and is_published:
        table.add_column(f"paper {target['paper']}", justify="right", no_wrap=True)
    kind_above = None
    for test in tests:
        kind, set_name = test["kind"], test["set_name"]
        if kind_above not in (None, kind):
            table.add_section()
        row = ["" if kind == kind_above else kind, set_name, *measured_cells(test), f"{CHANCE_PERCENT:.1f}"]
        if is_published:
            published = values.get(kind, {}).get(set_name)
            row.append("" if published is None else f"{published:.1f}")
        table.add_row(*row)
        kind_above = kind
    return table


def measured_cells(test: Mapping[str, Any]) -> tuple[str, str, str]:
    """Accuracy, interval and n; a test without captions has no accuracy."""
    if test["accuracy"] is None:
        return "-", "-", "0"
    interval = f"[{100 * test['ci_low']:.1f}, {100 * test['ci_high']:.1f}]"
    return f"{100 * test['accuracy']:.1f}", interval, f"{test['n']:,}"


def remarks_of(tests: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Counts of captions by kind; what is zero is not said."""
    for kind in dict.fromkeys(test["kind"] for test in tests):
        for key, remark in _REMARKS.items():
            counts = [f"{test['set_name']} {test[key]:,}" for test in tests if test["kind"] == kind and test[key]]
            if counts:
                yield f"{kind}: {remark}: {', '.join(counts)}"
