"""How a figure stands in a cell: fractions in per cent, ranks as they are, one decimal."""

from collections.abc import Mapping
from typing import Any

RANKS = ("MedR", "MnR")
_LEAST = 0.0005  # reads as 0.1 %


def is_rank(name: str) -> bool:
    """Whether a figure is a rank; the others are fractions."""
    return name.endswith(RANKS)


def as_measured(figures: Mapping[str, Any], name: str) -> str:
    """One figure of a direction as it stands in a cell: nothing where there is none, `-` where it is not known."""
    value = figures.get(name)
    if value is None:
        return "-" if name in figures else ""
    return f"{value:,.1f}" if is_rank(name) else as_percent(value)


def as_published(published: Mapping[str, float], column: str) -> str:
    """One figure of a paper, which is printed in per cent there."""
    return f"{published[column]:,.1f}" if column in published else ""


def as_percent(fraction: float) -> str:
    """A fraction in per cent with one decimal; more than nothing never reads as nothing, nor less than all as all.

    >>> as_percent(0.4231), as_percent(0.0), as_percent(0.0002), as_percent(0.9997), as_percent(1.0)
    ('42.3', '0.0', '<0.1', '>99.9', '100.0')
    """
    if 0 < fraction < _LEAST:
        return "<0.1"
    return ">99.9" if 1 - _LEAST <= fraction < 1 else f"{100 * fraction:.1f}"
