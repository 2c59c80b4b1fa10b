"""Figures with their 95 % intervals as dots with whiskers on lines of their own: recall, perturbation accuracies."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from markupsafe import Markup

from atrkit.reports.charts.chart import Chart
from atrkit.reports.charts.frame import (
    LINE_PX,
    NARROW,
    Area,
    Drawing,
    KeyEntry,
    both_widths,
    heading,
    key,
    on_paper,
    side_by_side,
    x_axis,
)
from atrkit.reports.charts.scales import Scale
from atrkit.reports.charts.svg import (
    INK,
    MUTED,
    SERIES,
    joined,
    label,
    line,
    marker,
    series_colour,
    shortened,
    text_width,
)

_ROW = 22
_TICKS = (0, 20, 40, 60, 80, 100)
_CHANCE = 50.0
_NUMBER = 26.0  # room for the number of a run


@dataclass(frozen=True)
class Estimate:
    """One figure of one run.

    Args:
        series: number of the run, from 0.
        value: in [0, 1].
        interval: ends of the 95 % interval; None: not computed.
        note: short, at the end of the line, as "n 294".
    """

    series: int
    value: float
    interval: tuple[float, float] | None = None
    note: str = ""


Groups = Mapping[str, Sequence[Estimate]]  # what is measured -> one estimate for each run


def recall_intervals_chart(runs: Sequence[str], directions: Mapping[str, Groups]) -> Chart:
    """Recall of several runs, a panel for each direction.

    Args:
        runs: their names, by series.
        directions: direction -> figure, as "R@1" -> an estimate for each run.
    """
    title = "Recall of all runs"
    caption = " ".join(_recall_sentence(runs, direction, groups) for direction, groups in directions.items())
    svg = both_widths("recall-intervals", title, caption, partial(_draw, runs, directions, None))
    notes = (
        *_interval_notes(directions),
        "Whether a difference holds, atrkit compare says: it pairs runs clip by clip.",
    )
    return Chart("recall-intervals", title, caption, svg, _table(runs, directions), notes)


def perturbation_chart(runs: Sequence[str], tests: Groups) -> Chart:
    """How often clips prefer their caption to a changed one.

    Args:
        runs: their names, by series.
        tests: name of the test -> an estimate for each run that has it.
    """
    title = "Own caption preferred to a changed one"
    caption = _perturbation_sentence(runs, tests)
    panels = {"Captions preferred to their changed form": tests}
    svg = both_widths("perturbations", title, caption, partial(_draw, runs, panels, _CHANCE))
    return Chart("perturbations", title, caption, svg, _table(runs, panels, "test"), _interval_notes(panels))


def _interval_notes(panels: Mapping[str, Groups]) -> tuple[str, ...]:
    estimates = [each for groups in panels.values() for group in groups.values() for each in group]
    without = sum(each.interval is None for each in estimates)
    drawn_again = "Whiskers: 95 % intervals; whole clips are drawn again, as captions of one clip move together."
    notes = [drawn_again] if without < len(estimates) else []
    if without:
        notes.append(f"{without} of {len(estimates)} figures have no interval: atrkit eval --ci computes them.")
    return tuple(notes)


def _recall_sentence(runs: Sequence[str], direction: str, groups: Groups) -> str:
    figure, estimates = next(iter(groups.items()))
    best, worst = max(estimates, key=lambda each: each.value), min(estimates, key=lambda each: each.value)
    text = f"{direction}: {runs[best.series]} has the highest {figure}, {100 * best.value:.1f} %"
    return f"{text}, {runs[worst.series]} the lowest, {100 * worst.value:.1f} %." if worst is not best else f"{text}."


def _perturbation_sentence(runs: Sequence[str], tests: Groups) -> str:
    all_of = [(name, each) for name, group in tests.items() for each in group]
    low, high = min(all_of, key=lambda pair: pair[1].value), max(all_of, key=lambda pair: pair[1].value)
    deaf = [name for name, each in all_of if each.interval and each.interval[0] <= 0.5 <= each.interval[1]]
    of_run = {number: f" ({runs[number]})" if len(runs) > 1 else "" for number in range(len(runs))}
    text = f"From {100 * low[1].value:.1f} %, {low[0]}{of_run[low[1].series]},"
    text += f" to {100 * high[1].value:.1f} %, {high[0]}{of_run[high[1].series]}; chance is 50 %."
    what = "test" if len(runs) == 1 else "accuracy"
    plural = "tests" if len(runs) == 1 else "accuracies"
    if not deaf:
        return text
    return f"{text} {len(deaf)} of {len(all_of)} {what if len(all_of) == 1 else plural} cannot be told from chance."


def _draw(runs: Sequence[str], panels: Mapping[str, Groups], chance: float | None, width: int) -> Drawing:
    is_numbered = len(runs) > SERIES  # more than there are marks: each row says its run
    sample = "number" if is_numbered else "marker"
    entries = [KeyEntry(name, series, sample) for series, name in enumerate(runs)] if len(runs) > 1 else []
    keys = key(entries, 0, width, 0) if entries else Drawing(Markup(""), 0)
    titles = panels if len(panels) > 1 else [""]
    draws = [
        partial(_panel, title, groups, chance, is_numbered)
        for title, groups in zip(titles, panels.values(), strict=True)
    ]
    drawing = side_by_side(width, draws, keys.height)
    return Drawing(keys.content + drawing.content, drawing.height)


@dataclass(frozen=True)
class _Row:
    """A line of the chart: what stands at its left, where, and the estimate that it shows, if any."""

    text: str
    top: float
    estimate: Estimate | None
    is_bold: bool


def _panel(
    title: str, groups: Groups, chance: float | None, is_numbered: bool, left: float, right: float, top: float
) -> Drawing:
    estimates = [each for group in groups.values() for each in group]
    first = top + (30 if title else 8) + (16 if chance is not None else 0)
    margin = _NUMBER if is_numbered else _left_margin(groups, right - left)
    rows, bottom = _rows(groups, first, has_headings=margin == 0 or is_numbered, is_numbered=is_numbered)
    notes = max(text_width(each.note) for each in estimates)
    value_end = right - (notes + 14 if notes else 0)
    area = Area(left + max(margin, 6.0), first, value_end - text_width("100.0 %") - 12, bottom)
    x = Scale(0, 100, area.left, area.right)
    parts = [heading(title, left, top, right - left)] if title else []
    parts.append(x_axis(area, x, _TICKS, name="%", down=True))
    if chance is not None:
        parts.append(
            line(
                x(chance),
                first - 6,
                x(chance),
                bottom,
                colour=INK,
                stroke_width=1.5,
                stroke_dasharray="4 3",
                class_="chance",
            )
        )
        parts.append(label("chance", x(chance), first - 10, anchor="middle"))
    for row in rows:
        room = right - left if row.estimate is None else margin - 8
        if row.text:
            parts.append(on_paper(label(shortened(row.text, room), left, row.top + 15, colour=INK, bold=row.is_bold)))
        if row.estimate is not None:
            mark = replace(row.estimate, series=0) if is_numbered else row.estimate
            parts.append(_estimate(x, row.top + 11, mark))
            parts.append(label(f"{100 * mark.value:.1f} %", value_end, row.top + 15, anchor="end", colour=INK))
            parts += [label(mark.note, right, row.top + 15, anchor="end", colour=MUTED)] if mark.note else []
    return Drawing(joined(parts), area.bottom + 2 * LINE_PX + 6)


def _left_margin(groups: Groups, width: float) -> float:
    """Room for the names beside the rows; 0 where they stand above them instead."""
    longest = max(map(text_width, groups)) + 12
    is_single = all(len(group) == 1 for group in groups.values())
    return longest if longest < 72 or (is_single and width > NARROW) else 0.0


def _rows(groups: Groups, top: float, *, has_headings: bool, is_numbered: bool) -> tuple[list[_Row], float]:
    """The lines of the chart, and where they end."""
    rows, y = list[_Row](), top
    for name, group in groups.items():
        if has_headings:
            rows.append(_Row(name, y, None, is_bold=True))
            y += LINE_PX
        for position, each in enumerate(group):
            text = str(each.series + 1) if is_numbered else "" if has_headings or position else name
            rows.append(_Row(text, y, each, is_bold=not is_numbered and len(group) > 1))
            y += _ROW
        y += 6
    return rows, y


def _estimate(x: Scale, y: float, estimate: Estimate) -> Markup:
    tooltip, parts = f"{100 * estimate.value:.1f} %", []
    if estimate.interval:
        low, high = (100 * end for end in estimate.interval)
        colour = series_colour(estimate.series)
        parts.append(line(x(low), y, x(high), y, colour=colour, stroke_width=2, class_="whisker"))
        parts += [line(x(end), y - 4, x(end), y + 4, colour=colour, stroke_width=2) for end in (low, high)]
        tooltip += f", 95 % interval {low:.1f} to {high:.1f}"
    return joined([*parts, marker(estimate.series, x(100 * estimate.value), y, tooltip=tooltip)])


def _table(runs: Sequence[str], panels: Mapping[str, Groups], what: str = "figure") -> tuple[tuple[str, ...], ...]:
    has_notes = any(each.note for groups in panels.values() for group in groups.values() for each in group)
    is_several = len(panels) > 1
    header = (
        *(["direction"] if is_several else []), what, "run", "%", "95 % interval", *(["compared"] if has_notes else []),
    )  # fmt: skip
    rows = []
    for panel, groups in panels.items():
        for name, group in groups.items():
            for each in group:
                ends = f"{100 * each.interval[0]:.2f} to {100 * each.interval[1]:.2f}" if each.interval else ""
                cells = (name, runs[each.series], f"{100 * each.value:.2f}", ends, *([each.note] if has_notes else []))
                rows.append((panel, *cells) if is_several else cells)
    return (header, *rows)
