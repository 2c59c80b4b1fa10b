"""Recall of groups of queries: by length of the caption, by number of sound events in the clip."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from atrkit.metrics.bootstrap import ratio_interval
from atrkit.reports.charts.chart import Chart
from atrkit.reports.charts.frame import (
    LINE_PX,
    Area,
    Drawing,
    KeyEntry,
    both_widths,
    heading,
    key,
    side_by_side,
    y_axis,
)
from atrkit.reports.charts.scales import Scale
from atrkit.reports.charts.svg import INK, joined, label, line, marker, series_colour, text_width
from atrkit.reports.counting import counted
from atrkit.reports.recall_table import as_percent
from atrkit.score_matrix import IntArray

MOST_CLIPS_WITH_INTERVALS = 5_000
_RESAMPLES = 2_000
_MOST_GROUPS = 7
_FEWEST_QUERIES = 20
_TICKS = (0, 20, 40, 60, 80, 100)
_HEIGHT = 190

Float64Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class GroupRecall:
    """Recall of one group of queries.

    Args:
        name: of the group, as "5-7".
        queries: in it.
        recall: figure, as "R@1", -> value in [0, 1].
        interval: figure -> ends of the 95 % interval; empty where none was computed.
    """

    name: str
    queries: int
    recall: dict[str, float]
    interval: dict[str, tuple[float, float]]


def recall_by_group(
    hits: Mapping[str, Float64Array],
    group_Q: IntArray,
    names: Sequence[str],
    clip_Q: IntArray,
    generator: np.random.Generator,
) -> list[GroupRecall]:
    """Recall of each group, with intervals that draw whole clips.

    Args:
        hits: figure, as "R@1", -> (Q,) probability that each query is a hit.
        group_Q: (Q,) number of each query's group, in `names`; -1: in none.
        names: of the groups, each with at least one query.
        clip_Q: (Q,) number of each query's clip: queries of one clip move together.
        generator: of the resamples.

    Returns:
        Without intervals where there are more than `MOST_CLIPS_WITH_INTERVALS` clips.

    Source: PROTOCOL.md, "Confidence"; 2,000 resamples for a chart are our choice.

    Example:
        >>> hits, group, clip = {"R@1": np.array([1.0, 0.0, 1.0])}, np.array([0, 0, 1]), np.array([0, 1, 2])
        >>> groups = recall_by_group(hits, group, ["a", "b"], clip, np.random.default_rng(0))
        >>> [(each.name, each.recall) for each in groups]
        [('a', {'R@1': 0.5}), ('b', {'R@1': 1.0})]
    """
    has_intervals = len(np.unique(clip_Q)) <= MOST_CLIPS_WITH_INTERVALS
    found = []
    for group, name in enumerate(names):
        is_in_Q = group_Q == group
        _, cluster_M = np.unique(clip_Q[is_in_Q], return_inverse=True)
        sizes_G = np.bincount(cluster_M)
        recall, interval = dict[str, float](), dict[str, tuple[float, float]]()
        for figure, hits_Q in hits.items():
            recall[figure] = float(hits_Q[is_in_Q].mean())
            if has_intervals:
                hits_G = np.bincount(cluster_M, weights=hits_Q[is_in_Q])
                interval[figure] = ratio_interval(hits_G, sizes_G, generator, resamples=_RESAMPLES)
        found.append(GroupRecall(name, int(is_in_Q.sum()), recall, interval))
    return found


def groups_of_counts(count_Q: npt.ArrayLike, unit: str = "") -> tuple[IntArray, list[str]]:
    """Groups of queries with like counts, words or events: consecutive ones join until each has queries enough.

    Args:
        count_Q: (Q,) whole numbers.
        unit: behind the names.

    Returns:
        (Q,) number of each query's group, and the names of the groups, ascending; at most seven.

    Example:
        >>> groups_of_counts([1, 2, 2, 3])
        (array([0, 0, 0, 0]), ['1–3'])
        >>> groups_of_counts([1] * 30 + [2] * 30 + [5] * 30)[1]
        ['1', '2', '5']
    """
    counts = np.asarray(count_Q, dtype=np.int64)
    values, times = np.unique(counts, return_counts=True)
    enough = max(_FEWEST_QUERIES, -(-len(counts) // _MOST_GROUPS)) if len(values) > _MOST_GROUPS else _FEWEST_QUERIES
    members, current, size = list[list[int]](), list[int](), 0
    for value, number in zip(values.tolist(), times.tolist(), strict=True):
        current, size = [*current, value], size + number
        if size >= enough:
            members, current, size = [*members, current], [], 0
    if current and members:
        members[-1] += current  # too few for a group of their own
    elif current:
        members = [current]
    firsts = np.array([group[0] for group in members])
    names = [str(group[0]) if len(group) == 1 else f"{group[0]}–{group[-1]}" for group in members]
    return np.searchsorted(firsts, counts, side="right") - 1, [f"{name}{unit}" for name in names]


def recall_by_chart(
    chart_id: str, title: str, axis: str, panels: Mapping[str, Sequence[GroupRecall]], notes: Sequence[str] = ()
) -> Chart:
    """Dots with whiskers for each group, a panel for each direction.

    Args:
        chart_id: of the chart.
        title: of the chart.
        axis: what the groups differ in, as "words in the caption".
        panels: direction -> groups, at least one, in order.
        notes: of the chart.
    """
    caption = " ".join(_sentence(direction, groups, axis) for direction, groups in panels.items())
    svg = both_widths(chart_id, title, caption, partial(_draw, axis, panels))
    more = [] if all(group.interval for groups in panels.values() for group in groups) else [
        f"No intervals: there are more than {MOST_CLIPS_WITH_INTERVALS:,} clips."
    ]  # fmt: skip
    return Chart(chart_id, title, caption, svg, _table(axis, panels), (*notes, *more))


def _sentence(direction: str, groups: Sequence[GroupRecall], axis: str) -> str:
    figure = next(iter(groups[0].recall))
    if len(groups) == 1:
        queries = counted(groups[0].queries, "query", "queries")
        return f"{direction}: {queries}, all in one group ({_of(groups[0], axis)})."
    best = max(groups, key=lambda group: group.recall[figure])
    worst = min(groups, key=lambda group: group.recall[figure])
    return (
        f"{direction}: {figure} is highest, {as_percent(best.recall[figure])} %, at {_of(best, axis)} "
        f"(n {best.queries:,}), and lowest, {as_percent(worst.recall[figure])} %, at {worst.name} "
        f"(n {worst.queries:,})."
    )


def _of(group: GroupRecall, axis: str) -> str:
    return f"{group.name} {axis.removesuffix('s') if group.name == '1' else axis}"


def _draw(axis: str, panels: Mapping[str, Sequence[GroupRecall]], width: int) -> Drawing:
    figures = list(next(iter(panels.values()))[0].recall)
    has_intervals = any(group.interval for groups in panels.values() for group in groups)
    entries = [KeyEntry(figure, index) for index, figure in enumerate(figures)]
    keys = key([*entries, *([KeyEntry("95 % interval", 0, "whisker")] if has_intervals else [])], 0, width, 0)
    draws = [partial(_panel, direction, groups, axis) for direction, groups in panels.items()]
    drawing = side_by_side(width, draws, keys.height)
    return Drawing(keys.content + drawing.content, drawing.height)


def _panel(direction: str, groups: Sequence[GroupRecall], axis: str, left: float, right: float, top: float) -> Drawing:
    area = Area(left + 32, top + 32, right, top + 32 + _HEIGHT)
    y = Scale(0, 100, area.bottom, area.top)
    step = area.width / len(groups)
    parts = [heading(f"{direction}, recall in %", left, top, right - left), y_axis(area, y, _TICKS)]
    figures = list(groups[0].recall)
    for series, figure in enumerate(figures):
        shift = (series - (len(figures) - 1) / 2) * min(14.0, step / 4)
        places = [area.left + step * (index + 0.5) + shift for index in range(len(groups))]
        parts += [
            line(
                x1, y(100 * a.recall[figure]), x2, y(100 * b.recall[figure]), colour=series_colour(series), opacity=0.45
            )
            for (x1, a), (x2, b) in zip(
                zip(places, groups, strict=True), list(zip(places, groups, strict=True))[1:], strict=False
            )
        ]
        parts += [_dot(x, y, group, figure, series) for x, group in zip(places, groups, strict=True)]
    are_counts_shown = all(text_width(f"{group.queries:,}") < step - 2 for group in groups)
    for index, group in enumerate(groups):
        middle = area.left + step * (index + 0.5)
        parts.append(label(group.name, middle, area.bottom + LINE_PX, anchor="middle", colour=INK))
        if are_counts_shown:
            parts.append(label(f"{group.queries:,}", middle, area.bottom + 2 * LINE_PX - 2, anchor="middle"))
    if are_counts_shown:
        parts.append(label("n", left, area.bottom + 2 * LINE_PX - 2))
    parts.append(label(axis, area.right, area.bottom + 3 * LINE_PX, anchor="end"))
    return Drawing(joined(parts), area.bottom + 3 * LINE_PX + 6)


def _dot(x: float, y: Scale, group: GroupRecall, figure: str, series: int) -> Markup:
    value = 100 * group.recall[figure]
    tooltip = f"{group.name}: {figure} {value:.1f} % of {group.queries:,}"
    parts = []
    if group.interval:
        low, high = (100 * end for end in group.interval[figure])
        parts.append(line(x, y(low), x, y(high), colour=series_colour(series), stroke_width=2, class_="whisker"))
        tooltip += f", 95 % interval {low:.1f} to {high:.1f}"
    return joined([*parts, marker(series, x, y(value), tooltip=tooltip)])


def _table(axis: str, panels: Mapping[str, Sequence[GroupRecall]]) -> tuple[tuple[str, ...], ...]:
    groups_of_all = [(direction, group) for direction, groups in panels.items() for group in groups]
    figures = list(groups_of_all[0][1].recall)
    has_intervals = any(group.interval for _, group in groups_of_all)
    columns = [name for figure in figures for name in (f"{figure} (%)", *(["95 % interval"] if has_intervals else []))]
    rows = []
    for direction, group in groups_of_all:
        cells = []
        for figure in figures:
            cells.append(f"{100 * group.recall[figure]:.2f}")
            if has_intervals:
                ends = group.interval.get(figure)
                cells.append(f"{100 * ends[0]:.2f} to {100 * ends[1]:.2f}" if ends else "")
        rows.append((direction, group.name, f"{group.queries:,}", *cells))
    return (("direction", axis, "queries", *columns), *rows)
