"""Scores of several models, added on one scale."""

import numpy as np
import pytest
from scipy.stats import zscore

from atrkit import ScoreMatrix
from atrkit.errors import DivergedError, UsageError
from atrkit.scoring.fusion import fuse_scores


def matrix_of(scores_AC: np.ndarray, rows=None, columns=None) -> ScoreMatrix:
    """Clips c0, c1, ... and captions t0, t1, ..., in the order of `rows` and `columns`."""
    rows = range(scores_AC.shape[0]) if rows is None else rows
    columns = range(scores_AC.shape[1]) if columns is None else columns
    scores = scores_AC[np.ix_(list(rows), list(columns))]
    owners = [f"c{t % scores_AC.shape[0]}" for t in columns]
    return ScoreMatrix(scores, [f"c{a}" for a in rows], [f"t{t}" for t in columns], owners)


def test_columns_are_standardised_weighted_and_added():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(4, 6)), 100 + 5 * rng.normal(size=(4, 6))
    fused = fuse_scores([matrix_of(first), matrix_of(second)], [1.0, 0.25])
    np.testing.assert_allclose(fused.scores_AC, zscore(first, axis=0) + 0.25 * zscore(second, axis=0))


def test_clips_and_captions_are_matched_by_id():
    rng = np.random.default_rng(1)
    first, second = rng.normal(size=(3, 5)), rng.normal(size=(3, 5))
    in_order = fuse_scores([matrix_of(first), matrix_of(second)])
    shuffled = fuse_scores([matrix_of(first), matrix_of(second, rows=[2, 0, 1], columns=[4, 1, 0, 3, 2])])
    np.testing.assert_allclose(shuffled.scores_AC, in_order.scores_AC)


def test_one_matrix_keeps_its_order_of_clips():
    scores = np.random.default_rng(2).normal(size=(5, 7))
    np.testing.assert_array_equal(fuse_scores([matrix_of(scores)]).scores_AC.argsort(axis=0), scores.argsort(axis=0))


def test_a_constant_column_says_nothing():
    scores = np.array([[1.0, 2.0], [1.0, 4.0]])
    assert fuse_scores([matrix_of(scores)]).scores_AC[:, 0].tolist() == [0.0, 0.0]


def test_what_cannot_be_fused_is_refused():
    scores = np.eye(3)
    with pytest.raises(UsageError, match="no score matrix"):
        fuse_scores([])
    with pytest.raises(UsageError, match="different pools"):
        fuse_scores([matrix_of(scores), matrix_of(scores, columns=[0, 1])])
    with pytest.raises(UsageError, match="2 score matrices and 1 weights"):
        fuse_scores([matrix_of(scores), matrix_of(scores)], [1.0])
    with pytest.raises(DivergedError, match="1 scores are infinite"):
        fuse_scores([matrix_of(np.array([[np.inf, 1.0], [0.0, 1.0]]))])
