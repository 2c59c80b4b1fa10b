"""Shards of one score matrix: made in any order, joined by anyone, to the bytes of one call."""

import shutil

import pytest

from atrkit.errors import IntegrityError, MissingPrerequisiteError, UsageError
from atrkit.files import single_writer
from atrkit.store.score_parts import ScoreParts
from atrkit.workflows import score_rows


@pytest.fixture
def straight(make_bench):
    """Made by one call: four parts."""
    bench = make_bench()
    bench.score(calibration_clips=4)
    return bench.path.read_bytes()


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 1, 2), (2, 3, 1)])
def test_shards_in_any_order_come_to_the_bytes_of_one_call(bench, straight, saved_parts, order):
    for index in order:
        assert bench.score(calibration_clips=4, shard=(index, 3)) is None
        assert not bench.path.exists()
    assert sorted(saved_parts[-4:]) == [0, 1, 2, 3]
    scores = bench.merge()
    assert bench.path.read_bytes() == straight
    assert not scores.was_there and not bench.parts.folder.exists()


def test_a_call_without_shard_makes_what_is_missing_and_joins(bench, straight, saved_parts):
    bench.score(calibration_clips=4, shard=(2, 2))
    saved_parts.clear()
    scores = bench.score(calibration_clips=4)
    assert saved_parts == [0, 2] and scores.pairs_made == 5 * 14 + 14
    assert bench.path.read_bytes() == straight


def test_the_number_of_shards_may_change_on_the_way(bench, straight, saved_parts):
    saved_parts.clear()
    for shard in ((1, 2), (1, 3), (2, 3), (3, 3)):
        bench.score(calibration_clips=4, shard=shard)
    assert sorted(saved_parts) == [0, 1, 2, 3], "none twice"
    bench.merge()
    assert bench.path.read_bytes() == straight


def test_joining_before_all_is_made_says_which_shard_is_missing(bench):
    bench.score(calibration_clips=4, precision="bf16", shard=(1, 2))
    with pytest.raises(MissingPrerequisiteError) as refusal:
        bench.merge()
    command = "atrkit score --run first/seed-1 --dataset toy --split eval --precision bf16 --calib-clips 4 --shard 2/2"
    assert refusal.match(r"2 of 4 parts are missing in .* \(1, 3, of the shards 2/2\); run: " + command)
    assert (bench.folder / "scores.bf16.parts").exists()


def test_joining_what_was_never_begun_says_the_command(bench):
    with pytest.raises(MissingPrerequisiteError, match=r"no unfinished scores in .*; run: atrkit score --run first"):
        bench.merge()


def test_joining_twice_and_shards_after_that_change_nothing(bench, straight, saved_parts):
    for index in (1, 2):
        bench.score(calibration_clips=4, shard=(index, 2))
    bench.merge()
    saved_parts.clear()
    assert bench.merge().was_there
    assert bench.score(calibration_clips=4, shard=(1, 2)) is None
    assert f"scores: {bench.path} (made before)" in bench.said
    assert not saved_parts and bench.path.read_bytes() == straight


def test_shards_of_other_input_are_refused(bench):
    bench.score(shard=(1, 2))
    with pytest.raises(IntegrityError, match=r"no calibration clips there, 4 now; .*say the same to every shard"):
        bench.score(calibration_clips=4, shard=(2, 2))
    bench.score(shard=(2, 2))
    bench.make_captioner(seed=1).save_pretrained(bench.folder)
    with pytest.raises(IntegrityError, match=r"begun with other input: model_sha256 is .*; start afresh: atrkit score"):
        bench.merge()


def test_shards_made_on_a_gpu_are_joined_on_any_machine(bench, monkeypatch):
    monkeypatch.setattr(score_rows, "scoring_device", lambda: "cuda")
    with monkeypatch.context() as patch:
        patch.setitem(score_rows.PAIRS_PER_PART, "cuda", 14)  # one clip in a part
        bench.score(shard=(1, 1))
        monkeypatch.setattr(score_rows, "scoring_device", lambda: "cpu")
        with pytest.raises(IntegrityError, match=r"part_clips is 1 there and 3 now; start afresh"):
            bench.score()
        bench.merge()
    assert bench.score().was_there


