"""The embedded data set `synthetic`: sound events with audible properties and captions that say what is heard."""

from atrkit.datasets.synthetic.dataset import EVENTS_NAME, generate
from atrkit.datasets.synthetic.layouts import SyntheticSizes, sizes_for

__all__ = ["EVENTS_NAME", "SyntheticSizes", "generate", "sizes_for"]
