"""Exact search beside a sort of all cosines, added up one after the other."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atrkit.errors import DivergedError, IntegrityError, UsageError
from atrkit.search.exact import rescored, top_windows


def on_the_sphere(seed: int, *shape: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal(shape)
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def best_by_sorting(segments, query_D, k, alive=None) -> list[tuple[float, int]]:
    """Every living window: its cosine by an exact sum, rounded once; then the largest, then the smallest number."""
    rows = [row for segment in segments for row in segment]
    alive = [True] * len(rows) if alive is None else alive
    cosines = [np.float32(math.fsum(float(a) * float(b) for a, b in zip(row, query_D, strict=True))) for row in rows]
    found = [(float(cosine), window) for window, cosine in enumerate(cosines) if alive[window]]
    return sorted(found, key=lambda pair: (-pair[0], pair[1]))[:k]


def as_pairs(found) -> list[list[tuple[float, int]]]:
    return [
        list(zip(map(float, scores), map(int, windows), strict=True)) for scores, windows in zip(*found, strict=True)
    ]


@st.composite
def searches(draw):
    """Segments in which many vectors are equal, some of them dead; queries; more or fewer results than windows."""
    dim = draw(st.integers(1, 9))
    different = on_the_sphere(draw(st.integers(0, 99)), draw(st.integers(1, 4)), dim)
    row = st.integers(0, len(different) - 1)
    segments = [different[rows].reshape(-1, dim) for rows in draw(st.lists(st.lists(row, max_size=9), max_size=4))]
    windows = sum(map(len, segments))
    alive = draw(st.lists(st.booleans(), min_size=windows, max_size=windows))
    queries_QD = on_the_sphere(draw(st.integers(0, 99)), draw(st.integers(1, 3)), dim)
    return segments, queries_QD, draw(st.integers(1, 12)), alive, draw(st.integers(1, 5))


@given(searches())
def test_the_best_windows_are_those_of_a_sort_whatever_is_equal_dead_or_too_few(search):
    segments, queries_QD, k, alive, block_rows = search
    expected = [best_by_sorting(segments, query_D, k, alive) for query_D in queries_QD]
    assert as_pairs(top_windows(segments, queries_QD, k, alive)) == expected
    assert as_pairs(top_windows(segments, queries_QD, k, alive, block_rows=block_rows)) == expected


@pytest.fixture(scope="module")
def thousands():
    """1,500 windows in three segments; a run of them is equal to one in another segment."""
    vectors = on_the_sphere(1, 1_500, 48)
    vectors[700:760] = vectors[20]
    return [vectors[:600], vectors[600:1_100], vectors[1_100:]]


def test_equal_vectors_tie_wherever_they_lie_and_the_first_of_them_are_given(thousands):
    query_D = thousands[0][20]
    scores_QK, windows_QK = top_windows(thousands, query_D, 30)
    assert windows_QK[0].tolist() == [20, *range(700, 729)]
    assert len(set(scores_QK[0].tolist())) == 1


def test_a_query_finds_the_same_bits_alone_and_among_many_in_blocks_of_any_size(thousands):
    queries_QD = on_the_sphere(2, 300, 48)  # more than are compared at once
    alive = np.random.default_rng(3).random(1_500) < 0.8
    together = as_pairs(top_windows(thousands, queries_QD, 11, alive))
    for block_rows in (1, 7, 499, 5_000):
        some = queries_QD[:5] if block_rows < 10 else queries_QD
        assert as_pairs(top_windows(thousands, some, 11, alive, block_rows=block_rows)) == together[: len(some)]
    for query in (0, 1, 299):
        assert as_pairs(top_windows(thousands, queries_QD[query], 11, alive)) == [together[query]]
        assert together[query] == best_by_sorting(thousands, queries_QD[query], 11, alive)


def test_of_nearly_equal_cosines_in_different_blocks_the_exact_order_counts():
    """A product in float32 swaps them: its last places depend on the order of summation."""
    generator = np.random.default_rng(11)
    query_D = on_the_sphere(12, 1024)
    across_ND = generator.standard_normal((400, 1024))
    across_ND -= (across_ND @ query_D)[:, None] * query_D
    across_ND /= np.linalg.norm(across_ND, axis=1, keepdims=True)
    cosines_N = 0.6 + 2e-8 * generator.integers(0, 8, size=(400, 1))
    rows_ND = (cosines_N * query_D + np.sqrt(1 - cosines_N**2) * across_ND).astype(np.float32)
    product_N = rows_ND @ query_D
    expected = best_by_sorting([rows_ND], query_D, 9)
    assert [window for _, window in expected] != np.lexsort((np.arange(400), -product_N))[:9].tolist()
    for block_rows in (10, 50, 400):
        assert as_pairs(top_windows([rows_ND], query_D, 9, block_rows=block_rows)) == [expected]


def test_vectors_may_lie_in_files(thousands, tmp_path):
    mapped = []
    for number, segment in enumerate(thousands):
        np.save(tmp_path / f"{number}.npy", segment)
        mapped.append(np.load(tmp_path / f"{number}.npy", mmap_mode="r"))
    query_D = on_the_sphere(4, 48)
    assert as_pairs(top_windows(mapped, query_D, 5)) == as_pairs(top_windows(thousands, query_D, 5))


def test_a_shortlist_is_put_in_the_order_of_all_windows(thousands):
    query_D = on_the_sphere(5, 48)
    listed = np.random.default_rng(6).permutation(1_500)[:400]
    scores_K, windows_K = rescored(thousands, query_D, listed, 25)
    alive = np.isin(np.arange(1_500), listed)
    assert list(zip(scores_K.tolist(), windows_K.tolist(), strict=True)) == best_by_sorting(
        thousands, query_D, 25, alive
    )


def test_nothing_is_found_where_nothing_lives(thousands):
    scores_QK, windows_QK = top_windows(thousands, on_the_sphere(5, 2, 48), 3, np.zeros(1_500, dtype=bool))
    assert scores_QK.shape == windows_QK.shape == (2, 0)
    assert top_windows([], on_the_sphere(5, 48), 3)[1].shape == (1, 0)


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused_and_named_unless_it_is_dead(thousands, broken):
    vectors = [segment.copy() for segment in thousands]
    vectors[1][3, 7] = broken
    queries_QD = on_the_sphere(7, 2, 48)
    for some in (queries_QD[0], queries_QD):
        with pytest.raises(IntegrityError, match="window 603 is not finite"):
            top_windows(vectors, some, 3)
    alive = np.arange(1_500) != 603
    assert as_pairs(top_windows(vectors, queries_QD, 3, alive)) == as_pairs(
        top_windows(thousands, queries_QD, 3, alive)
    )
    with pytest.raises(IntegrityError, match="window 603"):
        rescored(vectors, queries_QD[0], np.array([5, 603]), 1)
    queries_QD[1, 0] = broken
    with pytest.raises(DivergedError, match="query 2 is not finite"):
        top_windows(thousands, queries_QD, 3)


def test_what_does_not_fit_together_is_said(thousands):
    query_D = on_the_sphere(8, 48)
    with pytest.raises(UsageError, match="-k 0"):
        top_windows(thousands, query_D, 0)
    with pytest.raises(UsageError, match="47 dimensions, vectors of the index 48"):
        top_windows(thousands, query_D[:47], 1)
    with pytest.raises(UsageError, match="1500 windows, and 3 flags"):
        top_windows(thousands, query_D, 1, [True, False, True])
