"""The matrix that audio-to-text ranks by: worked example G5 through `evaluate`, and what scaling may never change."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from atrkit import ScoreMatrix
from atrkit.errors import DivergedError, UsageError
from atrkit.metrics.hubness import audio_to_text_hubness
from atrkit.metrics.ranking import evaluate
from atrkit.scoring.scaling import audio_to_text_matrix, rank_captions, scale_columns

PAPER_004_TABLE_3 = np.array([[1.7, 8.4, 8.1], [2.1, 7.6, 8.5], [2.0, 8.3, 6.5]])
SCALINGS = ("none", "minmax", "minmax-calib", "pmi")

# few values, so that ties of all kinds are common; eighths, so that differences are exact
few_values = st.integers(-4, 4).map(lambda number: number / 8)
tied_losses = arrays(np.float64, (4, 6), elements=few_values)


def matrix_of(loss_AC, owners=None, dtype=np.float64):
    """Scores of clips named 0, 1, ... and captions that belong to the clips in turn."""
    clips, captions = np.shape(loss_AC)
    owners = [str(caption % clips) for caption in range(captions)] if owners is None else owners
    clip_ids, caption_ids = [str(clip) for clip in range(clips)], [f"caption {c}" for c in range(captions)]
    return ScoreMatrix(-np.asarray(loss_AC, dtype=dtype), clip_ids, caption_ids, owners)


def picks_of(matrix):
    """For each clip every caption that has its best score."""
    return [np.flatnonzero(scores == scores.max()).tolist() for scores in matrix.scores_AC]


def order_by_pairs(loss_C, scaled_C):
    """Blocks of captions from best to worst, sorting pairs (scaled, raw); equal pairs share a block."""
    pairs = list(zip(scaled_C, loss_C, strict=True))
    return [[c for c in range(len(pairs)) if pairs[c] == pair] for pair in sorted(set(pairs))]


def order_in_matrix(scores_C):
    return [np.flatnonzero(scores_C == score).tolist() for score in sorted(set(scores_C), reverse=True)]


# --- G5


def test_g5_picks():
    matrix = matrix_of(PAPER_004_TABLE_3)
    assert picks_of(audio_to_text_matrix(matrix, "none")) == [[0], [0], [0]]
    assert picks_of(audio_to_text_matrix(matrix, "minmax")) == [[0], [1], [2]]
    assert matrix.scores_AC.argmax(axis=0).tolist() == [0, 1, 2], "text to audio, which needs no scaling"


def test_g5_figures():
    raw, scaled = (evaluate(audio_to_text_matrix(matrix_of(PAPER_004_TABLE_3), s)) for s in ("none", "minmax"))
    assert raw["text_to_audio"]["R@1"] == 1
    assert raw["audio_to_text"]["R@1"] == pytest.approx(float(Fraction(1, 3)), abs=1e-14)
    assert (scaled["audio_to_text"]["R@1"], scaled["audio_to_text"]["MnR"]) == (1, 1)


def test_g5_tie_rule_decides_by_the_raw_loss():
    scaled = audio_to_text_matrix(matrix_of([[1, 5], [2, 9]]), "minmax")
    assert picks_of(scaled) == [[0], [0]]
    assert evaluate(scaled)["audio_to_text"]["tied_queries"] == 0


def test_g5_a_constant_column_is_last_for_both_clips():
    assert picks_of(audio_to_text_matrix(matrix_of([[3, 1], [3, 2]]), "minmax")) == [[1], [1]]


def test_a_constant_column_is_last_even_with_the_lowest_raw_loss():
    scaled = audio_to_text_matrix(matrix_of([[-9.0, 1.0, 4.0], [-9.0, 2.0, 3.0]]), "minmax")
    assert scaled.scores_AC.argmin(axis=1).tolist() == [0, 0]


# --- ties


def test_captions_equal_in_both_losses_are_tied_at_their_expectation():
    """Captions 0 and 1 are the same text: half of the time clip 0 finds the wrong one first, clip 1 at its end."""
    loss_AC = [[1.0, 1.0, 9.0], [5.0, 5.0, 2.0]]
    scaled = audio_to_text_matrix(matrix_of(loss_AC, owners=["0", "1", "1"]), "minmax")
    figures = evaluate(scaled, ks=(1, 2))["audio_to_text"]
    assert (figures["R@1"], figures["R@2"], figures["tied_queries"]) == (0.75, 1, 2)


def test_a_single_clip_is_ranked_by_its_raw_losses():
    assert order_in_matrix(audio_to_text_matrix(matrix_of([[2.0, 1.0, 2.0]]), "minmax").scores_AC[0]) == [[1], [0, 2]]


@settings(max_examples=60, deadline=None)
@given(tied_losses, arrays(np.float64, (4, 6), elements=few_values))
def test_each_row_orders_pairs_of_scaled_and_raw_loss(loss_AC, calibration_KC):
    for column_scaling in SCALINGS:
        ranked = audio_to_text_matrix(matrix_of(loss_AC), column_scaling, calibration_KC)
        scaled_AC = scale_columns(loss_AC, column_scaling, calibration_KC)
        for loss, scaled, scores in zip(loss_AC, scaled_AC, ranked.scores_AC, strict=True):
            assert order_in_matrix(scores) == order_by_pairs(loss, scaled)


@pytest.mark.parametrize("column_scaling", SCALINGS)
def test_order_equals_rank_captions_on_many_captions(column_scaling):
    generator = np.random.default_rng(0)
    loss_AC, calibration_KC = generator.normal(4, 0.3, size=(2, 20, 400)).round(2)
    loss_AC[:, 7] = 4.0
    calibration_KC[:, 9] = 4.0
    ranked = audio_to_text_matrix(matrix_of(loss_AC), column_scaling, calibration_KC)
    order_AC = rank_captions(loss_AC, column_scaling=column_scaling, calibration_KC=calibration_KC)
    np.testing.assert_array_equal(np.argsort(-ranked.scores_AC, axis=1, kind="stable"), order_AC)


# --- what scaling may never change


@settings(max_examples=40, deadline=None)
@given(tied_losses, arrays(np.float64, (4, 6), elements=few_values))
def test_text_to_audio_figures_of_scaled_losses_equal_the_raw_ones(loss_AC, calibration_KC):
    """Min-max and pmi rise strictly with the loss, so every caption finds the same clips; clamping ties some."""
    raw = evaluate(matrix_of(loss_AC))["text_to_audio"]
    for column_scaling in ("minmax", "pmi"):
        scaled_AC = scale_columns(loss_AC, column_scaling, calibration_KC)
        assert evaluate(matrix_of(scaled_AC))["text_to_audio"] == raw


@settings(max_examples=25, deadline=None)
@given(tied_losses, st.data())
def test_order_of_clips_and_captions_changes_no_figure(loss_AC, data):
    rows, columns = data.draw(st.permutations(range(4))), data.draw(st.permutations(range(6)))
    calibration_KC = np.random.default_rng(0).normal(size=(5, 6))
    matrix = matrix_of(loss_AC)
    shuffled = ScoreMatrix(
        matrix.scores_AC[rows][:, columns],
        [matrix.clip_ids[a] for a in rows],
        [matrix.caption_ids[c] for c in columns],
        [matrix.clip_of_caption[c] for c in columns],
    )
    for column_scaling in SCALINGS:
        straight = evaluate(audio_to_text_matrix(matrix, column_scaling, calibration_KC))["audio_to_text"]
        other = evaluate(audio_to_text_matrix(shuffled, column_scaling, calibration_KC[:, columns]))["audio_to_text"]
        assert other == pytest.approx(straight)


def test_ids_and_pool_stay():
    matrix = matrix_of(PAPER_004_TABLE_3)
    scaled = audio_to_text_matrix(matrix, "minmax")
    assert (scaled.pool_id, scaled.clip_of_caption) == (matrix.pool_id, matrix.clip_of_caption)


def test_none_is_the_matrix_itself():
    matrix = matrix_of(PAPER_004_TABLE_3)
    assert audio_to_text_matrix(matrix, "none") is matrix


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_narrow_scores_are_scaled_in_float64(dtype):
    loss_AC = np.random.default_rng(0).normal(4, 0.3, size=(30, 90)).astype(dtype)
    narrow, wide = (audio_to_text_matrix(matrix_of(loss_AC, dtype=d), "minmax") for d in (dtype, np.float64))
    np.testing.assert_array_equal(narrow.scores_AC, wide.scores_AC)


# --- hubs


def test_a_hub_is_gone_after_scaling():
    """Ten clips with a caption each, and one caption that is likely with every clip."""
    loss_AC = 5.0 + 0.01 * np.arange(10)[:, None] * np.ones(10) - np.eye(10)
    loss_AC[:, 0] -= 3.0
    matrix = matrix_of(loss_AC)
    assert audio_to_text_hubness(matrix).distinct_at_rank_1 == 1
    assert audio_to_text_hubness(audio_to_text_matrix(matrix, "minmax")).distinct_at_rank_1 == 10


@settings(max_examples=25, deadline=None)
@given(tied_losses)
def test_hubness_counts_the_captions_that_come_first_by_both_losses(loss_AC):
    never_first = np.ones(6)
    for loss, scaled in zip(loss_AC, scale_columns(loss_AC, "minmax"), strict=True):
        first = order_by_pairs(loss, scaled)[0]
        never_first[first] *= 1 - 1 / len(first)
    hubness = audio_to_text_hubness(audio_to_text_matrix(matrix_of(loss_AC), "minmax"))
    assert hubness.distinct_at_rank_1 == pytest.approx(np.sum(1 - never_first))


# --- what is refused


@pytest.mark.parametrize("column_scaling", ["minmax", "minmax-calib", "pmi"])
@pytest.mark.parametrize("bad", [np.inf, -np.inf])
def test_infinite_scores_cannot_be_scaled_and_the_pair_is_named(column_scaling, bad):
    loss_AC = PAPER_004_TABLE_3.copy()
    loss_AC[1, 2] = bad
    with pytest.raises(DivergedError, match=r"1 of 9 scores are infinite, .* \('1', 'caption 2'\)") as error:
        audio_to_text_matrix(matrix_of(loss_AC), column_scaling, PAPER_004_TABLE_3)
    assert error.value.exit_code == 8


def test_infinite_scores_are_ranked_raw():
    assert picks_of(audio_to_text_matrix(matrix_of([[np.inf, 1.0], [2.0, np.inf]]), "none")) == [[1], [0]]


@pytest.mark.parametrize("column_scaling", ["minmax-calib", "pmi"])
def test_missing_calibration_is_said(column_scaling):
    with pytest.raises(UsageError, match=rf"column scaling {column_scaling} .* \(--calib-clips\)"):
        audio_to_text_matrix(matrix_of(PAPER_004_TABLE_3), column_scaling)
