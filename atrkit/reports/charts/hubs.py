"""Hub captions: those that come first for many clips, and how few of them take all first places."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from atrkit.reports.charts.chart import Chart
from atrkit.reports.charts.frame import (
    LINE_PX,
    NARROW,
    Area,
    Drawing,
    KeyEntry,
    both_widths,
    key,
    on_paper,
    x_axis,
    y_axis,
)
from atrkit.reports.charts.rows import row_slices
from atrkit.reports.charts.scales import Scale, nice_ticks, powers_of_ten
from atrkit.reports.charts.svg import (
    INK,
    MUTED,
    dash,
    element,
    joined,
    label,
    line,
    marker,
    number,
    series_colour,
    shortened,
    text_width,
)
from atrkit.reports.counting import counted
from atrkit.reports.recall_table import as_percent
from atrkit.score_matrix import IntArray, ScoreRows

_TOP = 10
_ROW = 40
_HEIGHT = 200
_STEPS = (1, 2, 5)

Float64Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FirstPlaces:
    """For how many clips each caption is the first.

    Args:
        name: of the ranking, as "raw scores".
        clips_C: (C,) expected over a random order of ties, so whole numbers where there are none.
        clips: that have a first caption.
    """

    name: str
    clips_C: Float64Array
    clips: int

    def share_of_top(self, captions: int) -> float:
        """Share of the clips that the captions with the most first places take together, in [0, 1]."""
        return float(np.sort(self.clips_C)[::-1][:captions].sum() / self.clips)

    @property
    def top_percent(self) -> int:
        """One per cent of the captions, at least one."""
        return max(1, -(-len(self.clips_C) // 100))

    def captions_holding(self, share: float) -> int:
        """The fewest captions that together take a share of the clips."""
        held = np.cumsum(np.sort(self.clips_C)[::-1])
        return int(np.searchsorted(held, share * self.clips - 1e-9)) + 1

    @property
    def at_least_once(self) -> int:
        """Captions that are first for some clip, or might be where they tie."""
        return int(np.count_nonzero(self.clips_C))


def first_places(name: str, scores: ScoreRows, clip_A: IntArray | None = None) -> FirstPlaces:
    """Count for each caption the clips that rank it first.

    Args:
        name: of the ranking.
        scores: higher is better; read once.
        clip_A: rows of the clips that are queries; None: those with a caption of their own, as for hubness.

    Example:
        >>> from atrkit import ScoreMatrix
        >>> scores = ScoreMatrix([[.9, .1], [.8, .8]], ["rain", "dog"], ["rain#1", "dog#1"], ["rain", "dog"])
        >>> first_places("raw", scores).clips_C.tolist()
        [1.5, 0.5]
    """
    is_query_A = np.zeros(len(scores.clip_ids), dtype=bool)
    is_query_A[scores.clip_index_of_caption_C if clip_A is None else clip_A] = True
    clips_C, first_row = np.zeros(len(scores.caption_ids)), 0
    for block in scores.row_blocks():
        for rows in row_slices(*block.shape):
            part = block[rows][is_query_A[first_row : first_row + len(block)][rows]]
            if len(part):
                row_F, caption_F = np.nonzero(part == part.max(axis=1, keepdims=True))
                shares_F = 1 / np.bincount(row_F)[row_F]
                clips_C += np.bincount(caption_F, weights=shares_F, minlength=len(clips_C))
        first_row += len(block)
    return FirstPlaces(name, clips_C, int(np.count_nonzero(is_query_A)))


def hub_captions_chart(stages: Sequence[FirstPlaces], texts: Sequence[str]) -> Chart:
    """The ten captions that come first most often by the first ranking, and what the others make of them.

    Args:
        stages: rankings of the same clips, raw scores first.
        texts: of the captions.
    """
    raw = stages[0]
    order_C = np.argsort(-raw.clips_C, kind="stable")
    top = [int(c) for c in order_C[:_TOP] if raw.clips_C[c] > 0]
    title, caption = "Captions that come first for the most clips", " ".join(map(_sentence, stages))
    svg = both_widths("hub-captions", title, caption, partial(_draw, stages, texts, top))
    header = ("caption", *(f"clips, {stage.name}" for stage in stages))
    rows = [(texts[c], *(_count(float(stage.clips_C[c])) for stage in stages)) for c in top]
    ties = any(bool((stage.clips_C % 1 > 1e-9).any()) for stage in stages)
    notes = ("Captions that tie for the first place share the clip, so counts can be fractions.",) if ties else ()
    return Chart("hub-captions", title, caption, svg, (header, *rows), notes)


def _sentence(stage: FirstPlaces) -> str:
    share = as_percent(stage.share_of_top(stage.top_percent))
    comes = "comes" if stage.at_least_once == 1 else "come"
    captions, clips = counted(len(stage.clips_C), "caption"), counted(stage.clips, "clip")
    return (
        f"By {stage.name}, {stage.at_least_once:,} of {captions} {comes} first for any of {clips}, and the top 1 % "
        f"of captions ({stage.top_percent:,}) hold {share} % of the first places."
    )


def _count(value: float) -> str:
    return f"{value:,.0f}" if abs(value - round(value)) < 1e-9 else f"{value:,.1f}"


def _draw(stages: Sequence[FirstPlaces], texts: Sequence[str], top: Sequence[int], width: int) -> Drawing:
    keys = key([KeyEntry(stage.name, index) for index, stage in enumerate(stages)], 0, width, 0)
    counts = {c: [float(stage.clips_C[c]) for stage in stages] for c in top}
    shown = {c: " → ".join(map(_count, values)) for c, values in counts.items()}
    right_margin = max(map(text_width, shown.values())) + 10
    most = max(value for values in counts.values() for value in values)
    ticks = nice_ticks(0, most, 4 if width == NARROW else 6, whole=True)
    area = Area(6, keys.height, width - right_margin, keys.height + _ROW * len(top) + 4)
    x = Scale(ticks[0], ticks[-1], area.left, area.right)
    parts = [keys.content, x_axis(area, x, ticks, name="clips", down=True)]
    for row, c in enumerate(top):
        y = area.top + _ROW * row + 28
        parts.append(on_paper(label(shortened(texts[c], width - 4), 0, y - 12, colour=INK)))
        ends = (min(counts[c]), max(counts[c]))
        parts.append(line(x(ends[0]), y, x(ends[1]), y, colour=MUTED, stroke_width=1.5))
        parts += [
            marker(series, x(value), y, radius=5, tooltip=f"{stages[series].name}: {_count(value)}")
            for series, value in reversed(list(enumerate(counts[c])))
        ]
        parts.append(label(shown[c], width, y + 4, anchor="end", colour=INK))
    return Drawing(joined(parts), area.bottom + 2 * LINE_PX + 4)


def first_place_shares_chart(stages: Sequence[FirstPlaces]) -> Chart:
    """Share of the clips that the most successful 1, 2, 5, 10, ... captions take."""
    title = "How few captions hold the first places"
    ks = _numbers_of_captions(len(stages[0].clips_C))
    shares = [[stage.share_of_top(k) for k in ks] for stage in stages]
    even = [min(1.0, k / stages[0].clips) for k in ks]
    halves = [stage.captions_holding(0.5) for stage in stages]
    caption = " ".join(
        f"By {stage.name}, {'one caption holds' if k == 1 else f'{k:,} captions hold'} half of the first places."
        for stage, k in zip(stages, halves, strict=True)
    )
    svg = both_widths("first-place-shares", title, caption, partial(_draw_shares, stages, ks, shares, even))
    header = ("captions", *(f"clips, {stage.name} (%)" for stage in stages), "a caption for each clip (%)")
    columns = zip(ks, *shares, even, strict=True)
    rows = [(f"{k:,}", *(f"{100 * share:.2f}" for share in of_k)) for k, *of_k in columns]
    return Chart("first-place-shares", title, caption, svg, (header, *rows))


def _numbers_of_captions(captions: int) -> list[int]:
    steps = [step * int(power) for power in powers_of_ten(1, captions) for step in _STEPS]
    return sorted({*(k for k in steps if k < captions), max(1, -(-captions // 100)), captions})


def _draw_shares(
    stages: Sequence[FirstPlaces],
    ks: Sequence[int],
    shares: Sequence[Sequence[float]],
    even: Sequence[float],
    width: int,
) -> Drawing:
    entries = [KeyEntry(stage.name, index, "line-marker") for index, stage in enumerate(stages)]
    keys = key([*entries, KeyEntry("a caption for each clip", len(stages), "thin")], 0, width, 0)
    area = Area(38, keys.height + 28, width - 8, keys.height + 28 + _HEIGHT)
    y = Scale(0, 100, area.bottom, area.top)
    x = Scale(1, max(ks[-1], 2), area.left, area.right, is_log=True)
    ticks = powers_of_ten(1, ks[-1])
    parts = [
        keys.content,
        label("% of clips", 0, keys.height + 12),
        y_axis(area, y, (0, 20, 40, 60, 80, 100)),
        x_axis(area, x, ticks, name="captions with the most first places"),
        _way(x, y, ks, even, colour=MUTED, stroke_width=1, class_="even"),
    ]
    for series, of_stage in enumerate(shares):
        parts.append(
            _way(
                x,
                y,
                ks,
                of_stage,
                colour=series_colour(series),
                stroke_width=2.25,
                stroke_dasharray=dash(series),
                class_="shares",
            )
        )
        parts += [
            marker(
                series, x(k), y(100 * share), radius=3.5, tooltip=f"{stages[series].name}, {k:,}: {100 * share:.1f} %"
            )
            for k, share in zip(ks, of_stage, strict=True)
        ]
    return Drawing(joined(parts), area.bottom + 2 * LINE_PX + 6)


def _way(
    x: Scale, y: Scale, ks: Sequence[int], shares: Sequence[float], *, colour: str, **attributes: str | float | None
) -> Markup:
    points = "L".join(f"{number(x(k))} {number(y(100 * share))}" for k, share in zip(ks, shares, strict=True))
    return element("path", d=f"M{points}", fill="none", stroke=colour, **attributes)
