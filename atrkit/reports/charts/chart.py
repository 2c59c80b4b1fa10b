"""What a chart is to the page that shows it."""

from dataclasses import dataclass

from markupsafe import Markup

CHART_CSS = """\
.chart { container-type: inline-size; }
.chart svg { display: block; width: 100%; height: auto; font-variant-numeric: tabular-nums; }
.chart .chart-wide { display: none; }
@container (min-width: 560px) {
  .chart .chart-narrow { display: none; }
  .chart .chart-wide { display: block; }
}
"""


@dataclass(frozen=True)
class Chart:
    """One figure of the report, in a form that the page only has to place.

    `svg` is `<div class="chart">` with two drawings of the same numbers, 360 and 720 units wide: `CHART_CSS` shows the
    one that fits its container, so that text is about 12 px in both. A container wider than 900 px makes the text
    large: limit it. The page defines the variables --ink, --muted, --grid, --paper and --series-1 to --series-6.

    Args:
        id: unique on the page, letters, digits and hyphens.
        title: plain text, to be escaped.
        caption: what one reads off it, one or two sentences made from the numbers; plain text, to be escaped.
        svg: safe to insert as it is. Empty where there is nothing to draw; then `notes` say why.
        table: header and rows, every number that is drawn; plain text, to be escaped. Empty where nothing is drawn.
        notes: what to know when reading it; plain text, to be escaped.
    """

    id: str
    title: str
    caption: str
    svg: Markup
    table: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()
