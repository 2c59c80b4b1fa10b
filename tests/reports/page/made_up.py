"""A page made by hand, small, with everything that a page can hold; tests change what they are about."""

from dataclasses import replace
from typing import Any

import numpy as np
from markupsafe import Markup

from atrkit.reports.charts.chart import Chart
from atrkit.reports.page.content import (
    Cell,
    Comparison,
    Examples,
    Fact,
    Found,
    Query,
    QueryGroup,
    ReportPage,
    Row,
    RunGroup,
    RunSection,
    Sound,
    Table,
)

HOSTILE = (
    "<script>document.title = 'owned'</script>",
    "\" onmouseover=\"document.title='owned'",
    "a 'dog' & a \"cat\" < 3 > 2 {{ 7 * 7 }} {% raw %}",
    "\N{DOG FACE}\N{VARIATION SELECTOR-16} barks \N{MAN}\N{ZERO WIDTH JOINER}\N{WOMAN}",
    "كلب ينبح بصوت عال \u202e reversed",
    "long " + "wow" * 665,
)


def table(title: str = "Recall", label: str = "Text to audio") -> Table:
    rows = (
        Row(label, (Cell("62.0", "57.5\u2009\u2013\u200966.6"), Cell("92.3"), Cell("1.0")), "measured"),
        Row("chance", (Cell("0.4"), Cell("2.1"), Cell("120.5")), "aside"),
    )
    return Table(title, ("", "R@1", "R@5", "MedR"), (rows, rows), ("ties: 3 of 9 queries",))


def chart(chart_id: str = "ranks", title: str = "Ranks") -> Chart:
    shapes = '<rect width="300" height="90" fill="var(--series-1)"/><text x="9" y="20" fill="var(--muted)">12</text>'
    drawn = "".join(
        f'<svg class="chart-{kind}" viewBox="0 0 {width} 100" role="img" aria-label="Ranks">{shapes}</svg>'
        for kind, width in (("narrow", 360), ("wide", 720))
    )
    return Chart(
        chart_id,
        title,
        "Half are first.",
        Markup(f'<div class="chart">{drawn}</div>'),
        (("rank", "n"), ("1", "3")),
        ("n",),
    )


def texts_found(text: str = "a dog barks") -> tuple[Found, ...]:
    return (
        Found("1", "0.912", text, "d/dog.wav", "dog.wav", True, "same score as 1 other"),
        Found("2", "0.812", "rain falls on a roof", "d/rain.wav", "rain.wav", False),
        Found("3", "0.712", "the sea", "d/gone.wav", "gone.wav", False),
    )


def examples(text: str = "a dog barks") -> tuple[Examples, ...]:
    asked = Query(text, "", "dog.wav", (), "1", texts_found(text))
    captions = (Found("1", "0.9", text, "", "dog.wav", True), Found("2", "0.8", "rain", "", "rain.wav", False))
    heard = Query("", "d/dog.wav", "dog.wav", (text, "a second caption"), "1", captions)
    return (
        Examples("Text to audio", "How they were chosen.", "Score: cosine.", (QueryGroup("Best", (asked,)),)),
        Examples("Audio to text", "How they were chosen.", "Score: cosine.", (QueryGroup("Worst", (heard,)),)),
    )


def run(anchor: str = "run-a", **changes: Any) -> RunSection:
    section = RunSection(
        anchor=anchor,
        name="first/seed-1",
        facts=(Fact("Source, and departures from it", "ours"), Fact("Command", "atrkit train x", is_code=True)),
        recipe="source: ours\nmodel: {name: ridge}\n",
        warnings=("NOTE: trained on 3 of these clips: figures on them measure memory",),
        recall=table(),
        charts=(chart(f"{anchor}-ranks"),),
        hub_charts=(),
        perturbation_charts=(),
        perturbation=table("Accuracy"),
        perturbation_note="How often.",
        examples=examples(),
    )
    return replace(section, **changes)


def page(*runs: RunSection, data: bytes = b"ID3 no real audio", **changes: Any) -> ReportPage:
    groups = tuple(RunGroup(each.anchor, each.name, None, (each,)) for each in runs or (run(),))
    comparison = None
    if len(groups) > 1:
        comparison = Comparison((table("Summary"),), (table("b minus a"),), (chart("all"),), ("A note.",))
    made = ReportPage(
        title="first/seed-1",
        lead="Retrieval on synthetic/eval, both directions.",
        groups=groups,
        version="0.1.0",
        comparison=comparison,
        sounds={
            "d/dog.wav": Sound("dog.wav", 4.2, data, "audio/mpeg"),
            "d/rain.wav": Sound("rain.wav", 61.0, data + b" rain", "audio/mpeg", cut_to_s=30.0),
            "d/gone.wav": Sound("gone.wav", 5.0, why_not="its file is gone: /data/gone.wav"),
        },
    )
    return replace(made, **changes)


def sine(seconds: float, rate_hz: int, hz: float = 440.0) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate_hz)) / rate_hz)).astype(np.float32)