def test_a_shard_never_overwrites(bench):
    with pytest.raises(UsageError, match=r"--overwrite would delete what other shards make: delete .*scores.parts by"):
        bench.score(shard=(1, 2), overwrite=True)


@pytest.mark.parametrize("shard", [(0, 2), (3, 2)])
def test_there_is_no_such_shard(bench, shard):
    with pytest.raises(UsageError, match="there is no shard"):
        bench.score(shard=shard)


def test_two_shards_may_be_at_work_and_nobody_else(bench):
    with single_writer(bench.path, shard=(2, 2)):
        bench.score(shard=(1, 2))
        for refused in (bench.score, lambda: bench.score(shard=(2, 2))):
            with pytest.raises(MissingPrerequisiteError, match="is being written by process"):
                refused()
    bench.score()


def test_a_foreign_part_is_not_taken(bench, make_bench):
    """Of the same clips by another model, copied by hand."""
    other = make_bench()
    other.make_captioner(seed=1).save_pretrained(other.folder)
    for each in (bench, other):
        each.score(shard=(1, 1))
    shutil.copy(other.parts.part_path(1, 3), bench.parts.part_path(1, 3))
    with pytest.raises(IntegrityError, match=r"part-00001-of-00003.h5 is a part of another plan: delete it and run"):
        bench.merge()


# --- parts of another scoring than the one that is asked for

COMMAND = "atrkit score --run first/seed-1 --dataset toy --split eval"


@pytest.fixture
def calibrating(bench):
    """Scores without calibration are there, and all parts of one are made."""
    bench.score()
    for index in (1, 2):
        bench.score(calibration_clips=4, shard=(index, 2))
    return bench


@pytest.mark.parametrize("use", [lambda bench: bench.score(), lambda bench: bench.score_for(["none"])])
def test_scores_that_fit_are_used_and_finished_parts_of_more_stay(calibrating, straight, use):
    assert use(calibrating).was_there
    said = f"parts of another scoring lie in {calibrating.parts.folder} (2 of 2 are made); join them: {COMMAND} --merge"
    assert f"{said}; or delete the folder" in calibrating.said
    assert len(calibrating.merge().calibration.clip_ids) == 4
    assert calibrating.path.read_bytes() == straight


def test_unfinished_parts_of_more_stay_with_the_command_that_finishes_them(bench, straight, saved_parts):
    bench.score()
    bench.score(calibration_clips=4, shard=(1, 2))
    bench.score()
    assert f"(1 of 2 are made); finish and join them: {COMMAND} --calib-clips 4; or delete the folder" in bench.heard
    saved_parts.clear()
    bench.score(calibration_clips=4)
    assert saved_parts == [1]
    assert bench.path.read_bytes() == straight


def test_parts_of_an_older_model_stay_with_the_word_to_delete_them(bench):
    bench.score(shard=(1, 2))
    bench.parts.folder.rename(bench.folder / "aside")
    bench.make_captioner(seed=1).save_pretrained(bench.folder)
    bench.score()
    (bench.folder / "aside").rename(bench.parts.folder)
    assert bench.score().was_there
    assert "(2 of 3 are made); they are of other input (model_sha256 is " in bench.heard
    (bench.parts.folder / "plan.json").write_text("{")
    assert bench.score().was_there
    assert "and their plan is damaged: delete the folder" in bench.heard
    assert bench.parts.folder.exists()


