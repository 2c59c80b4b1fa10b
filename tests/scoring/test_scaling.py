"""Column scaling: worked example G5 of PROTOCOL.md, and what scaling may never change."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from atrkit.errors import DivergedError, UsageError
from atrkit.scoring import min_max_scale_columns, rank_captions
from atrkit.scoring.scaling import scale_columns

PAPER_004_TABLE_3 = np.array([[1.7, 8.4, 8.1], [2.1, 7.6, 8.5], [2.0, 8.3, 6.5]])

SCALINGS = ("none", "minmax", "minmax-calib", "pmi")
# of captions whose losses lie in these ranges on clips that are no test clips
CALIBRATION = np.array([[2.0, 8.0, 8.0], [1.0, 9.0, 7.0], [3.0, 7.0, 9.0]])

# eighths: sums and differences of these are exact
eighths = st.integers(-4000, 4000).map(lambda number: number / 8)
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


# --- every way by its name


def test_none_leaves_the_losses_as_they_are():
    scaled_AC = scale_columns(PAPER_004_TABLE_3, "none")
    np.testing.assert_array_equal(scaled_AC, PAPER_004_TABLE_3)
    assert not np.shares_memory(scaled_AC, PAPER_004_TABLE_3)


def test_calibrated_min_max_is_clamped_to_the_range_of_the_calibration_clips():
    loss_AC = [[1.5, 7.0, 4.0], [0.5, 9.5, 8.5], [3.5, 7.5, 99.0]]
    expected = [[0.25, 0.0, 0.0], [0.0, 1.0, 0.75], [1.0, 0.25, 1.0]]
    np.testing.assert_array_equal(scale_columns(loss_AC, "minmax-calib", CALIBRATION), expected)


def test_a_constant_calibration_column_is_last_for_every_clip_whatever_its_losses():
    loss_AC, calibration_KC = [[-9.0, 1.0], [-5.0, 2.0]], [[3.0, 1.0], [3.0, 2.0]]
    assert np.all(scale_columns(loss_AC, "minmax-calib", calibration_KC)[:, 0] == np.inf)
    order_AC = rank_captions(loss_AC, column_scaling="minmax-calib", calibration_KC=calibration_KC)
    assert order_AC.tolist() == [[1, 0], [1, 0]]


def test_pmi_subtracts_the_mean_over_calibration_clips():
    calibration_KC = [[1.0, 9.0], [1.0, 6.0], [4.0, 6.0]]
    np.testing.assert_array_equal(
        scale_columns([[1.0, 9.0], [2.5, 6.5]], "pmi", calibration_KC), [[-1, 2], [0.5, -0.5]]
    )


def test_pmi_takes_the_hub_away_from_the_papers_example():
    assert rank_captions(PAPER_004_TABLE_3, column_scaling="pmi", calibration_KC=CALIBRATION)[:, 0].tolist() == [
        0,
        1,
        2,
    ]


@pytest.mark.parametrize("column_scaling", SCALINGS)
def test_ranking_is_by_scaled_then_raw_loss(column_scaling):
    generator = np.random.default_rng(0)
    loss_AC, calibration_KC = generator.integers(5, size=(2, 6, 30)).astype(np.float32)
    order_AC = rank_captions(loss_AC, column_scaling=column_scaling, calibration_KC=calibration_KC)
    scaled_AC = scale_columns(loss_AC, column_scaling, calibration_KC)
    for order, scaled, loss in zip(order_AC, scaled_AC, loss_AC, strict=True):
        assert order.tolist() == sorted(range(30), key=lambda c: (scaled[c], loss[c], c))


@settings(max_examples=40, deadline=None)
@given(losses)
def test_calibration_on_the_test_clips_themselves_equals_min_max(loss_AC):
    if len(loss_AC) > 1:
        calibrated_AC = scale_columns(loss_AC, "minmax-calib", loss_AC)
        np.testing.assert_array_equal(calibrated_AC, min_max_scale_columns(loss_AC))


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_constant_added_to_a_column_and_its_calibration_changes_nothing(data):
    captions = data.draw(st.integers(1, 4))
    loss_AC = data.draw(arrays(np.float64, (3, captions), elements=eighths))
    calibration_KC = data.draw(arrays(np.float64, (4, captions), elements=eighths))  # a mean of four is exact
    shift_C = data.draw(arrays(np.float64, captions, elements=eighths))
    for column_scaling in ("minmax", "minmax-calib", "pmi"):
        np.testing.assert_array_equal(
            scale_columns(loss_AC + shift_C, column_scaling, calibration_KC + shift_C),
            scale_columns(loss_AC, column_scaling, calibration_KC),
        )


@pytest.mark.parametrize("column_scaling", SCALINGS)
def test_losses_and_calibration_losses_are_not_changed(column_scaling):
    loss_AC, calibration_KC = PAPER_004_TABLE_3.copy(), CALIBRATION.copy()
    scale_columns(loss_AC, column_scaling, calibration_KC)
    np.testing.assert_array_equal(loss_AC, PAPER_004_TABLE_3)
    np.testing.assert_array_equal(calibration_KC, CALIBRATION)


@pytest.mark.parametrize("column_scaling", ["minmax-calib", "pmi"])
@pytest.mark.parametrize(
    ("calibration_KC", "complaint"),
    [
        (None, "there are no calibration losses: score training clips with the same captions"),
        (np.zeros((5, 2)), r"shape \(5, 2\), but there are 3 captions"),
        (np.zeros(3), r"shape \(3,\), but there are 3 captions"),
        (np.zeros((0, 3)), "calibration clips or more, and there are 0"),
    ],
)
def test_calibration_that_does_not_fit_is_refused(column_scaling, calibration_KC, complaint):
    with pytest.raises(UsageError, match=complaint):
        scale_columns(PAPER_004_TABLE_3, column_scaling, calibration_KC)


def test_one_calibration_clip_has_a_mean_but_no_range():
    np.testing.assert_array_equal(scale_columns([[1.0, 2.0]], "pmi", [[0.5, 0.5]]), [[0.5, 1.5]])
    with pytest.raises(UsageError, match="minmax-calib needs 2 calibration clips or more, and there are 1"):
        scale_columns([[1.0, 2.0]], "minmax-calib", [[0.5, 0.5]])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("column_scaling", ["minmax", "minmax-calib", "pmi"])
@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_a_loss_that_is_no_number_is_never_scaled(column_scaling, bad):
    loss_AC = PAPER_004_TABLE_3.copy()
    loss_AC[1, 2] = bad
    with pytest.raises(DivergedError, match=r"1 of 3 caption columns have losses .* first is column 2"):
        scale_columns(loss_AC, column_scaling, CALIBRATION)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("column_scaling", ["minmax-calib", "pmi"])
@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_a_calibration_loss_that_is_no_number_is_never_used(column_scaling, bad):
    calibration_KC = CALIBRATION.copy()
    calibration_KC[0, 1] = bad
    with pytest.raises(DivergedError, match=r"1 of 3 caption columns have calibration losses .* first is column 1"):
        scale_columns(PAPER_004_TABLE_3, column_scaling, calibration_KC)


def test_raw_losses_may_be_infinite():
    assert rank_captions([[np.inf, 1.0, -np.inf]], column_scaling="none").tolist() == [[2, 1, 0]]
