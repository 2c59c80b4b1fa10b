"""Calibration clips: drawn from the training clips, always the same ones, and never a clip that is tested."""

import dataclasses

import numpy as np
import pytest

from atrkit.errors import MissingPrerequisiteError, UsageError
from atrkit.store.scores import load_scores
from atrkit.workflows.score_calibration import require_calibration


def drawn(bench, count, split="eval"):
    return bench.score(split, calibration_clips=count).calibration.clip_ids


def test_calibration_losses_are_those_of_training_clips_with_the_tested_captions(bench, losses_of_single_pairs):
    calibration = bench.score(calibration_clips=4).calibration
    assert set(calibration.clip_ids) <= {clip.id for clip in bench.clips_of("dev")}
    assert len(calibration.clip_ids) == 4 and list(calibration.clip_ids) == sorted(calibration.clip_ids)
    expected_KC = losses_of_single_pairs(calibration.clip_ids, bench.captions_of("eval"))
    np.testing.assert_allclose(calibration.loss_KC, expected_KC, atol=1e-5)


def test_a_draw_of_fewer_is_part_of_every_draw_of_more(bench):
    draws = [set(drawn(bench, count)) for count in (2, 5, 8)]
    assert draws[0] < draws[1] < draws[2]


def test_the_draw_does_not_depend_on_which_split_is_scored_beside(bench, make_bench):
    """Nor on the order of embeddings in the store."""
    other = make_bench()
    other.write(other.make_clips(), order=-1)
    assert drawn(bench, 4) == drawn(other, 4)
    assert bench.path.read_bytes() == other.path.read_bytes()


def test_all_are_taken_where_there_are_fewer_and_that_is_said(bench):
    assert len(drawn(bench, 50)) == 9
    assert "calibration: all 9 clips of toy/dev; 50 were asked for" in bench.said
    assert not bench.score(calibration_clips=9).pairs_made, "it is the same calibration"


def test_a_recording_that_is_tested_is_left_out_under_whatever_name(bench):
    clips = {clip.id: clip for clip in bench.make_clips()}
    for training, tested in (("dev-2.wav", "eval-0.wav"), ("dev-7.wav", "eval-3.wav")):
        clips[training] = dataclasses.replace(clips[training], sha256=clips[tested].sha256)
    bench.write(clips.values())
    assert not {"dev-2.wav", "dev-7.wav"} & set(drawn(bench, 50))
    assert "2 clips of toy/dev are tested, too: left out of the calibration" in bench.said


def test_scoring_the_training_clips_leaves_none_to_calibrate_with(bench):
    with pytest.raises(MissingPrerequisiteError, match="no clip of toy/dev is left to calibrate with: score another"):
        bench.score("dev", calibration_clips=3)


def test_a_calibration_is_added_to_scores_that_are_there(bench, make_bench, saved_parts):
    bench.score()
    raw = load_scores(bench.path).scores_AC
    saved_parts.clear()
    scores = bench.score(calibration_clips=4)
    assert f"scores: {bench.path} (made before); it has no calibration: making that" in bench.said
    assert scores.pairs_made == 4 * 14 and saved_parts == [0, 1]
    np.testing.assert_array_equal(scores.matrix.scores_AC, raw)
    at_once = make_bench()
    at_once.score(calibration_clips=4)
    assert bench.path.read_bytes() == at_once.path.read_bytes()


def test_a_calibration_that_is_there_stays_where_none_is_asked_for(bench):
    bench.score(calibration_clips=4)
    content = bench.path.read_bytes()
    scores = bench.score()
    assert scores.was_there and len(scores.calibration.clip_ids) == 4
    assert bench.path.read_bytes() == content


def test_more_are_added_to_those_that_are_there(bench, make_bench, saved_parts):
    bench.score(calibration_clips=4)
    saved_parts.clear()
    scores = bench.score(calibration_clips=8)
    assert scores.pairs_made == 4 * 14 and saved_parts == [0, 1]
    assert "(made before); 4 of 8 calibration clips are there: making that" in bench.heard
    assert len(scores.calibration.clip_ids) == 8
    at_once = make_bench()
    at_once.score(calibration_clips=8)
    assert bench.path.read_bytes() == at_once.path.read_bytes()


def test_shards_add_to_those_that_are_there(bench, make_bench):
    bench.score(calibration_clips=2)
    for shard in ((1, 2), (2, 2)):
        bench.score(calibration_clips=8, shard=shard)
    assert len(bench.merge().calibration.clip_ids) == 8
    at_once = make_bench()
    at_once.score(calibration_clips=8)
    assert bench.path.read_bytes() == at_once.path.read_bytes()


