"""Weights of a fusion, against trying everything by hand."""

import itertools

import numpy as np
import pytest

from atrkit.errors import DivergedError, UsageError
from atrkit.score_matrix import ScoreMatrix
from atrkit.scoring.fusion_weights import fit_weights, mixtures

CLIPS, CAPTIONS = 14, 28
OWNER = np.arange(CAPTIONS) % CLIPS


def matrix_of(scores_AC, order=None):
    """Caption c belongs to clip c modulo 14; rows in another order where one is given."""
    rows = range(CLIPS) if order is None else order
    clips = [f"clip{a:02}" for a in range(CLIPS)]
    captions = [f"caption{c:02}" for c in range(CAPTIONS)]
    return ScoreMatrix(scores_AC[list(rows)], [clips[a] for a in rows], captions, [clips[a] for a in OWNER])


def noisy(seed, strength):
    """Scores that know the truth a little."""
    truth_AC = np.arange(CLIPS)[:, None] == OWNER[None, :]
    return truth_AC * strength + np.random.default_rng(seed).normal(size=(CLIPS, CAPTIONS))


def standardised(scores_AC):
    return (scores_AC - scores_AC.mean(axis=0)) / scores_AC.std(axis=0)


def map_at_10(scores_AC):
    """Mean of both directions; there are no ties in noise."""
    to_audio = np.mean([average_precision(scores_AC[:, c], np.arange(CLIPS) == OWNER[c]) for c in range(CAPTIONS)])
    to_text = np.mean([average_precision(scores_AC[a], a == OWNER) for a in range(CLIPS)])
    return (to_audio + to_text) / 2


def average_precision(scores, is_own):
    hits = is_own[np.argsort(-scores)]
    ranks = [rank for rank, hit in enumerate(hits, start=1) if hit]
    return sum((k + 1) / rank for k, rank in enumerate(ranks) if rank <= 10) / len(ranks)


@pytest.mark.parametrize("strengths", [(1.5, 1.0), (2.0, 0.0), (1.0, 1.2, 0.5)])
def test_the_best_of_all_mixtures_is_taken(strengths):
    scores = [noisy(seed, strength) for seed, strength in enumerate(strengths)]
    fitted = fit_weights([matrix_of(each) for each in scores])
    value = {
        weights: map_at_10(sum(w * standardised(s) for w, s in zip(weights, scores, strict=True)))
        for weights in mixtures(len(scores))
    }
    assert fitted.value == pytest.approx(max(value.values()))
    assert value[fitted.weights] == pytest.approx(fitted.value)
    assert fitted.alone == pytest.approx([map_at_10(each) for each in map(standardised, scores)])
    assert fitted.equal == pytest.approx(map_at_10(sum(map(standardised, scores))))
    assert fitted.tried == len(value)


def test_of_equally_good_mixtures_the_most_even_is_taken():
    scores = noisy(0, 1.0)
    assert fit_weights([matrix_of(scores)] * 2).weights == (0.5, 0.5)
    assert fit_weights([matrix_of(scores)] * 4).weights == (0.25,) * 4


def test_neither_the_order_of_clips_nor_the_call_matters():
    first, second = noisy(1, 1.0), noisy(2, 1.3)
    expected = fit_weights([matrix_of(first), matrix_of(second)])
    order = np.random.default_rng(0).permutation(CLIPS)
    assert fit_weights([matrix_of(first), matrix_of(second, order)]) == expected


def test_mixtures_are_all_that_sum_to_one():
    for count, parts in ((2, 20), (3, 10), (4, 5)):
        by_hand = {split for split in itertools.product(range(parts + 1), repeat=count) if sum(split) == parts}
        found = mixtures(count)
        assert len(set(found)) == len(found) and (1 / count,) * count in found
        assert {tuple(round(w * parts) for w in weights) for weights in found[: len(by_hand)]} == by_hand
        assert all(abs(sum(weights) - 1) < 1e-12 for weights in found)


def test_other_pools_and_infinite_scores_are_refused():
    other = ScoreMatrix(noisy(0, 1.0)[:, :1], [f"clip{a:02}" for a in range(CLIPS)], ["caption00"], ["clip00"])
    with pytest.raises(UsageError, match="different pools"):
        fit_weights([matrix_of(noisy(0, 1.0)), other])
    broken = noisy(0, 1.0)
    broken[0, 0] = -np.inf
    with pytest.raises(DivergedError, match="infinite"):
        fit_weights([matrix_of(broken), matrix_of(noisy(1, 1.0))])
