"""Scores of matching pairs beside those of all others, before and after column scaling."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from markupsafe import Markup

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
    x_axis,
    y_axis,
)
from atrkit.reports.charts.rows import row_slices
from atrkit.reports.charts.scales import Scale, nice_ticks
from atrkit.reports.charts.svg import element, joined, label, number, series_colour, text_width
from atrkit.reports.recall_table import as_percent
from atrkit.score_matrix import FloatArray, IntArray

_BINS = 30
_HEIGHT = 160


@dataclass(frozen=True)
class PairScores:
    """Two histograms on the same bins.

    Args:
        name: of the scores, as "cosine".
        edges: of the bins, one more than there are bins.
        matching: pairs of a caption and a clip that is relevant to it, in each bin.
        other: all other pairs, in each bin.
        median_matching: of the matching pairs' scores.
        other_beyond_median: share of the other pairs that are at least as good as it.
        is_loss: lower is better.
        left_out: pairs whose score is not finite.
    """

    name: str
    edges: tuple[float, ...]
    matching: tuple[int, ...]
    other: tuple[int, ...]
    median_matching: float
    other_beyond_median: float
    is_loss: bool = False
    left_out: int = 0


def pair_scores(
    name: str, values_AC: FloatArray, caption_P: IntArray, clip_P: IntArray, *, is_loss: bool = False
) -> PairScores | None:
    """Count pairs in 30 bins of equal width.

    Args:
        name: of the scores.
        values_AC: (A, C) scores or losses; those that are not finite are left out, and counted.
        caption_P: (P,) columns of the matching pairs, and
        clip_P: (P,) their rows.
        is_loss: lower is better.

    Returns:
        None where no matching pair, or no other one, is finite: a single clip has no other pairs.

    Example:
        >>> found = pair_scores("cosine", np.array([[1.0, 0.1], [0.2, 0.5]]), np.array([0, 1]), np.array([0, 1]))
        >>> found.median_matching, found.other_beyond_median, sum(found.matching), sum(found.other)
        (0.75, 0.0, 2, 2)
    """
    matching_P = values_AC[clip_P, caption_P]
    finite_P = matching_P[np.isfinite(matching_P)].astype(np.float64)
    finite_AC = np.isfinite(values_AC)
    finite_pairs = int(np.count_nonzero(finite_AC))
    if not len(finite_P) or finite_pairs == len(finite_P):
        return None
    low = float(np.min(values_AC, where=finite_AC, initial=np.inf))
    high = float(np.max(values_AC, where=finite_AC, initial=-np.inf))
    margin = 0.0 if high > low else abs(low) * 0.1 or 1.0
    edges = np.linspace(low - margin, high + margin, _BINS + 1)
    median = float(np.median(finite_P))
    counts, beyond = np.zeros(_BINS, dtype=np.int64), 0
    for rows in row_slices(*values_AC.shape):
        values = values_AC[rows][finite_AC[rows]].astype(np.float64)
        counts += np.histogram(values, edges)[0]
        beyond += int(np.count_nonzero(values <= median if is_loss else values >= median))
    matching = np.histogram(finite_P, edges)[0]
    beyond -= int(np.count_nonzero(finite_P <= median if is_loss else finite_P >= median))
    others = finite_pairs - len(finite_P)
    return PairScores(
        name,
        tuple(edges.tolist()),
        tuple(matching.tolist()),
        tuple((counts - matching).tolist()),
        median,
        beyond / others,
        is_loss,
        int(values_AC.size) - finite_pairs,
    )


def pair_scores_chart(stages: Sequence[PairScores]) -> Chart:
    """A panel for the raw scores, and one for the scaled ones."""
    title = "Scores of matching and of other pairs"
    caption = " ".join(map(_sentence, stages))
    svg = both_widths("pair-scores", title, caption, partial(_draw, stages))
    notes = [
        f"{each.name}: {each.left_out:,} pairs without a finite score are left out." for each in stages if each.left_out
    ]
    return Chart("pair-scores", title, caption, svg, _table(stages), tuple(notes))


def _sentence(scores: PairScores) -> str:
    beyond = "at most" if scores.is_loss else "at least"
    return (
        f"{scores.name.capitalize()}: half of the matching pairs have {beyond} {scores.median_matching:.3g}, "
        f"and {as_percent(scores.other_beyond_median)} % of all other pairs do."
    )


def _draw(stages: Sequence[PairScores], width: int) -> Drawing:
    keys = key([KeyEntry("matching pairs", 0, "area"), KeyEntry("other pairs", 1, "area")], 0, width, 0)
    drawing = side_by_side(width, [partial(_panel, each) for each in stages], keys.height)
    return Drawing(keys.content + drawing.content, drawing.height)


def _panel(scores: PairScores, left: float, right: float, top: float) -> Drawing:
    matching, other = _shares(scores.matching), _shares(scores.other)
    ticks = nice_ticks(0, max(*matching, *other), 4)
    area = Area(left + max(text_width(f"{tick:g}") for tick in ticks) + 8, top + 50, right - 4, top + 50 + _HEIGHT)
    y = Scale(ticks[0], ticks[-1], area.bottom, area.top)
    low, high = scores.edges[0], scores.edges[-1]
    x = Scale(low, high, area.left, area.right)
    x_ticks = [tick for tick in nice_ticks(low, high, 5) if low <= tick <= high]
    better = "lower is better" if scores.is_loss else "higher is better"
    parts = [
        heading(scores.name.capitalize(), left, top, right - left),
        label("% of pairs", left, top + 36),
        y_axis(area, y, ticks),
        _outline(x, y, scores.edges, other, series=1),
        _outline(x, y, scores.edges, matching, series=0),
        x_axis(area, x, x_ticks, name=better),
    ]
    return Drawing(joined(parts), area.bottom + 2 * LINE_PX + 4)


def _outline(x: Scale, y: Scale, edges: Sequence[float], shares: Sequence[float], *, series: int) -> Markup:
    steps = [f"{number(x(edges[0]))} {number(y(0))}"]
    for low, high, share in zip(edges, edges[1:], shares, strict=False):
        steps += [f"{number(x(low))} {number(y(share))}", f"{number(x(high))} {number(y(share))}"]
    way = f"M{'L'.join([*steps, f'{number(x(edges[-1]))} {number(y(0))}'])}Z"
    colour, dashes = series_colour(series), "4 3" if series else None
    return element(
        "path", d=way, fill=colour, fill_opacity=0.22, stroke=colour, stroke_width=1.75, stroke_dasharray=dashes,
        stroke_linejoin="round", class_="outline",
    )  # fmt: skip


def _shares(counts: Sequence[int]) -> list[float]:
    total = sum(counts)
    return [100 * count / total for count in counts]


def _table(stages: Sequence[PairScores]) -> tuple[tuple[str, ...], ...]:
    header = ("scores", "from", "to", "matching pairs", "share (%)", "other pairs", "share (%)")
    rows = []
    for scores in stages:
        bins = zip(scores.edges, scores.edges[1:], scores.matching, scores.other, strict=False)
        shares = zip(_shares(scores.matching), _shares(scores.other), strict=True)
        for (low, high, matching, other), (of_matching, of_other) in zip(bins, shares, strict=True):
            counts = (f"{matching:,}", f"{of_matching:.2f}", f"{other:,}", f"{of_other:.2f}")
            rows.append((scores.name, f"{low:.4g}", f"{high:.4g}", *counts))
    return (header, *rows)
