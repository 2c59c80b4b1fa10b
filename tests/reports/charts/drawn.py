"""Reads a drawing back: which numbers do its marks stand at?"""

import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence

import numpy as np

from atrkit.metrics.tie_blocks import TieBlocks, merge_equal

SVG = "{http://www.w3.org/2000/svg}"
WIDTHS = ("narrow", "wide")

HOSTILE = (
    "<script>alert(\"x\")</script> & 'quotes' ]]> -->",
    "كلب ينبح بصوت عالٍ في الشارع بينما تمر سيارة كبيرة بسرعة ويغني عصفور على الشجرة",
    "\N{WOMAN}\N{ZERO WIDTH JOINER}\N{WOMAN}\N{ZERO WIDTH JOINER}\N{GIRL} \N{DOG}\N{DOG}\N{DOG} 犬が吠える " * 6,
    "x" * 5_000,
    "\N{RIGHT-TO-LEFT OVERRIDE}turned\x00\x1b[31m \ud800 \ufffe",
    "",
)


def drawing(chart, width):
    """The drawing of a width; fails where it is no well-formed XML."""
    root = ET.fromstring(str(chart.svg))
    return next(svg for svg in root if svg.get("class") == f"chart-{width}")


def panels(svg):
    """Its panels, or the whole where it is not divided."""
    found = [group for group in svg.iter(f"{SVG}g") if group.get("class") == "panel"]
    return found or [svg]


def all_text(svg):
    return ["".join(each.itertext()) for each in svg.iter(f"{SVG}text")]


def of_class(panel, name):
    return [each for each in panel.iter() if each.get("class") == name]


def reader(panel, axis, *, is_log=False):
    """From a place to the number there, by the first and last line of an axis."""
    ticks = of_class(panel, f"tick-{axis}")
    places = [float(tick.get(f"{axis}1")) for tick in ticks]
    values = [float(tick.get("data-value")) for tick in ticks]
    values = [math.log10(value) for value in values] if is_log else values
    slope = (values[-1] - values[0]) / (places[-1] - places[0])

    def read(place):
        value = values[0] + slope * (place - places[0])
        return 10**value if is_log else value

    return read


def middle(mark):
    """Middle of a marker, whatever its shape."""
    match mark.tag.removeprefix(SVG):
        case "circle":
            return float(mark.get("cx")), float(mark.get("cy"))
        case "rect":
            return tuple(
                float(mark.get(start)) + float(mark.get(size)) / 2 for start, size in (("x", "width"), ("y", "height"))
            )
        case "path":
            points = path_points(mark)
            xs, ys = [x for x, _ in points], [y for _, y in points]
            if len(points) == 3:  # a triangle: corners at -90, 30 and 150 degrees
                return xs[0], sum(ys) / 3
            return (min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2
    raise AssertionError(mark.tag)


def path_points(path):
    numbers = [float(each) for each in re.findall(r"-?\d+(?:\.\d+)?", path.get("d"))]
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def boxes(svg, character_px=6.2) -> Iterator[tuple[str, float, float, float, float]]:
    """Every text with about the room that it takes: left, top, right, bottom."""
    for each in svg.iter(f"{SVG}text"):
        text, x, y = "".join(each.itertext()), float(each.get("x")), float(each.get("y"))
        width = character_px * len(text)
        left = x - {"end": width, "middle": width / 2}.get(each.get("text-anchor"), 0)
        yield text, left, y - 9, left + width, y + 3


def overlapping(svg):
    """Pairs of texts that lie on each other."""
    found = list(boxes(svg))
    return [
        (a[0], b[0])
        for index, a in enumerate(found)
        for b in found[index + 1 :]
        if a[1] < b[3] and b[1] < a[3] and a[2] < b[4] and b[2] < a[4]
    ]


def column(chart, name):
    """Cells of a column of its table, by the column's heading."""
    index = chart.table[0].index(name)
    return [row[index] for row in chart.table[1:]]


def floats(cells):
    return [float(cell.replace(",", "")) for cell in cells]


def ranked(first_ranks: Sequence[int], candidates: int, relevant: int = 1) -> TieBlocks:
    """Queries without ties, whose relevant candidates stand behind each other from a rank on."""
    query_P = np.repeat(range(len(first_ranks)), relevant)
    better_P = (np.asarray(first_ranks)[:, None] - 1 + np.arange(relevant)).ravel()
    return merge_equal(query_P, better_P, np.ones_like(better_P), len(first_ranks), len(first_ranks), candidates)
