"""Other places of a file: a plain loop over its windows says which are near the best one."""

import numpy as np
import pytest

from atrkit.search.exact import top_windows
from atrkit.search.places import best_places, places_of
from atrkit.search.results import find_hits


def unit(vectors) -> np.ndarray:
    vectors = np.asarray(vectors, np.float32)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


@pytest.mark.parametrize("seed", range(8))
def test_the_places_of_a_hit_are_those_that_a_loop_finds(make_index, seed):
    """Two segments, so that rows of the second are counted from its own beginning."""
    generator = np.random.default_rng(seed)
    sounds = [[("a.wav", 95.0), ("b.wav", 61.0)], [("c.wav", 125.0), ("d.wav", 3.0)]]
    vectors = unit([1, 1, 0, 0] + 0.4 * generator.standard_normal((10 + 7 + 13 + 1, 4)))
    index = make_index(*sounds, dim=4, vectors=vectors)
    query_D = unit([1.0, 0.5, 0.0, 0.0])
    hits = find_hits(index, lambda query_QD, k, alive_W: top_windows(index.vectors, query_QD, k, alive_W), query_D, 4)
    assert {hit.file.path for hit in hits} == {"a.wav", "b.wav", "c.wav", "d.wav"}
    for hit in hits:
        windows = range(len(vectors))[index.windows_of(hit.file)]
        score_of = {window: sum(float(vectors[window, d]) * float(query_D[d]) for d in range(4)) for window in windows}
        expected: list[int] = []
        for window in sorted(windows, key=lambda window: -score_of[window]):
            start_s = index.start_s_W[window]
            overlaps = any(abs(start_s - index.start_s_W[other]) < 10 for other in expected)
            if score_of[window] >= 0.9 * score_of[hit.window] and not overlaps and len(expected) < 5:
                expected.append(window)
        found = places_of(index, hit, query_D)
        assert [(place.start_s, place.end_s) for place in found] == [
            (index.start_s_W[window], index.end_s_W[window]) for window in expected
        ]
        assert [place.score for place in found] == pytest.approx([score_of[window] for window in expected], abs=1e-4)
        assert (found[0].start_s, found[0].end_s) == (hit.start_s, hit.end_s)


def test_of_a_tape_that_sounds_the_same_for_long_the_first_places_are_given():
    start_s_W = np.arange(150) * 10.0
    scores_W = 0.3 + np.random.default_rng(1).uniform(-1e-6, 1e-6, 150).astype(np.float32)  # as rounding leaves them
    places = best_places(scores_W, start_s_W, start_s_W + 10, best=40)
    assert [place.start_s for place in places] == [400.0, 0.0, 10.0, 20.0, 30.0]


def test_beside_a_place_that_fits_badly_nothing_fits():
    """Nine tenths of a negative cosine are more than it is."""
    start_s_W = np.arange(3) * 10.0
    for best in (-0.2, 0.0):
        scores_W = np.array([best, best - 0.1, best], np.float32)
        assert len(best_places(scores_W, start_s_W, start_s_W + 10, best=0)) == 1
