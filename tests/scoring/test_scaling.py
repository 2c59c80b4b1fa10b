"""Column scaling: worked example G5 of PROTOCOL.md, and what scaling may never change."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from atrkit.errors import DivergedError
from atrkit.scoring import min_max_scale_columns, rank_captions

PAPER_004_TABLE_3 = np.array([[1.7, 8.4, 8.1], [2.1, 7.6, 8.5], [2.0, 8.3, 6.5]])

losses = arrays(
    np.float64,
    array_shapes(min_dims=2, max_dims=2, max_side=6),
    elements=st.one_of(st.sampled_from([0.0, 1.0, 2.5]), st.floats(-1e6, 1e6)),
)


def test_g5_text_to_audio_picks_the_right_clip_with_and_without_scaling():
    assert PAPER_004_TABLE_3.argmin(axis=0).tolist() == [0, 1, 2]
    assert min_max_scale_columns(PAPER_004_TABLE_3).argmin(axis=0).tolist() == [0, 1, 2]


def test_g5_raw_audio_to_text_picks_the_hub():
    assert rank_captions(PAPER_004_TABLE_3, column_scaling="none")[:, 0].tolist() == [0, 0, 0]


def test_g5_scaled_audio_to_text_picks_the_right_caption():
    assert rank_captions(PAPER_004_TABLE_3)[:, 0].tolist() == [0, 1, 2]


def test_g5_equal_scaled_losses_are_decided_by_the_raw_loss():
    assert rank_captions([[1, 5], [2, 9]])[:, 0].tolist() == [0, 0]


def test_g5_a_constant_column_is_last_for_every_clip():
    assert rank_captions([[3, 1], [3, 2]])[:, -1].tolist() == [0, 0]


def test_a_constant_column_is_last_even_with_the_lowest_raw_loss():
    order_AC = rank_captions([[-9.0, 1.0, 4.0], [-9.0, 2.0, 3.0]])
    assert order_AC[:, -1].tolist() == [0, 0]


def test_a_single_clip_makes_every_column_constant_and_leaves_the_raw_order():
    assert rank_captions([[2.0, 1.0, 3.0]]).tolist() == [[1, 0, 2]]


@settings(max_examples=100, deadline=None)
@given(losses)
def test_each_column_spans_zero_to_one_unless_it_is_constant(loss_AC):
    for column, scaled in zip(loss_AC.T, min_max_scale_columns(loss_AC).T, strict=True):
        if column.min() == column.max():
            assert np.all(scaled == np.inf)
        else:
            assert (scaled.min(), scaled.max()) == (0, 1)


@settings(max_examples=200, deadline=None)
@given(losses)
def test_text_to_audio_order_does_not_change(loss_AC):
    scaled_AC = min_max_scale_columns(loss_AC)
    for column, scaled in zip(loss_AC.T, scaled_AC.T, strict=True):
        by_raw = np.argsort(column, kind="stable")
        assert np.lexsort((column, scaled)).tolist() == by_raw.tolist()
        assert all(scaled[better] <= scaled[worse] for better, worse in itertools.pairwise(by_raw))


@settings(max_examples=100, deadline=None)
@given(losses)
def test_ranking_equals_sorting_pairs_of_scaled_and_raw_loss(loss_AC):
    scaled_AC = min_max_scale_columns(loss_AC)
    for order, loss, scaled in zip(rank_captions(loss_AC), loss_AC, scaled_AC, strict=True):
        assert order.tolist() == sorted(range(len(loss)), key=lambda c: (scaled[c], loss[c], c))


@settings(max_examples=50, deadline=None)
@given(losses, st.data())
def test_order_of_clips_does_not_matter(loss_AC, data):
    rows = data.draw(st.permutations(range(len(loss_AC))))
    np.testing.assert_array_equal(rank_captions(loss_AC[rows]), rank_captions(loss_AC)[rows])


def test_the_losses_given_are_not_changed():
    loss_AC = PAPER_004_TABLE_3.copy()
    min_max_scale_columns(loss_AC)
    rank_captions(loss_AC)
    np.testing.assert_array_equal(loss_AC, PAPER_004_TABLE_3)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("bad", [[np.inf, 1.0], [-np.inf, 1.0], [np.inf, np.inf], [-1.7e308, 1.7e308]])
def test_losses_that_have_no_range_are_refused(bad):
    with pytest.raises(DivergedError, match=r"1 of 2 caption columns .* first is column 1") as error:
        rank_captions(np.column_stack([[1.0, 2.0], bad]))
    assert error.value.exit_code == 8


def test_nan_is_never_ranked_not_even_raw():
    with pytest.raises(DivergedError, match="1 of 4 losses are NaN"):
        rank_captions([[1.0, np.nan], [2.0, 1.0]], column_scaling="none")


def test_nan_cannot_be_scaled():
    with pytest.raises(DivergedError, match=r"1 of 2 caption columns .* first is column 1"):
        min_max_scale_columns([[1.0, np.nan], [2.0, 1.0]])
