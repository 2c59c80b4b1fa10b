"""Elements of SVG as text that is safe to insert: everything from outside is escaped, and numbers are short."""

import unicodedata
from collections.abc import Sequence
from itertools import accumulate

from markupsafe import Markup, escape

INK, MUTED, GRID, PAPER = "var(--ink)", "var(--muted)", "var(--grid)", "var(--paper)"
SERIES = 6  # colours that the page defines, told apart without colour vision, too
FONT_PX = 12
_ELLIPSIS = "…"
_BIDI_CONTROLS = {*"\u061c\u200e\u200f", *map(chr, range(0x202A, 0x202F)), *map(chr, range(0x2066, 0x206A))}
_ISOLATE, _END_OF_ISOLATE = "\u2068", "\u2069"
_NARROW, _BROAD = set("iljtf.,:;'|!()[] "), set("mwMW%@")
_DASHES = ("", "7 3", "2 3", "9 3 2 3", "5 2 2 2 2 2", "1 4")


def element(tag: str, *children: str, **attributes: str | float | None) -> Markup:
    """One element; children that are not Markup are escaped, `_` in attribute names stands for `-`.

    >>> print(element("text", "a < b", x=1.50, text_anchor="end"))
    <text x="1.5" text-anchor="end">a &lt; b</text>
    """
    shown = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(valid(value) if isinstance(value, str) else number(value))}"'
        for name, value in attributes.items()
        if value is not None
    )
    inside = "".join(escape(child if isinstance(child, Markup) else valid(child)) for child in children)
    return Markup(f"<{tag}{shown}>{inside}</{tag}>" if inside else f"<{tag}{shown}/>")


def joined(parts: Sequence[Markup]) -> Markup:
    """Elements one after the other."""
    return Markup("").join(parts)


def number(value: float) -> str:
    """A coordinate with at most two decimals, the same on every machine.

    >>> number(3.0), number(-0.001), number(2.346)
    ('3', '0', '2.35')
    """
    shown = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if shown == "-0" else shown


def valid(text: str) -> str:
    """The text without characters that XML cannot hold, such as control characters, which become `\ufffd`."""
    return "".join(
        each if each in "\t\n\r" or (each >= " " and not 0xD800 <= ord(each) <= 0xDFFF and each not in "\ufffe\uffff")
        else "\ufffd"
        for each in text
    )  # fmt: skip


def label(text: str, x: float, y: float, *, anchor: str = "start", colour: str = MUTED, bold: bool = False) -> Markup:
    """A line of text on its baseline, in its own direction of writing whatever is around it."""
    return element(
        "text",
        _isolated(text),
        x=x,
        y=y,
        fill=colour,
        font_size=FONT_PX,
        text_anchor=None if anchor == "start" else anchor,
        font_weight="600" if bold else None,
    )


def shortened(text: str, width: float) -> str:
    """As much of a text as fits into a width, with an ellipsis where some is left out.

    >>> shortened("a dog barks twice", 60.0), shortened("a dog", 60.0)
    ('a dog b…', 'a dog')
    """
    clean = " ".join("".join(each for each in text if each not in _BIDI_CONTROLS).split())
    ends = [0.0, *accumulate(_character_width(each) * FONT_PX for each in clean[: 2 + int(width)])]
    if ends[-1] <= width and len(ends) > len(clean):
        return clean
    room = width - text_width(_ELLIPSIS)
    kept = clean[: max(sum(end <= room for end in ends) - 1, 0)]
    while kept and (unicodedata.combining(kept[-1]) or kept[-1] in "\u200d\ufe0f "):  # half of a drawn character
        kept = kept[:-1]
    return kept + _ELLIPSIS


def text_width(text: str) -> float:
    """About how many pixels a line of text takes at 12 px; fonts differ, so those of a broad one."""
    return sum(map(_character_width, text)) * FONT_PX


def _character_width(character: str) -> float:
    if unicodedata.combining(character) or character in "\u200d\ufe0f":
        return 0.0
    if unicodedata.east_asian_width(character) in "WF":
        return 1.15
    if character in _NARROW:
        return 0.38
    if character.isdigit():
        return 0.65
    return 0.98 if character in _BROAD else 0.7 if character.isupper() else 0.61


def _isolated(text: str) -> str:
    """Right-to-left text stays where it is put, and turns nothing around it."""
    is_rightward = all(unicodedata.bidirectional(each) not in ("R", "AL", "RLE", "RLO", "RLI") for each in text)
    return text if is_rightward else f"{_ISOLATE}{text}{_END_OF_ISOLATE}"


def series_colour(number_of_series: int) -> str:
    """Colour of the first, second, ... series."""
    return f"var(--series-{number_of_series % SERIES + 1})"


def dash(number_of_series: int) -> str | None:
    """Dashes of a line, so that series differ without colour; None: solid."""
    return _DASHES[number_of_series % len(_DASHES)] or None


def marker(number_of_series: int, x: float, y: float, *, radius: float = 4.5, tooltip: str | None = None) -> Markup:
    """A mark in the shape and colour of a series: circle, square, triangle, diamond, ring or bar."""
    colour, inside = series_colour(number_of_series), [element("title", tooltip)] if tooltip else []
    solid: dict[str, str | float] = {"fill": colour, "stroke": PAPER, "stroke_width": 1.5, "class_": "mark"}
    match number_of_series % SERIES:
        case 0:
            return element("circle", *inside, cx=x, cy=y, r=radius, **solid)
        case 1:
            side = 2 * radius - 1
            return element("rect", *inside, x=x - side / 2, y=y - side / 2, width=side, height=side, **solid)
        case 2:
            return element("path", *inside, d=_polygon(x, y, radius + 1, (-90, 30, 150)), **solid)
        case 3:
            return element("path", *inside, d=_polygon(x, y, radius + 1, (-90, 0, 90, 180)), **solid)
        case 4:
            ring = {**solid, "fill": PAPER, "stroke": colour, "stroke_width": 2.5}
            return element("circle", *inside, cx=x, cy=y, r=radius - 0.75, **ring)
        case _:
            return element("rect", *inside, x=x - 2, y=y - radius - 1, width=4, height=2 * radius + 2, **solid)


def _polygon(x: float, y: float, radius: float, degrees: Sequence[int]) -> str:
    cosines = {-90: (0.0, -1.0), 0: (1.0, 0.0), 30: (0.866, 0.5), 90: (0.0, 1.0), 150: (-0.866, 0.5), 180: (-1.0, 0.0)}
    corners = (f"{number(x + radius * cosines[each][0])} {number(y + radius * cosines[each][1])}" for each in degrees)
    return f"M{'L'.join(corners)}Z"


def cross(x: float, y: float, *, colour: str = INK, radius: float = 4.5, tooltip: str | None = None) -> Markup:
    """A cross, as paper 004's figure 1 marks what is relevant, with a rim so that it shows on any ground."""
    ends = [(x - radius, y - radius, x + radius, y + radius), (x - radius, y + radius, x + radius, y - radius)]
    way = "".join(f"M{number(a)} {number(b)}L{number(c)} {number(d)}" for a, b, c, d in ends)
    inside = [element("title", tooltip)] if tooltip else []
    rim = element("path", d=way, stroke=PAPER, stroke_width=5, fill="none", stroke_linecap="round")
    return rim + element("path", *inside, d=way, stroke=colour, stroke_width=2.25, fill="none", class_="mark")


def line(x1: float, y1: float, x2: float, y2: float, *, colour: str = GRID, **attributes: str | float | None) -> Markup:
    """A straight line."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, stroke=colour, **attributes)
