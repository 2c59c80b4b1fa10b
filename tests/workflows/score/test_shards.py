"""Shards of one score matrix: made in any order, joined by anyone, to the bytes of one call."""

import shutil

import pytest

from atrkit.errors import IntegrityError, MissingPrerequisiteError, UsageError
from atrkit.files import single_writer
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
    assert bench.parts.folder.exists()


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
    with pytest.raises(IntegrityError, match="precision is fp32 there and bf16 now; say the same to every shard"):
        bench.score(precision="bf16", shard=(2, 2))
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
