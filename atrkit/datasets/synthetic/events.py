"""Sound events: the seventeen kinds, and the properties by which two events of one kind differ.

A property is something that can be heard and named: how high, how fast, how often, how loud. Every value has exactly
one word for it except the middle loudness, which captions never mention.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

LOUDNESS = "loudness"
UNNAMED = "unnamed"

# What each axis can be. Loudness belongs to every kind; the others to those named in KINDS.
AXES: Mapping[str, tuple[str, ...]] = {
    "pitch": ("high", "low"),
    "speed": ("fast", "slow"),
    "count": ("once", "several"),
    LOUDNESS: ("loud", UNNAMED, "faint"),
}

KINDS: Mapping[str, tuple[str, ...]] = {
    "beep": ("pitch", "count"),
    "rising_sweep": ("speed",),
    "falling_sweep": ("speed",),
    "bell": ("pitch", "count"),
    "knock": ("speed",),
    "clock": ("speed",),
    "siren": ("speed",),
    "engine": ("pitch",),
    "bird": ("speed",),
    "rain": (),
    "drips": ("speed",),
    "wind": ("speed",),
    "buzzer": ("pitch", "count"),
    "dog": ("pitch", "count"),
    "cricket": ("speed",),
    "phone": ("pitch", "count"),
    "footsteps": ("speed",),
}


@dataclass(frozen=True, order=True)
class Cell:
    """One value of one property of one kind, for example the low bell: the unit in which single events are held out."""

    kind: str
    axis: str
    value: str


@dataclass(frozen=True)
class Event:
    """One sound event as captions can describe it; everything else about it is chance.

    Args:
        kind: one of KINDS.
        properties: the value on each axis of the kind, loudness always among them.
    """

    kind: str
    properties: Mapping[str, str] = field(default_factory=dict)

    @property
    def named(self) -> dict[str, str]:
        """The properties that there are words for."""
        return {axis: value for axis, value in self.properties.items() if value != UNNAMED}

    @property
    def cells(self) -> frozenset[Cell]:
        """The cells this event lies in."""
        return frozenset(Cell(self.kind, axis, value) for axis, value in self.named.items())


def axes_of(kind: str) -> tuple[str, ...]:
    """Axes on which events of this kind differ, loudness last.

    >>> axes_of("bell")
    ('pitch', 'count', 'loudness')
    """
    return (*KINDS[kind], LOUDNESS)


def all_cells() -> list[Cell]:
    """Every (kind, property) cell that has a word, in the order of KINDS.

    >>> len(all_cells())
    76
    """
    return [
        Cell(kind, axis, value) for kind in KINDS for axis in axes_of(kind) for value in AXES[axis] if value != UNNAMED
    ]


def draw_event(kind: str, rng: np.random.Generator) -> Event:
    """An event of this kind, each property drawn uniformly and on its own."""
    return Event(kind, {axis: AXES[axis][int(rng.integers(len(AXES[axis])))] for axis in axes_of(kind)})
