"""Rank histogram: at which rank each query finds its first relevant candidate."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

from atrkit.metrics.first_rank import found_within
from atrkit.metrics.tie_blocks import TieBlocks
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
        queries: all of them.
        last_ranks: of each bin; a bin begins behind the one before.
        shares: of the queries in each bin, in [0, 1], expected over the order of ties: the first is R@1.
        chance: share of queries that a random order would put into each bin.
        tied: queries whose figures depend on the order of ties.
    """

    direction: str
    queries: int
    last_ranks: tuple[int, ...]
    shares: tuple[float, ...]
    chance: tuple[float, ...]
    tied: int = 0

    @property
    def counts(self) -> list[str]:
        """Queries in each bin, as shown; those with ties may be there in part."""
        return [_count(share * self.queries) for share in self.shares]

    @property
    def bin_names(self) -> list[str]:
        """As "1", "2-3"."""
        firsts = [1, *(last + 1 for last in self.last_ranks[:-1])]
        return [
            f"{last:,}" if first == last else f"{first:,}–{last:,}"
            for first, last in zip(firsts, self.last_ranks, strict=True)
        ]


def rank_histogram(direction: str, blocks: TieBlocks) -> RankHistogram:
    """Count queries by rank: 1, 2-3, 4-5, 6-10, 11-20, 21-50, 51-100 and so on to the last candidate.

    A query whose first relevant candidate ties with others is spread over the ranks that it may have.

    Args:
        direction: of the queries.
        blocks: of its scores.

    Source: bins are our choice; ties as everywhere (PROTOCOL.md, "Ties").

    Example:
        >>> from atrkit import ScoreMatrix
        >>> from atrkit.metrics.tie_blocks import text_to_audio_blocks
        >>> matrix = ScoreMatrix([[.9, .1], [.9, .8]], ["rain", "dog"], ["rain#1", "dog#1"], ["rain", "dog"])
        >>> histogram = rank_histogram("Text to audio", text_to_audio_blocks(matrix))
        >>> histogram.bin_names, histogram.shares, histogram.counts
        (['1', '2'], (0.75, 0.25), ['1.5', '0.5'])
    """
    last_ranks = _last_ranks(blocks.candidates)
    return RankHistogram(
        direction,
        blocks.queries,
        last_ranks,
        _in_bins(blocks, last_ranks),
        _in_bins(blocks.chance(), last_ranks),
        blocks.tied_queries,
    )


def _in_bins(blocks: TieBlocks, last_ranks: Sequence[int]) -> tuple[float, ...]:
    within = [0.0, *found_within(blocks, last_ranks).tolist()]
    return tuple(round(after - before, 9) for before, after in pairwise(within))


def _count(queries: float) -> str:
    """With a decimal where it is no whole number.

    >>> _count(1200.0), _count(1.5)
    ('1,200', '1.5')
    """
    return f"{queries:,.1f}".removesuffix(".0")


def _last_ranks(candidates: int) -> tuple[int, ...]:
    lasts, power = [1, 3, 5], 1
    while lasts[-1] < candidates:
        lasts += [step * power for step in _STEPS if step * power > lasts[-1]]
        power *= 10
    return (*(last for last in lasts if last < candidates), candidates)


def rank_histogram_chart(histograms: Sequence[RankHistogram]) -> Chart:
    """Bars of one direction or both, on one axis."""
    caption = " ".join(map(_sentence, histograms))
    title = "Rank of the first relevant candidate"
    svg = both_widths("rank-histogram", title, caption, partial(_draw, histograms))
    tied = ", ".join(
        f"{each.tied:,} of {each.queries:,} {each.direction.lower().replace(' ', '-')}" for each in histograms
    )
    why = "each counts in part at every rank that its ties may give it, so that the first bar is R@1."
    notes = [f"Ties: {tied} queries; {why}"] if any(each.tied for each in histograms) else []
    return Chart("rank-histogram", title, caption, svg, _table(histograms), tuple(notes))


def _sentence(histogram: RankHistogram) -> str:
    ten = [share for last, share in zip(histogram.last_ranks, histogram.shares, strict=True) if last <= 10]
    behind = max(0.0, 1 - sum(ten))
    queries = counted(histogram.queries, "query", "queries")
    return (
        f"{histogram.direction}: {as_percent(histogram.shares[0])} % of {queries} find a relevant candidate first, and "
        f"{as_percent(behind)} % ({_count(behind * histogram.queries)}) none among the first ten."
    )


def _draw(histograms: Sequence[RankHistogram], width: int) -> Drawing:
    highest = max(max(each.shares) for each in histograms)
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
    counts = histogram.counts
    right_margin = max(map(text_width, ["queries", *counts])) + 8
    area = Area(left + margin, top + 42, right - right_margin, top + 42 + _ROW * len(counts))
    x = Scale(ticks[0], ticks[-1], area.left, area.right)
    parts = [
        heading(histogram.direction, left, top, right - left),
        label("rank", area.left - 8, area.top - 6, anchor="end"),
        label("queries", right, area.top - 6, anchor="end"),
        x_axis(area, x, ticks, name="% of queries", down=True),
    ]
    rows = zip(histogram.bin_names, histogram.shares, histogram.chance, counts, strict=True)
    for index, (name, found, chance, shown) in enumerate(rows):
        y = area.top + _ROW * index + (_ROW - _BAR) / 2
        share = 100 * found
        tooltip = element("title", f"rank {name}: {share:.1f} % ({shown}); a random order: {100 * chance:.1f} %")
        parts += [
            label(name, area.left - 8, y + 11, anchor="end", colour=INK),
            element(
                "rect", tooltip, x=area.left, y=y, width=x(share) - area.left, height=_BAR, rx=1.5,
                fill=series_colour(series), class_="bar",
            ),
            line(x(100 * chance), y - 2, x(100 * chance), y + _BAR + 2, colour=INK, stroke_width=1.75, class_="chance"),
            label(shown, right, y + 11, anchor="end", colour=INK if found else MUTED),
        ]  # fmt: skip
    return Drawing(joined(parts), area.bottom + 2 * LINE_PX + 4)


def _table(histograms: Sequence[RankHistogram]) -> tuple[tuple[str, ...], ...]:
    header = ("direction", "rank", "queries", "share (%)", "random order (%)")
    rows = [
        (each.direction, name, count, f"{100 * share:.2f}", f"{100 * chance:.2f}")
        for each in histograms
        for name, count, share, chance in zip(each.bin_names, each.counts, each.shares, each.chance, strict=True)
    ]
    return (header, *rows)
