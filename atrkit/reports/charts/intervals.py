"""Figures with their 95 % intervals as dots with whiskers on lines of their own: recall, perturbation accuracies."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
    side_by_side,
    x_axis,
)
from atrkit.reports.charts.scales import Scale
from atrkit.reports.charts.svg import INK, MUTED, joined, label, line, marker, series_colour, shortened, text_width

_ROW = 22
_TICKS = (0, 20, 40, 60, 80, 100)
_CHANCE = 50.0


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
    notes = _interval_notes(directions)
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
    best = max(estimates, key=lambda each: each.value)
    text = f"{direction}: {runs[best.series]} has the highest {figure}, {100 * best.value:.1f} %"
    others = [each for each in estimates if each is not best]
    if not others or best.interval is None:
        return f"{text}."
    touched = [runs[each.series] for each in others if each.interval and each.interval[1] >= best.interval[0]]
    if not touched:
        return f"{text}, and no other interval reaches its own."
    return f"{text}; the intervals of {len(touched)} of the other {len(others)} runs overlap with its own."


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
    entries = [KeyEntry(name, series) for series, name in enumerate(runs)] if len(runs) > 1 else []
    keys = key(entries, 0, width, 0) if entries else Drawing(Markup(""), 0)
    draws = [partial(_panel, title if len(panels) > 1 else "", groups, chance) for title, groups in panels.items()]
    drawing = side_by_side(width, draws, keys.height)
    return Drawing(keys.content + drawing.content, drawing.height)


def _panel(title: str, groups: Groups, chance: float | None, left: float, right: float, top: float) -> Drawing:
    is_single = all(len(group) == 1 for group in groups.values())
    is_beside = is_single and right - left > NARROW
    names = max(map(text_width, groups)) + 12 if is_beside or max(map(text_width, groups)) < 60 else 0.0
    shown = {id(each): f"{100 * each.value:.1f} %" for group in groups.values() for each in group}
    notes = max(text_width(each.note) for group in groups.values() for each in group)
    right_margin = max(map(text_width, shown.values())) + (notes + 14 if notes else 0) + 8
    first = top + (30 if title else 8) + (16 if chance is not None else 0)
    rows, y = list[tuple[str, float, Estimate | None]](), first
    for name, group in groups.items():
        if not names:
            rows.append((name, y, None))
            y += LINE_PX
        for number, each in enumerate(group):
            rows.append((name if names and number == 0 else "", y, each))
            y += _ROW
        y += 6
    area = Area(left + max(names, 6.0), first, right - right_margin, y)
    x = Scale(0, 100, area.left, area.right)
    parts = [x_axis(area, x, _TICKS, name="%", down=True)]
    if title:
        parts.insert(0, heading(title, left, top, right - left))
    if chance is not None:
        parts.append(line(x(chance), first - 6, x(chance), y, colour=INK, stroke_width=1.5, stroke_dasharray="4 3"))
        parts.append(label("chance", x(chance), first - 10, anchor="middle"))
    for name, row, estimate in rows:
        if name:
            parts.append(
                label(shortened(name, right - left), left, row + 15, colour=INK, bold=estimate is None or not is_single)
            )
        if estimate is not None:
            parts.append(_estimate(x, row + 11, estimate))
            parts.append(
                label(shown[id(estimate)], right - (notes + 14 if notes else 0), row + 15, anchor="end", colour=INK)
            )
            if estimate.note:
                parts.append(label(estimate.note, right, row + 15, anchor="end", colour=MUTED))
    return Drawing(joined(parts), area.bottom + 2 * LINE_PX + 2)


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
