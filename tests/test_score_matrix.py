"""The score matrix refuses what would make a table wrong, and names it."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atrkit import ScoreMatrix
from atrkit.errors import DivergedError, UsageError
from atrkit.score_matrix import BlockedScores, pool_id_of

CLIPS = ["rain", "dog"]
CAPTIONS = ["rain#1", "dog#1", "dog#2"]
OWNERS = ["rain", "dog", "dog"]
SCORES_AC = np.array([[0.9, 0.1, 0.2], [0.3, 0.8, 0.7]])


def test_clip_of_each_caption_is_found_by_id_in_any_order_of_rows():
    matrix = ScoreMatrix(SCORES_AC[::-1], CLIPS[::-1], CAPTIONS, OWNERS)
    assert matrix.clip_index_of_caption_C.tolist() == [1, 0, 0]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_float_types_are_kept_and_not_copied(dtype):
    scores_AC = SCORES_AC.astype(dtype)
    assert ScoreMatrix(scores_AC, CLIPS, CAPTIONS, OWNERS).scores_AC is scores_AC


def test_whole_numbers_and_lists_become_float64():
    assert ScoreMatrix([[1, 0, 0], [0, 1, 1]], CLIPS, CAPTIONS, OWNERS).scores_AC.dtype == np.float64


@pytest.mark.parametrize(
    ("scores", "clips", "captions", "owners", "message"),
    [
        (SCORES_AC.T, CLIPS, CAPTIONS, OWNERS, r"shape \(3, 2\).*rows are clips, columns are captions"),
        (np.zeros((0, 0)), [], [], [], "at least one clip and one caption"),
        (np.zeros((2, 0)), CLIPS, [], [], "at least one clip and one caption"),
        (SCORES_AC, CLIPS, CAPTIONS, OWNERS[:2], "3 captions, but 2 entries"),
        (SCORES_AC, ["rain", "rain"], CAPTIONS, ["rain"] * 3, "clip id 'rain' occurs more than once"),
        (SCORES_AC, CLIPS, ["x", "y", "y"], OWNERS, "caption id 'y' occurs more than once"),
        (SCORES_AC, CLIPS, CAPTIONS, ["rain", "dog", "cat"], "1 captions belong to clips that are no row.*'cat'"),
    ],
)
def test_shapes_and_ids_that_disagree_are_refused(scores, clips, captions, owners, message):
    with pytest.raises(UsageError, match=message):
        ScoreMatrix(scores, clips, captions, owners)


@pytest.mark.parametrize("made", [ScoreMatrix, BlockedScores])
@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("", "a clip id is empty"),
        ("a\nclip\tb", "'a.nclip.tb' has a line break, another control character"),
        ("rain\x07", "control character"),
        ("rain\x85", "control character"),
        ("rain\udcff", "half a character"),
        (7, "clip id 7 is no text but int"),
    ],
)
def test_ids_that_no_file_of_ids_can_hold_are_refused(made, bad, message):
    scores = SCORES_AC if made is ScoreMatrix else lambda start, stop: SCORES_AC[start:stop]
    with pytest.raises(UsageError, match=message) as error:
        made(scores, [bad, "dog"], CAPTIONS, [bad, "dog", "dog"])
    assert "\n" not in str(error.value)
    with pytest.raises(UsageError, match=message.replace("clip id", "caption id")):
        made(scores, CLIPS, [bad, "x", "y"], OWNERS)


def test_ids_in_any_script_are_taken_and_keep_their_pool():
    clips = ["Regen über Köln.wav", "雨 \u2028", "50%", "e\u0301", "\U0001f327"]
    matrix = ScoreMatrix(np.eye(5), clips, [f"{clip}#1" for clip in clips], clips)
    assert matrix.pool_id == "b44b347067d70c97ae8533682581d23df73f89f9d41da2aa7ce9f178813353ef"


def test_scores_that_are_complex_or_masked_are_refused():
    with pytest.raises(UsageError, match="complex numbers, which have no order"):
        ScoreMatrix(SCORES_AC + 1j, CLIPS, CAPTIONS, OWNERS)
    masked = np.ma.masked_array(SCORES_AC, mask=SCORES_AC < 0.15)
    with pytest.raises(UsageError, match="1 scores are masked"):
        ScoreMatrix(masked, CLIPS, CAPTIONS, OWNERS)
    whole = ScoreMatrix(np.ma.masked_array(SCORES_AC, mask=False), CLIPS, CAPTIONS, OWNERS)
    assert whole.scores_AC.tolist() == SCORES_AC.tolist()


def test_nan_is_refused_with_how_many_and_where_the_first_three_are():
    scores_AC = SCORES_AC.copy()
    scores_AC[1, :] = np.nan
    scores_AC[0, 2] = np.nan
    with pytest.raises(DivergedError) as error:
        ScoreMatrix(scores_AC, CLIPS, CAPTIONS, OWNERS)
    assert error.value.exit_code == 8
    assert "4 of 6 scores are NaN" in str(error.value)
    assert "('rain', 'dog#2'), ('dog', 'rain#1'), ('dog', 'dog#1'):" in str(error.value)


@pytest.mark.parametrize("extreme", [[np.inf, -np.inf, 0], [1.7e308, 1.7e308, 1.7e308]])
def test_infinities_and_huge_scores_are_taken_without_a_warning(extreme):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ScoreMatrix([extreme, extreme], CLIPS, CAPTIONS, OWNERS)


def test_nan_is_found_beside_infinities():
    with pytest.raises(DivergedError, match="1 of 6"):
        ScoreMatrix([[np.inf, -np.inf, 0], [np.nan, 0, 0]], CLIPS, CAPTIONS, OWNERS)


@given(st.permutations(CAPTIONS))
def test_pool_id_does_not_depend_on_the_order_of_ids(captions):
    assert pool_id_of(CLIPS[::-1], captions) == pool_id_of(CLIPS, CAPTIONS)


def test_pool_id_tells_pools_apart():
    pools = [(CLIPS, CAPTIONS), (CLIPS[:1], CAPTIONS), (CLIPS, CAPTIONS[:2]), (CAPTIONS, CLIPS)]
    assert len({pool_id_of(*pool) for pool in pools}) == len(pools)
    assert ScoreMatrix(SCORES_AC, CLIPS, CAPTIONS, OWNERS).pool_id == pool_id_of(CLIPS, CAPTIONS)
