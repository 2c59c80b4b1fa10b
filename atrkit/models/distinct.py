"""Captions that are the same to a model are embedded and scored once, and so tie exactly.

The last bits of a result depend on the batch that it was computed in: computed twice, equal captions would differ.
"""

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from atrkit.models.ragged import Ragged

IntArray = npt.NDArray[np.int64]


def distinct_sequences(captions: Ragged) -> tuple[IntArray, IntArray]:
    """Positions of captions that differ from all before them, and for each caption its place among those.

    Args:
        captions: C of them, prepared: equal numbers are equal captions.

    Returns:
        first_U, rising, and place_C: `first_U[place_C[c]]` is the first caption that is equal to caption c.

    >>> first_U, place_C = distinct_sequences(Ragged.from_sequences([[5, 6], [7], [5, 6]]))
    >>> first_U.tolist(), place_C.tolist()
    ([0, 1], [0, 1, 0])
    """
    values = captions.values.numpy(force=True)
    place_of: dict[bytes, int] = {}
    first: list[int] = []
    places = []
    for caption, (start, stop) in enumerate(pairwise(captions.offsets.tolist())):
        place = place_of.setdefault(values[start:stop].tobytes(), len(place_of))
        if place == len(first):
            first.append(caption)
        places.append(place)
    return np.array(first, dtype=np.int64), np.array(places, dtype=np.int64)
