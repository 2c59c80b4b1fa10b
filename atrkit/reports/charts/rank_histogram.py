"""Rank histogram: at which rank each query finds its first relevant candidate."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import exp, lgamma

import numpy as np
import numpy.typing as npt

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
)
from atrkit.reports.charts.scales import Scale, nice_ticks
from atrkit.reports.charts.svg import INK, MUTED, element, joined, label, line, series_colour, text_width
from atrkit.reports.counting import counted
from atrkit.reports.recall_table import as_percent

_ROW = 22
_BAR = 14
_STEPS = (2, 5, 10)


@dataclass(frozen=True)
class RankHistogram:
    """Queries of one direction by the rank of their first relevant candidate.

    Args:
        direction: "Text to audio" or "Audio to text".
        last_ranks: of each bin; a bin begins behind the one before.
        counts: queries in each bin.
        chance: share of queries that a random order would put into each bin, in [0, 1].
        between: queries whose expected rank, for ties, is no whole number; they count in the bin of the next one.
    """

    direction: str
    last_ranks: tuple[int, ...]
    counts: tuple[int, ...]
    chance: tuple[float, ...]
    between: int = 0

    @property
    def queries(self) -> int:
        """All of them."""
        return sum(self.counts)

    @property
    def bin_names(self) -> list[str]:
        """As "1", "2-3"."""
        firsts = [1, *(last + 1 for last in self.last_ranks[:-1])]
        return [
            f"{last:,}" if first == last else f"{first:,}–{last:,}"
            for first, last in zip(firsts, self.last_ranks, strict=True)
        ]


def rank_histogram(
    direction: str, first_rank_Q: npt.ArrayLike, relevant_of_query_Q: npt.ArrayLike, candidates: int
) -> RankHistogram:
    """Count queries by rank: 1, 2-3, 4-5, 6-10, 11-20, 21-50, 51-100 and so on to the last candidate.

    Args:
        direction: of the queries.
        first_rank_Q: (Q,) expected rank of each query's first relevant candidate, 1-based.
        relevant_of_query_Q: (Q,) relevant candidates of each query.
        candidates: in the gallery.

    Source: bins are our choice; chance is 1 - C(N - m, k) / C(N, k) within rank k, for m relevant of N.

    Example:
        >>> histogram = rank_histogram("Text to audio", [1, 1, 3, 7], [1, 1, 1, 1], candidates=8)
        >>> histogram.bin_names, histogram.counts, histogram.chance
        (['1', '2–3', '4–5', '6–8'], (2, 1, 0, 1), (0.125, 0.25, 0.25, 0.375))
    """
    last_ranks = _last_ranks(candidates)
    ranks = np.asarray(first_rank_Q, dtype=np.float64)
    bins = np.searchsorted(last_ranks, ranks)
    counts = np.bincount(bins, minlength=len(last_ranks))
    numbers, times = np.unique(np.asarray(relevant_of_query_Q), return_counts=True)
    within = [
        sum(_within(last, int(m), candidates) * int(n) for m, n in zip(numbers, times, strict=True)) / len(ranks)
        for last in last_ranks
    ]
    chance = [after - before for before, after in zip([0.0, *within], within, strict=False)]
    between = int(np.count_nonzero(ranks != np.round(ranks)))
    return RankHistogram(
        direction, last_ranks, tuple(counts.tolist()), tuple(round(each, 9) for each in chance), between
    )


def _last_ranks(candidates: int) -> tuple[int, ...]:
    lasts, power = [1, 3, 5], 1
    while lasts[-1] < candidates:
        lasts += [step * power for step in _STEPS if step * power > lasts[-1]]
        power *= 10
    return (*(last for last in lasts if last < candidates), candidates)


def _within(rank: int, relevant: int, candidates: int) -> float:
    """Chance that the first relevant candidate of a random order is within a rank."""
    others = candidates - relevant
    if rank > others:
        return 1.0
    return 1.0 - exp(_log_choose(others, rank) - _log_choose(candidates, rank))


def _log_choose(n: int, k: int) -> float:
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)


def rank_histogram_chart(histograms: Sequence[RankHistogram]) -> Chart:
    """Bars of one direction or both, on one axis."""
    caption = " ".join(map(_sentence, histograms))
    title = "Rank of the first relevant candidate"
    svg = both_widths("rank-histogram", title, caption, partial(_draw, histograms))
    between = sum(histogram.between for histogram in histograms)
    why = "for ties the expected rank counts, at the next whole one, so that shares can differ from R@k."
    notes = [f"{counted(between, 'query', 'queries')} tied: {why}"] if between else []
    return Chart("rank-histogram", title, caption, svg, _table(histograms), tuple(notes))


def _sentence(histogram: RankHistogram) -> str:
    first = histogram.counts[0] / histogram.queries
    ten = [count for last, count in zip(histogram.last_ranks, histogram.counts, strict=True) if last <= 10]
    behind = histogram.queries - sum(ten)
    queries = counted(histogram.queries, "query", "queries")
    return (
        f"{histogram.direction}: {as_percent(first)} % of {queries} find a relevant candidate first, and "
        f"{as_percent(behind / histogram.queries)} % ({behind:,}) none among the first ten."
    )


def _draw(histograms: Sequence[RankHistogram], width: int) -> Drawing:
    highest = max(max(count / each.queries for count in each.counts) for each in histograms)
    highest = max(highest, *(share for each in histograms for share in each.chance))
    ticks = nice_ticks(0, 100 * highest, 4)
    keys = key([KeyEntry("share of queries", 0, "block"), KeyEntry("a random order", 0, "tick")], 0, width, 0)
    draws = [partial(_panel, histogram, index, ticks) for index, histogram in enumerate(histograms)]
    drawing = side_by_side(width, draws, keys.height)
    return Drawing(keys.content + drawing.content, drawing.height)


def _panel(
    histogram: RankHistogram, series: int, ticks: Sequence[float], left: float, right: float, top: float
) -> Drawing:
    margin = max(map(text_width, ["rank", *histogram.bin_names])) + 8
    counts = [f"{count:,}" for count in histogram.counts]
    right_margin = max(map(text_width, ["queries", *counts])) + 8
    area = Area(left + margin, top + 42, right - right_margin, top + 42 + _ROW * len(counts))
    x = Scale(ticks[0], ticks[-1], area.left, area.right)
    parts = [
        heading(histogram.direction, left, top, right - left),
        label("rank", area.left - 8, area.top - 6, anchor="end"),
        label("queries", right, area.top - 6, anchor="end"),
        x_axis(area, x, ticks, name="% of queries", down=True),
    ]
    rows = zip(histogram.bin_names, histogram.counts, histogram.chance, counts, strict=True)
    for index, (name, count, chance, shown) in enumerate(rows):
        y = area.top + _ROW * index + (_ROW - _BAR) / 2
        share = 100 * count / histogram.queries
        tooltip = element("title", f"rank {name}: {share:.1f} % ({shown}); a random order: {100 * chance:.1f} %")
        parts += [
            label(name, area.left - 8, y + 11, anchor="end", colour=INK),
            element(
                "rect", tooltip, x=area.left, y=y, width=x(share) - area.left, height=_BAR, rx=1.5,
                fill=series_colour(series), class_="bar",
            ),
            line(x(100 * chance), y - 2, x(100 * chance), y + _BAR + 2, colour=INK, stroke_width=1.75, class_="chance"),
            label(shown, right, y + 11, anchor="end", colour=INK if count else MUTED),
        ]  # fmt: skip
    return Drawing(joined(parts), area.bottom + 2 * LINE_PX + 4)


def _table(histograms: Sequence[RankHistogram]) -> tuple[tuple[str, ...], ...]:
    header = ("direction", "rank", "queries", "share (%)", "random order (%)")
    rows = [
        (each.direction, name, f"{count:,}", f"{100 * count / each.queries:.2f}", f"{100 * chance:.2f}")
        for each in histograms
        for name, count, chance in zip(each.bin_names, each.counts, each.chance, strict=True)
    ]
    return (header, *rows)