@pytest.mark.parametrize("finish", ["score", "merge"])
def test_a_kill_between_joining_and_tidying_up_is_no_other_scoring(bench, monkeypatch, finish):
    for index in (1, 2):
        bench.score(calibration_clips=4, shard=(index, 2))
    with monkeypatch.context() as patch:
        patch.setattr(ScoreParts, "clear", lambda self: None)
        bench.merge()
    content = bench.path.read_bytes()
    assert bench.parts.is_under_way
    assert getattr(bench, finish)().was_there
    assert not bench.parts.folder.exists() and "another scoring" not in bench.heard
    assert bench.path.read_bytes() == content


def test_with_overwrite_interrupted_the_same_parts_are_finished_without_it(bench, straight, stop_after, saved_parts):
    bench.score()
    with stop_after(3):
        bench.score(calibration_clips=4, overwrite=True)
    saved_parts.clear()
    bench.score(calibration_clips=4)
    assert saved_parts == [3]
    assert bench.path.read_bytes() == straight


def test_joining_never_reports_another_calibration_or_precision_than_was_asked_for(bench):
    bench.score()
    assert bench.merge().was_there and "(joined before, in fp32, no calibration clips)" in bench.heard
    with pytest.raises(MissingPrerequisiteError, match=rf"it has no calibration; run: {COMMAND} --calib-clips 4$"):
        bench.merge(calibration_clips=4)
    with pytest.raises(
        MissingPrerequisiteError, match=rf"no unfinished scores in .*; run: {COMMAND} --precision bf16$"
    ):
        bench.merge(precision="bf16")
    bench.score(calibration_clips=4, shard=(1, 1))
    with pytest.raises(MissingPrerequisiteError, match=r"have 4 calibration clips, and 6 were asked for: leave"):
        bench.merge(calibration_clips=6)
    assert len(bench.merge(calibration_clips=4).calibration.clip_ids) == 4
    assert bench.merge(calibration_clips=3).was_there and "(joined before, in fp32, 4 calib" in bench.heard


def test_joining_takes_the_precision_that_is_there_or_asks_which(bench):
    bench.score(shard=(1, 1), precision="bf16")
    assert bench.merge().path.name == "scores.bf16.h5"
    assert bench.merge().was_there
    for precision in ("fp32", "fp16"):
        bench.score(shard=(1, 1), precision=precision)
    with pytest.raises(UsageError, match="parts in fp32 and fp16 are there: say with --precision which ones to join"):
        bench.merge()
    assert bench.merge(precision="fp16").path.name == "scores.fp16.h5"
    assert bench.merge().path.name == "scores.h5"


def test_scores_of_an_older_model_are_not_said_to_be_joined(bench):
    bench.score()
    bench.make_captioner(seed=1).save_pretrained(bench.folder)
    with pytest.raises(MissingPrerequisiteError, match=r"no unfinished scores in .*; run: atrkit score"):
        bench.merge()
    assert "model_sha256 is " in bench.heard and "it has to be made anew" in bench.heard


@pytest.mark.parametrize(
    ("begun", "wanted", "difference", "way_out"),
    [
        (None, 4, "no calibration clips there, 4 now", f"{COMMAND} (calibration can be added afterwards)"),
        (4, 6, "4 calibration clips there, 6 now", f"{COMMAND} --calib-clips 4 (calibration can be added afterwards)"),
        (4, None, "4 calibration clips there, none now", f"{COMMAND} --calib-clips 4"),
    ],
)
def test_another_wish_while_parts_are_under_way_is_told_to_finish_first(
    bench, stop_after, begun, wanted, difference, way_out
):
    with stop_after(2):
        bench.score(calibration_clips=begun)
    with pytest.raises(IntegrityError) as refusal:
        bench.score(calibration_clips=wanted)
    asked = COMMAND + (f" --calib-clips {wanted}" if wanted else "")
    assert str(refusal.value).endswith(
        f"begun with other input: {difference}; finish what was begun: {way_out}; or start afresh: {asked} --overwrite"
    )
    bench.score(calibration_clips=begun)
    bench.score(calibration_clips=wanted)
