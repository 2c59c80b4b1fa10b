"""What charts have around their numbers: the two widths, axes, grid, headings and keys."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from atrkit.reports.charts.scales import Scale, tick_labels
from atrkit.reports.charts.svg import (
    INK,
    MUTED,
    PAPER,
    cross,
    dash,
    element,
    joined,
    label,
    line,
    marker,
    series_colour,
    shortened,
    text_width,
)

NARROW, WIDE = 360, 720  # units, of about a CSS pixel each
LINE_PX = 18
_GAP_PX = 28  # between panels


@dataclass(frozen=True)
class Area:
    """Where numbers are drawn."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        """From left to right."""
        return self.right - self.left


@dataclass(frozen=True)
class Drawing:
    """Elements, and the height that they take."""

    content: Markup
    height: float


def both_widths(chart_id: str, title: str, description: str, draw: Callable[[int], Drawing]) -> Markup:
    """A drawing for phones and one for desks; CHART_CSS shows one of them.

    Args:
        chart_id: what ids begin with.
        title: and
        description: read out instead of the drawing.
        draw: called with the width, 360 or 720.
    """
    drawings = []
    for name, width in (("narrow", NARROW), ("wide", WIDE)):
        drawing, prefix = draw(width), f"{chart_id}-{name}"
        drawings.append(
            element(
                "svg",
                element("title", title, id=f"{prefix}-title"),
                element("desc", description, id=f"{prefix}-desc"),
                drawing.content,
                xmlns="http://www.w3.org/2000/svg",
                class_=f"chart-{name}",
                viewBox=f"0 0 {width} {drawing.height:.0f}",
                role="img",
                aria_labelledby=f"{prefix}-title {prefix}-desc",
            )
        )
    return element("div", *drawings, class_="chart")


def on_paper(text: Markup) -> Markup:
    """Text over the lines of an axis, with a rim that keeps it readable."""
    return element("g", text, stroke=PAPER, stroke_width=4, paint_order="stroke", stroke_linejoin="round")


def panels(width: int, count: int) -> list[tuple[float, float, bool]]:
    """Left and right end of each panel, and whether it stands below the one before it instead of beside."""
    if width == NARROW or count == 1:
        return [(0.0, float(width), index > 0) for index in range(count)]
    each = (width - _GAP_PX * (count - 1)) / count
    return [(index * (each + _GAP_PX), index * (each + _GAP_PX) + each, False) for index in range(count)]


def side_by_side(width: int, draw: Sequence[Callable[[float, float, float], Drawing]], top: float = 0.0) -> Drawing:
    """Panels beside each other where there is room, else below each other.

    Args:
        width: of the chart.
        draw: each called with left end, right end and top.
        top: of the first.
    """
    contents, bottom = list[Markup](), top
    for (left, right, is_below), draw_panel in zip(panels(width, len(draw)), draw, strict=True):
        drawing = draw_panel(left, right, bottom + 14 if is_below else top)
        contents.append(element("g", drawing.content, class_="panel"))
        bottom = max(bottom, drawing.height)
    return Drawing(joined(contents), bottom)


def heading(text: str, left: float, top: float, width: float) -> Markup:
    """Name of a panel; its baseline is 13 below the top."""
    return label(shortened(text, width), left, top + 13, colour=INK, bold=True)


def y_axis(area: Area, scale: Scale, ticks: Sequence[float]) -> Markup:
    """Thin lines across, each with its number to the left."""
    lines = [
        line(area.left, scale(tick), area.right, scale(tick), class_="tick-y", data_value=f"{tick:.10g}")
        for tick in ticks
    ]
    numbers = [
        label(text, area.left - 6, scale(tick) + 4, anchor="end")
        for tick, text in zip(ticks, tick_labels(ticks), strict=True)
    ]
    return joined(lines + numbers)


def x_axis(area: Area, scale: Scale, ticks: Sequence[float], *, name: str | None = None, down: bool = False) -> Markup:
    """Numbers below the area, as many as have room; with lines down through it where values are read off across."""
    texts = tick_labels(ticks)
    every = 1
    while every < len(ticks) and _collide([scale(tick) for tick in ticks[::every]], texts[::every]):
        every += 1
    shown = list(zip(ticks, texts, strict=True))[::every]
    parts = [line(area.left, area.bottom, area.right, area.bottom)] if not down else []
    for tick, text in shown:
        place = scale(tick)
        top, bottom = area.top if down else area.bottom, area.bottom + 4
        parts.append(line(place, top, place, bottom, class_="tick-x", data_value=f"{tick:.10g}"))
        parts.append(label(text, _within(place, text, area), area.bottom + LINE_PX, anchor="middle"))
    if name:
        parts.append(label(name, area.right, area.bottom + 2 * LINE_PX, anchor="end"))
    return joined(parts)


def _collide(places: Sequence[float], texts: Sequence[str]) -> bool:
    ends = [
        (place - text_width(text) / 2, place + text_width(text) / 2) for place, text in zip(places, texts, strict=True)
    ]
    return any(after[0] < before[1] + 6 for before, after in itertools.pairwise(ends))


def _within(place: float, text: str, area: Area) -> float:
    """The middle of a number: where its line is, but not beyond the ends of the area by more than a little."""
    half = text_width(text) / 2
    return min(max(place, area.left - 6 + half), area.right + 4 - half)


@dataclass(frozen=True)
class KeyEntry:
    """One entry of a key.

    Args:
        text: what is drawn so.
        series: whose colour and shape.
        sample: "line", "line-marker", "thin", "marker", "block", "area", "tick",
            "whisker", "cross" or "number".
    """

    text: str
    series: int
    sample: str = "marker"


def key(entries: Sequence[KeyEntry], left: float, right: float, top: float) -> Drawing:
    """What is drawn how, on as many lines as it takes; its height is that of the lines."""
    parts, x, y = list[Markup](), left, top + 13.0
    for entry in entries:
        text = shortened(entry.text, right - left - 28)
        needed = 28 + text_width(text)
        if x > left and x + needed > right:
            x, y = left, y + LINE_PX
        parts += [_sample(entry, x, y - 4), label(text, x + 26, y, colour=INK)]
        x += needed + 14
    return Drawing(joined(parts), y - top + 8)


def _sample(entry: KeyEntry, x: float, y: float) -> Markup:
    colour = series_colour(entry.series)
    match entry.sample:
        case "line":
            return line(x, y, x + 20, y, colour=colour, stroke_width=2.25, stroke_dasharray=dash(entry.series))
        case "line-marker":
            stroke = line(x, y, x + 20, y, colour=colour, stroke_width=2.25, stroke_dasharray=dash(entry.series))
            return stroke + marker(entry.series, x + 10, y, radius=3.5)
        case "thin":
            return line(x, y, x + 20, y, colour=MUTED, stroke_width=1)
        case "block":
            return element("rect", x=x + 2, y=y - 5, width=16, height=10, fill=colour)
        case "area":
            dashes = "4 3" if entry.series else None
            fill: dict[str, str | float | None] = {"fill": colour, "fill_opacity": 0.22, "stroke": colour}
            return element(
                "rect", x=x + 1, y=y - 5, width=18, height=10, **fill, stroke_width=1.75, stroke_dasharray=dashes
            )
        case "tick":
            return line(x + 10, y - 7, x + 10, y + 7, colour=INK, stroke_width=2)
        case "number":
            return label(str(entry.series + 1), x + 10, y + 4, anchor="middle", colour=INK, bold=True)
        case "whisker":
            return line(x + 10, y - 8, x + 10, y + 8, colour=MUTED, stroke_width=2)
        case "cross":
            return cross(x + 10, y)
        case _:
            return marker(entry.series, x + 10, y)
