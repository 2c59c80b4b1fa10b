"""p of paired differences against all flips written out, and against what chance does under the null."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atrkit.metrics.randomisation import holm_adjusted, randomisation_p


def p_of_all_flips(differences: list[float]) -> float:
    """Every way of signs, tried one after the other."""
    measured = abs(sum(differences))
    sums = [
        abs(sum(sign * each for sign, each in zip(signs, differences, strict=True)))
        for signs in itertools.product((1, -1), repeat=len(differences))
    ]
    return sum(each >= measured - 1e-9 for each in sums) / len(sums)


@given(st.lists(st.integers(-4, 4), min_size=1, max_size=9))
@settings(max_examples=60, deadline=None)
def test_few_clips_are_tried_in_every_way(differences):
    (p,) = randomisation_p(np.array(differences)[:, None] / 3, np.random.default_rng(0), flips=600)
    assert p == pytest.approx(p_of_all_flips([each / 3 for each in differences]))


def test_clips_without_a_difference_do_not_make_it_random():
    differences = [1.0, 0.5, -0.25] + 500 * [0.0]
    (p,) = randomisation_p(np.array(differences)[:, None], np.random.default_rng(0))
    assert p == p_of_all_flips(differences[:3])


def test_many_clips_come_close_to_all_ways():
    differences = np.random.default_rng(2).normal(0.3, 1, size=(12, 1))
    exact = p_of_all_flips(differences[:, 0].tolist())
    (p,) = randomisation_p(differences, np.random.default_rng(0), flips=4000)
    assert 4000 < 2**12 and p == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 4000))


def test_the_measured_sum_counts_as_one_of_the_flips():
    differences = np.ones((100, 1))
    assert randomisation_p(differences, np.random.default_rng(0), flips=999).tolist() == [1 / 1000]


def test_no_difference_at_all_is_no_evidence():
    assert randomisation_p(np.zeros((40, 2)), np.random.default_rng(0)).tolist() == [1.0, 1.0]


def test_figures_are_tested_each_by_itself():
    random = np.random.default_rng(5)
    differences = random.normal(size=(60, 3))
    differences[4:, 1] = 0  # few clips, beside many
    together = randomisation_p(differences, np.random.default_rng(0), flips=300)
    alone = [randomisation_p(differences[:, [f]], np.random.default_rng(0), flips=300)[0] for f in range(3)]
    assert together.tolist() == alone


def test_under_the_null_small_p_are_as_rare_as_they_say():
    """500 comparisons of systems that do not differ; one in twenty should have p of at most .05, one in five .2."""
    random = np.random.default_rng(8)
    p_values = np.array([randomisation_p(random.normal(size=(30, 1)), random, flips=199)[0] for _ in range(500)])
    for level in (0.05, 0.2, 0.5):
        margin = 3.5 * np.sqrt(level * (1 - level) / 500)
        assert abs(np.mean(p_values <= level) - level) < margin


def test_a_true_difference_is_found():
    random = np.random.default_rng(9)
    p_values = [randomisation_p(random.normal(1, 1, size=(30, 1)), random, flips=199)[0] for _ in range(50)]
    assert np.mean(np.array(p_values) <= 0.05) > 0.95


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6), st.randoms())
def test_holm_is_what_its_definition_says(p_values, random):
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    expected, highest = [0.0] * len(p_values), 0.0
    for place, index in enumerate(order):
        highest = max(highest, (len(p_values) - place) * p_values[index])
        expected[index] = min(1.0, highest)
    assert holm_adjusted(p_values).tolist() == pytest.approx(expected)