@pytest.mark.parametrize("kind", ["captioner", "ridge"])
def test_fewer_are_a_part_of_those_that_are_there_and_all_stay(make_bench, kind):
    bench, fresh = make_bench(kind), make_bench(kind)
    bench.score(calibration_clips=6)
    content = bench.path.read_bytes()
    calibration = bench.score(calibration_clips=3).calibration
    assert "calibration: 3 of the 6 clips that are stored" in bench.said
    assert bench.path.read_bytes() == content
    expected = fresh.score(calibration_clips=3).calibration
    assert calibration.clip_ids == expected.clip_ids
    np.testing.assert_allclose(calibration.loss_KC, expected.loss_KC, atol=1e-6)


@pytest.mark.parametrize("kind", ["captioner", "ridge"])
def test_where_nobody_asks_for_a_number_the_stored_ones_are_taken(make_bench, kind):
    """The recipe says four."""
    bench = make_bench(kind)
    bench.score(calibration_clips=6)
    content = bench.path.read_bytes()
    assert len(bench.score_for(["none", "pmi"]).calibration.clip_ids) == 6
    assert "calibration: the 6 clips that are stored" in bench.said
    bench.score_for(["minmax"])
    assert bench.path.read_bytes() == content


def test_stored_ones_that_are_too_few_for_a_scaling_are_added_to(bench):
    bench.score(calibration_clips=1)
    assert len(bench.score_for(["pmi"]).calibration.clip_ids) == 1
    scores = bench.score_for(["minmax-calib"])
    assert len(scores.calibration.clip_ids) == 4 and scores.pairs_made == 3 * 14


def test_stored_ones_of_other_audio_are_not_taken(bench):
    bench.score(calibration_clips=9)
    bench.write(
        [dataclasses.replace(clip, sha256="e" * 64) if clip.id == "dev-3.wav" else clip for clip in bench.make_clips()]
    )
    assert len(bench.score_for(["pmi"]).calibration.clip_ids) == 4
    assert "it was calibrated with other clips: making that" in bench.heard


def test_too_few_for_a_scaling_are_refused_before_anything_is_made(bench, saved_parts):
    bench.score(calibration_clips=6)
    content = bench.path.read_bytes()
    saved_parts.clear()
    with pytest.raises(UsageError, match="--calib-clips 1 is too few: column scaling minmax-calib compares with 2"):
        bench.score_for(["pmi", "minmax-calib"], 1)
    assert not saved_parts and bench.path.read_bytes() == content
    require_calibration(["minmax-calib"], 2)
    require_calibration(["none", "minmax", "pmi"], 1)
    require_calibration(["minmax-calib"], None)


def test_whoever_waits_is_told_what_is_scored(bench):
    bench.score(calibration_clips=2)
    assert bench.progress[-1].what == "scores of toy/eval and calibration clips of toy/dev"
    bench.score(calibration_clips=4)
    assert bench.progress[-1].what == "scores of calibration clips of toy/dev"


def test_a_calibration_with_other_audio_is_made_again(bench):
    bench.score(calibration_clips=9)
    changed = [
        dataclasses.replace(clip, sha256="e" * 64) if clip.id == "dev-3.wav" else clip for clip in bench.make_clips()
    ]
    bench.write(changed)
    assert bench.score(calibration_clips=9).pairs_made == 9 * 14
    assert "(made before); it was calibrated with other clips: making that" in bench.heard


def test_an_interrupted_calibration_goes_on(bench, make_bench, stop_after, saved_parts):
    bench.score()
    with stop_after(1):
        bench.score(calibration_clips=7)
    saved_parts.clear()
    bench.score(calibration_clips=7)
    assert saved_parts == [1, 2]
    at_once = make_bench()
    at_once.score(calibration_clips=7)
    assert bench.path.read_bytes() == at_once.path.read_bytes()


@pytest.mark.parametrize(
    ("scalings", "asked", "count"),
    [
        (["none"], None, None),
        (["minmax"], None, None),
        (["none", "minmax-calib"], None, 4),
        (["pmi"], None, 4),
        (["pmi"], 7, 7),
        (["none"], 7, 7),
    ],
)
def test_how_many_clips_a_scaling_needs_is_the_recipes_unless_said(bench, scalings, asked, count):
    calibration = bench.score_for(scalings, asked).calibration
    assert (calibration and len(calibration.clip_ids)) == count
