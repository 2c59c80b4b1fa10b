"""A handful of captions, each with what it scores with all clips, before and after column scaling."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from markupsafe import Markup

from atrkit.reports.charts.chart import Chart
from atrkit.reports.charts.frame import LINE_PX, Area, Drawing, KeyEntry, both_widths, key, on_paper, x_axis
from atrkit.reports.charts.scales import Scale, nice_ticks
from atrkit.reports.charts.svg import INK, PAPER, cross, element, joined, label, line, series_colour, shortened
from atrkit.score_matrix import FloatArray, IntArray

QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
_CAPTIONS = 6
_ROW = 46
_GAP = 24

Quantiles = tuple[float, ...]


@dataclass(frozen=True)
class CaptionColumn:
    """One caption with all clips.

    Args:
        text: of the caption.
        raw: the `QUANTILES` of its raw scores.
        raw_own: raw score with its own clip.
        scaled: the same of the scaled scores; None: the column is constant and cannot be scaled.
        scaled_own: the same.
        better_clips: clips that score better with it than its own.
        clips: all.
    """

    text: str
    raw: Quantiles
    raw_own: float
    scaled: Quantiles | None
    scaled_own: float | None
    better_clips: int
    clips: int


def caption_columns(
    raw_AC: FloatArray,
    scaled_AC: FloatArray,
    clip_index_of_caption_C: IntArray,
    texts: Sequence[str],
    *,
    is_loss: bool,
) -> list[CaptionColumn]:
    """Six captions from the one with the lowest mean to the one with the highest, evenly spaced in that order.

    Args:
        raw_AC: (A, C) finite losses or scores.
        scaled_AC: (A, C) the same, scaled by column; not finite in columns that cannot be.
        clip_index_of_caption_C: row of each caption's own clip.
        texts: of the captions.
        is_loss: lower is better.

    Example:
        >>> raw = np.array([[1.7, 8.4], [2.1, 7.6]])
        >>> columns = caption_columns(raw, raw, np.array([0, 1]), ["rain", "a dog"], is_loss=True)
        >>> [(column.text, column.raw_own, column.better_clips) for column in columns]
        [('rain', 1.7, 0), ('a dog', 7.6, 0)]
    """
    order_C = np.argsort(raw_AC.mean(axis=0, dtype=np.float64), kind="stable")
    places = np.unique(np.linspace(0, len(order_C) - 1, _CAPTIONS).round().astype(np.int64))
    return [
        _column(raw_AC[:, c], scaled_AC[:, c], int(clip_index_of_caption_C[c]), texts[c], is_loss=is_loss)
        for c in order_C[places].tolist()
    ]


def _column(raw_A: FloatArray, scaled_A: FloatArray, own: int, text: str, *, is_loss: bool) -> CaptionColumn:
    is_scaled = bool(np.isfinite(scaled_A).all())
    better = raw_A < raw_A[own] if is_loss else raw_A > raw_A[own]
    return CaptionColumn(
        text,
        _quantiles(raw_A),
        float(raw_A[own]),
        _quantiles(scaled_A) if is_scaled else None,
        float(scaled_A[own]) if is_scaled else None,
        int(np.count_nonzero(better)),
        len(raw_A),
    )


def _quantiles(values_A: FloatArray) -> Quantiles:
    return tuple(np.quantile(values_A.astype(np.float64), QUANTILES).tolist())


def caption_columns_chart(
    columns: Sequence[CaptionColumn], *, score_name: str, scaled_name: str, is_loss: bool
) -> Chart:
    """A row for each caption: where its scores with all clips lie, and a cross at its own clip.

    Args:
        columns: at least one, in order.
        score_name: as "loss, nats per token".
        scaled_name: of what scaling makes of it.
        is_loss: lower is better.

    Source: what figure 1 of paper 004 shows as curves over all clips; quantiles are our choice.
    """
    title = "Single captions with all clips, before and after scaling"
    caption = _caption(columns, is_loss=is_loss)
    draw = partial(_draw, columns, f"raw: {score_name}", f"scaled: {scaled_name}")
    svg = both_widths("caption-columns", title, caption, draw)
    constant = sum(column.scaled is None for column in columns)
    notes = ["Bars: the middle half and the middle 90 % of all clips; thin line: all of them; gap: the median."]
    if constant:
        notes.append(f"{constant} of these captions score the same with every clip, and cannot be scaled.")
    return Chart("caption-columns", title, caption, svg, _table(columns), tuple(notes))


def _caption(columns: Sequence[CaptionColumn], *, is_loss: bool) -> str:
    first, last = (columns[0], columns[-1]) if is_loss else (columns[-1], columns[0])
    worst = first.raw[QUANTILES.index(0.95 if is_loss else 0.05)]
    best = last.raw[0 if is_loss else -1]
    is_apart = worst < best if is_loss else worst > best
    better = "lowest" if is_loss else "highest"
    beaten = sum(column.better_clips == 0 for column in columns)
    own = f"For {beaten} of the {len(columns)} captions no clip scores better than their own."
    if not is_apart:
        ends = " and ".join(f"{column.raw[3]:.3g}" for column in (columns[0], columns[-1]))
        return f"Before scaling, the medians of these captions lie between {ends}. {own}"
    return (
        f"Before scaling, 95 % of the clips score better with the caption of the {better} mean (median "
        f"{first.raw[3]:.3g}) than any clip with the one at the other end (median {last.raw[3]:.3g}): such columns "
        f"come first for most clips. {own}"
    )


def _draw(columns: Sequence[CaptionColumn], raw_name: str, scaled_name: str, width: int) -> Drawing:
    keys = key([KeyEntry("all clips", 0, "block"), KeyEntry("its own clip", 0, "cross")], 0, width, 0)
    half = (width - _GAP) / 2
    top = keys.height + 6
    bottom = top + _ROW * len(columns)
    areas = [Area(6, top, half - 6, bottom), Area(half + _GAP + 6, top, width - 6, bottom)]
    raw: list[tuple[Quantiles | None, float | None]] = [(column.raw, column.raw_own) for column in columns]
    scaled = [(column.scaled, column.scaled_own) for column in columns]
    parts = [keys.content]
    for series, (area, name, stage) in enumerate(zip(areas, (raw_name, scaled_name), (raw, scaled), strict=True)):
        parts.append(_stage(area, name, stage, [column.text for column in columns], series))
    for index, column in enumerate(columns):
        parts.append(on_paper(label(shortened(column.text, width - 8), 0, top + _ROW * index + 15, colour=INK)))
    return Drawing(joined(parts), bottom + 2 * LINE_PX + 6)


def _stage(
    area: Area, name: str, stage: Sequence[tuple[Quantiles | None, float | None]], texts: Sequence[str], series: int
) -> Markup:
    """All rows before, or after, scaling."""
    known = [quantiles for quantiles, _ in stage if quantiles is not None]
    low, high = (min(each[0] for each in known), max(each[-1] for each in known)) if known else (0.0, 1.0)
    ticks = nice_ticks(low, high, 4)
    x = Scale(ticks[0], ticks[-1], area.left, area.right)
    parts = [x_axis(area, x, ticks, down=True)]
    parts.append(label(shortened(name, area.width + 12), area.left - 6, area.bottom + 2 * LINE_PX, colour=INK))
    for index, (text, (quantiles, own)) in enumerate(zip(texts, stage, strict=True)):
        if quantiles is not None and own is not None:
            parts.append(_strip(x, area.top + _ROW * index + 30, quantiles, own, text, series))
    return element("g", *parts, class_="panel")


def _strip(x: Scale, y: float, quantiles: Quantiles, own: float, text: str, series: int) -> Markup:
    low, p5, p25, median, p75, p95, high = quantiles
    colour = series_colour(series)
    tooltip = element("title", f"{text}: median {median:.3g}, from {low:.3g} to {high:.3g}")
    return joined(
        [
            line(x(low), y, x(high), y, colour=colour, stroke_width=1.5, class_="range"),
            element("rect", tooltip, x=x(p5), y=y - 4, width=x(p95) - x(p5), height=8, fill=colour, fill_opacity=0.35),
            element(
                "rect", tooltip, x=x(p25), y=y - 5, width=x(p75) - x(p25), height=10, fill=colour, fill_opacity=0.8
            ),
            line(x(median), y - 5, x(median), y + 5, colour=PAPER, stroke_width=2, class_="median"),
            cross(x(own), y, tooltip=f"its own clip: {own:.3g}"),
        ]
    )


def _table(columns: Sequence[CaptionColumn]) -> tuple[tuple[str, ...], ...]:
    names = ("lowest", "5 %", "25 %", "median", "75 %", "95 %", "highest", "own clip")
    header = ("caption", "scores", *names, "clips better than its own")
    rows = []
    for column in columns:
        better = f"{column.better_clips:,} of {column.clips:,}"
        rows.append((column.text, "raw", *_cells(column.raw, column.raw_own), better))
        if column.scaled is not None and column.scaled_own is not None:
            rows.append((column.text, "scaled", *_cells(column.scaled, column.scaled_own), better))
    return (header, *rows)


def _cells(quantiles: Quantiles, own: float) -> list[str]:
    return [f"{value:.4g}" for value in (*quantiles, own)]
