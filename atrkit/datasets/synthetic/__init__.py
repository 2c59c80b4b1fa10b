"""The embedded data set `synthetic`: sound events with audible properties and captions that say what is heard."""

from atrkit.datasets.synthetic.dataset import EVENTS_NAME, generate
from atrkit.datasets.synthetic.layouts import SyntheticSizes, sizes_for
from atrkit.datasets.synthetic.pool import AUDIO_FOLDER

__all__ = ["AUDIO_FOLDER", "EVENTS_NAME", "SyntheticSizes", "generate", "sizes_for"]
