"""nDCG against every order of ties, against random orders, and against trec_eval where there are none."""

from itertools import pairwise, permutations
from math import log2

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atrkit import ScoreMatrix
from atrkit.metrics.graded import chance, ndcg_at_k, ndcgs_at_k, optimistic, pessimistic
from atrkit.metrics.relevance import judged_pairs
from atrkit.metrics.tie_blocks import text_to_audio_ranks


def one_query(scores, grades):
    """Ranks of the clips with a grade above 0 for one caption."""
    clips = [f"clip {a}" for a in range(len(scores))]
    matrix = ScoreMatrix(np.array(scores, dtype=float)[:, None], clips, ["caption"], [clips[0]])
    graded = {clip: grade for clip, grade in zip(clips, grades, strict=True) if grade}
    return text_to_audio_ranks(matrix, judged_pairs(matrix, {"caption": graded}).pairs)


def dcg(grades_in_order, k):
    return sum(grade / log2(rank + 1) for rank, grade in enumerate(grades_in_order[:k], start=1))


def every_order(scores, grades, k):
    """nDCG@k of every order that the scores allow."""
    ideal = dcg(sorted(grades, reverse=True), k)
    return [
        dcg([grades[a] for a in order], k) / ideal
        for order in permutations(range(len(scores)))
        if all(scores[before] >= scores[after] for before, after in pairwise(order))
    ]


@st.composite
def small_queries(draw):
    clips = draw(st.integers(1, 5))
    scores = draw(st.lists(st.sampled_from([-np.inf, 0.0, 0.5, 1.0]), min_size=clips, max_size=clips))
    grades = draw(st.lists(st.sampled_from([0, 0, 1, 2, 50, 100]), min_size=clips, max_size=clips).filter(any))
    return scores, grades, draw(st.integers(1, 6))


@settings(max_examples=80, deadline=None)
@given(small_queries())
def test_the_mean_and_the_bounds_over_all_orders_of_ties(query):
    scores, grades, k = query
    ranks, values = one_query(scores, grades), every_order(scores, grades, k)
    assert ndcgs_at_k(ranks, k) == pytest.approx([sum(values) / len(values)], abs=1e-12)
    assert ndcgs_at_k(optimistic(ranks), k) == pytest.approx([max(values)], abs=1e-12)
    assert ndcgs_at_k(pessimistic(ranks), k) == pytest.approx([min(values)], abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(small_queries())
def test_chance_is_every_order_of_all_candidates(query):
    scores, grades, k = query
    values = every_order([0.0] * len(scores), grades, k)
    assert ndcg_at_k(chance(one_query(scores, grades)), k) == pytest.approx(sum(values) / len(values), abs=1e-12)


def test_random_orders_of_a_query_too_large_to_enumerate():
    rng = np.random.default_rng(0)
    scores, grades = rng.integers(0, 4, size=40), rng.choice([0, 0, 0, 30, 80, 100], size=40)
    ideal = dcg(sorted(grades, reverse=True), 10)
    drawn = [dcg(grades[np.lexsort((rng.random(40), -scores))], 10) / ideal for _ in range(3000)]
    error = np.std(drawn) / np.sqrt(len(drawn))
    assert ndcg_at_k(one_query(scores, grades), 10) == pytest.approx(np.mean(drawn), abs=5 * error)


def test_the_best_order_has_1_and_gains_are_linear_in_grades():
    assert ndcg_at_k(one_query([3, 2, 1], [9, 4, 1]), 3) == pytest.approx(1)
    assert ndcg_at_k(one_query([1, 2], [3, 1]), 2) == pytest.approx((1 + 3 / log2(3)) / (3 + 1 / log2(3)))


def test_the_ideal_counts_every_graded_clip_also_those_far_down():
    assert ndcg_at_k(one_query([2, 1, 0], [0, 0, 5]), 2) == 0
    assert ndcg_at_k(one_query([2, 1, 0], [5, 0, 5]), 2) == pytest.approx(1 / (1 + 1 / log2(3)))
