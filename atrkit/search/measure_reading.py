"""How many lists a query must read, measured on sample queries when the lists are made.

A query near to sounds finds them in a few lists; the further it is from all of them, the more lists hold some of its
best. How far it is shows in its cosine with the nearest centre, so that near queries need not wait for what far ones
need.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from atrkit.search.approximate import Reading, recall_against_exact, search_lists, shortlist_depth
from atrkit.search.exact import top_windows

Float32Array = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

# keys: degrees between a query and a window that it means, from near to far. A like sound is near, a text is further
# from all sounds, and from 80 degrees on little is left but the direction of the noise: a text whose sounds are not in
# the index. Values: recall@10 on sample queries, so that it is above 0.99 on others
_LEAST_RECALL = {25.0: 0.9995, 65.0: 0.9995, 80.0: 0.995, 85.0: 0.995}
_RECALL_AT = 10
_SAMPLE_QUERIES = 200  # at each angle


@dataclass(frozen=True)
class MeasuredReading:
    """What was found.

    Args:
        reading: how many lists which query reads.
        recall_at_degrees: recall@10 against exact search, for each angle between queries and windows that they mean.
        sample_queries: how many there were.
    """

    reading: Reading
    recall_at_degrees: dict[str, float]
    sample_queries: int


def measure_reading(lists: Any, vectors: Sequence[Float32Array], generator: np.random.Generator) -> MeasuredReading:
    """The fewest lists with which the recall is reached for queries near and far.

    Args:
        lists: faiss's, with all windows in them.
        vectors: of these windows; the segments, each (W_s, D) float32 with rows of norm 1.
        generator: draws the sample queries.

    Returns:
        How many lists to read from which cosine on, and the recall that this reaches.

    Source: our choice.
    """
    of_angles = _sample_queries(vectors, generator)
    exact = [top_windows(vectors, queries_QD, _RECALL_AT)[1] for queries_QD in of_angles]
    reading = _least_reading(lists, vectors, of_angles, exact)
    depth = min(shortlist_depth(_RECALL_AT), lists.ntotal)
    while True:
        # the exact order of a shortlist holds all exact results that are on it
        listed = [search_lists(lists, queries_QD, depth, reading)[1] for queries_QD in of_angles]
        reached = [recall_against_exact(*pair) for pair in zip(listed, exact, strict=True)]
        is_enough = all(each >= least for each, least in zip(reached, _LEAST_RECALL.values(), strict=True))
        if is_enough or all(count == lists.nlist for _, count in reading):
            of_degrees = dict(zip((str(round(angle)) for angle in _LEAST_RECALL), reached, strict=True))
            return MeasuredReading(reading, of_degrees, sum(map(len, of_angles)))
        # what 8 bits lose, and those that seemed nearer than they are, are found further on
        reading = tuple((cosine, min(count + 1 + count // 16, lists.nlist)) for cosine, count in reading)


def _least_reading(
    lists: Any, vectors: Sequence[Float32Array], of_angles: Sequence[Float32Array], exact: Sequence[IntArray]
) -> Reading:
    """For each angle the lists that hold what it needs, for all queries nearer than any sample of a larger angle."""
    needed = [
        _lists_that_hold(lists, vectors, queries_QD, exact_QK, least)
        for queries_QD, exact_QK, least in zip(of_angles, exact, _LEAST_RECALL.values(), strict=True)
    ]
    nearest = [lists.quantizer.search(queries_QD, 1)[0].max() for queries_QD in of_angles]
    from_cosines = [float(max(nearest[further:])) for further in range(1, len(nearest))]
    return tuple(zip([*from_cosines, -1.0], np.maximum.accumulate(needed).tolist(), strict=True))


def _lists_that_hold(
    lists: Any, vectors: Sequence[Float32Array], queries_QD: Float32Array, exact_QK: IntArray, share: float
) -> int:
    """How many of the nearest lists of each query hold this share of its exact results, over all queries."""
    windows_N, place_QK = np.unique(exact_QK, return_inverse=True)
    list_of_window_N = lists.quantizer.search(rows_of_windows(vectors, windows_N), 1)[1][:, 0]
    list_of_exact_QK = list_of_window_N[place_QK.reshape(exact_QK.shape)]
    nearest_QL = lists.quantizer.search(queries_QD, lists.nlist)[1]
    rank_QL = np.argsort(nearest_QL, axis=1)
    ranks_N = np.sort(np.take_along_axis(rank_QL, list_of_exact_QK, axis=1).ravel())
    return int(ranks_N[int(np.ceil(share * len(ranks_N))) - 1]) + 1


def _sample_queries(vectors: Sequence[Float32Array], generator: np.random.Generator) -> list[Float32Array]:
    """Windows, turned away into any direction: by as much as each angle says."""
    windows = sum(len(segment) for segment in vectors)
    chosen_N = np.sort(generator.choice(windows, min(windows, _SAMPLE_QUERIES), replace=False))
    rows_ND = rows_of_windows(vectors, chosen_N).astype(np.float64)
    rows_ND /= np.linalg.norm(rows_ND, axis=1, keepdims=True)
    of_angles: list[Float32Array] = []
    for angle in np.radians(tuple(_LEAST_RECALL)):
        noise_ND = generator.standard_normal(rows_ND.shape)
        noise_ND -= (noise_ND * rows_ND).sum(axis=1, keepdims=True) * rows_ND
        noise_ND /= np.linalg.norm(noise_ND, axis=1, keepdims=True)
        of_angles.append((np.cos(angle) * rows_ND + np.sin(angle) * noise_ND).astype(np.float32))
    return of_angles


def rows_of_windows(vectors: Sequence[Float32Array], windows_N: IntArray) -> Float32Array:
    """Vectors of windows in ascending order."""
    starts_S = np.concatenate([[0], np.cumsum([len(segment) for segment in vectors])])
    bounds_S = np.searchsorted(windows_N, starts_S)
    return np.concatenate(
        [
            segment[windows_N[low:high] - first]
            for segment, first, low, high in zip(vectors, starts_S[:-1], bounds_S[:-1], bounds_S[1:], strict=True)
        ]
    )
