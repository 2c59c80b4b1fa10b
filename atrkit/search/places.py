"""Where in a recording something is heard: its best window is one hit, and others may be nearly as good."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from atrkit.search.index_files import SearchIndex
from atrkit.search.results import Hit

Float32Array = npt.NDArray[np.float32]

MOST_PLACES = 5
LEAST_SHARE = 0.9


@dataclass(frozen=True)
class Place:
    """A part of a recording.

    Args:
        start_s: where it begins.
        end_s: where it ends.
        score: cosine with the query.
    """

    start_s: float
    end_s: float
    score: float


def places_of(index: SearchIndex, hit: Hit, query_D: Float32Array) -> list[Place]:
    """The places of a file that fit a query about as well as the best one.

    Args:
        index: that the hit is of.
        hit: of a cosine, not re-ranked.
        query_D: of norm 1, that it was found by.

    Returns:
        Five at most, that of the hit first; see `best_places`.
    """
    windows = index.windows_of(hit.file)
    with np.errstate(invalid="ignore"):  # the search saw to it that all is finite; BLAS warns sometimes nevertheless
        scores_W = index.vectors_of(hit.file) @ query_D
    return best_places(scores_W, index.start_s_W[windows], index.end_s_W[windows], hit.window - int(windows.start))


def best_places(
    scores_W: Float32Array, start_s_W: npt.NDArray[np.float64], end_s_W: npt.NDArray[np.float64], best: int
) -> list[Place]:
    """The best of a file's windows, the best first; of equal ones the earlier.

    A window counts where its cosine is at least nine tenths of the best one's: a share and no distance, for models
    differ in how large their cosines are. Beside a best one that is not positive nothing counts. What overlaps a better
    place is that place: the last window of a file begins early, so that it is full.

    Args:
        scores_W: cosines.
        start_s_W: where the windows begin.
        end_s_W: where they end.
        best: the window that is the hit.

    Source: our choice.

    Example:
        >>> start_s_W = np.array([0.0, 10.0, 20.0, 24.0])
        >>> scores_W = np.array([0.30, 0.10, 0.32, 0.31], np.float32)
        >>> [(place.start_s, place.score) for place in best_places(scores_W, start_s_W, start_s_W + 10, best=2)]
        [(20.0, 0.32), (0.0, 0.3)]
    """
    shown_W = np.round(scores_W.astype(np.float64), 4)  # what sounds alike is not put in order by rounding
    near_N = np.flatnonzero((shown_W >= LEAST_SHARE * shown_W[best]) & (shown_W > 0))
    places: list[Place] = []
    for window in (best, *near_N[np.argsort(-shown_W[near_N], kind="stable")]):
        start_s, end_s = float(start_s_W[window]), float(end_s_W[window])
        if all(end_s <= place.start_s or place.end_s <= start_s for place in places):
            places.append(Place(start_s, end_s, float(shown_W[window])))
        if len(places) == MOST_PLACES:
            break
    return places
