"""Joining parts: the bytes of a file saved at once, whatever the parts; and never anything that is not of the plan."""

import dataclasses

import numpy as np
import pytest

from atrkit.errors import IntegrityError, MissingPrerequisiteError
from atrkit.store.embeddings import load_embeddings, save_embeddings
from atrkit.store.parts import PartFolder


@pytest.mark.parametrize("tags", [True, False])
@pytest.mark.parametrize("part_clips", [1, 3, 4, 100])
@pytest.mark.parametrize("frame_dtype", ["float16", "float32"])
def test_merged_parts_have_the_bytes_of_a_file_saved_at_once(tmp_path, toy, assert_same, tags, part_clips, frame_dtype):
    plan = toy.plan(11, part_clips=part_clips)
    folder = toy.folder(tmp_path / "parts" / "toy.h5", plan, tags=tags, frame_dtype=frame_dtype)
    merged = folder.merge(plan)
    whole = toy.clips(range(11), tags=tags, frame_dtype=frame_dtype)
    save_embeddings(tmp_path / "whole.h5", whole)
    assert folder.final_path.read_bytes() == (tmp_path / "whole.h5").read_bytes()
    assert_same(merged, whole)
    assert not folder.folder.exists()


def test_a_part_may_lack_clips_that_it_gives_a_reason_for(tmp_path, toy):
    plan = toy.plan(5)
    folder = toy.folder(tmp_path / "toy.h5", plan, without=(1,))
    skipped = {"item": plan.clip_ids[2], "action": "skipped", "reason": "empty", "sha256": "sha-2"}
    padded = {"item": plan.clip_ids[3], "action": "padded", "reason": "short", "sha256": "sha-3"}
    folder.save(1, plan, toy.clips([3], problems=[skipped, padded], provenance=plan.provenance))
    merged = folder.merge(plan)
    assert merged.clip_ids == tuple(plan.clip_ids[n] for n in (0, 1, 3, 4))
    assert merged.problems == (skipped, padded)


def test_the_largest_loss_is_that_of_the_worst_part(tmp_path, toy):
    plan = toy.plan(8)
    losses = [toy.part(plan, part).largest_cosine_loss for part in range(4)]
    assert len(set(losses)) > 1
    assert toy.folder(tmp_path / "toy.h5", plan).merge(plan).largest_cosine_loss == max(losses)


def test_missing_parts_are_named_with_the_command(tmp_path, toy):
    plan = toy.plan(20)
    folder = toy.folder(tmp_path / "toy.h5", plan, without=range(1, 8))
    words = r"7 of 10 parts are missing in .*toy\.parts \(1, 2, 3, 4, 5, \.\.\.\); run: atrkit extract --encoder toy$"
    with pytest.raises(MissingPrerequisiteError, match=words):
        folder.merge(plan)
    assert not folder.final_path.exists() and len(folder.finished(plan)) == 3


def test_missing_parts_of_shards_are_named_with_the_shards(tmp_path, toy):
    plan = toy.plan(20)
    folder = toy.folder(tmp_path / "toy.h5", plan, without=(2, 6))
    folder.start(plan, shards=4)
    words = r"2 of 10 parts .* \(2, 6, of the shards 3/4\); run: atrkit extract --encoder toy --shard 3/4 and so on"
    with pytest.raises(MissingPrerequisiteError, match=words):
        folder.require_finished(plan)
    assert folder.unfinished_shards(plan) == ("3/4",)


@pytest.mark.parametrize(
    "intruder",
    [
        lambda toy, plan: toy.part(toy.plan(6, hop=160), 1),
        lambda toy, plan: toy.clips([2], provenance=plan.provenance),
        lambda toy, plan: toy.clips([3, 2], provenance=plan.provenance),
        lambda toy, plan: toy.clips([2, 3, 4], provenance=plan.provenance),
        lambda toy, plan: toy.part(plan, 1, tags=False),
        lambda toy, plan: toy.part(plan, 1, frame_dtype="float32"),
    ],
    ids=["settings", "a clip less", "another order", "a clip more", "without tags", "dtype"],
)
def test_a_part_of_another_plan_is_never_joined(tmp_path, toy, intruder):
    plan = toy.plan(6)
    folder = toy.folder(tmp_path / "toy.h5", plan)
    folder.save(1, plan, intruder(toy, plan))
    with pytest.raises(IntegrityError, match=r"part-00001-of-00003\.h5 is a part of another plan: delete it and run"):
        folder.merge(plan)
    assert not folder.final_path.exists() and len(folder.finished(plan)) == 3


def test_audio_that_changed_between_parts_is_never_joined(tmp_path, toy):
    plan = toy.plan(6)
    folder = toy.folder(tmp_path / "toy.h5", plan)
    part = load_embeddings(folder.part_path(1, 3))
    folder.save(1, plan, dataclasses.replace(part, audio_sha256=("sha-2", "another")))
    with pytest.raises(IntegrityError, match="another plan"):
        folder.merge(plan)


def test_a_part_damaged_after_it_was_outlined_is_noticed(tmp_path, toy, monkeypatch):
    """Each array is read behind a check of its own: what a first look found whole is not trusted later."""
    from atrkit.store import merge

    plan = toy.plan(6)
    folder = toy.folder(tmp_path / "toy.h5", plan)
    path, outlined = folder.part_path(2, 3), merge.check_parts

    def damage_afterwards(parts, provenance):
        outlines = outlined(parts, provenance)
        content = bytearray(path.read_bytes())
        content[-200] ^= 1
        path.write_bytes(content)
        return outlines

    monkeypatch.setattr(merge, "check_parts", damage_afterwards)
    with pytest.raises(IntegrityError, match=r"part-00002-of-00003\.h5 is damaged: delete it and run the same command"):
        folder.merge(plan)
    assert sorted(file.name for file in tmp_path.iterdir() if not file.name.startswith(".")) == ["toy.parts"]


def test_the_merged_file_replaces_an_old_one_at_once(tmp_path, toy):
    save_embeddings(tmp_path / "toy.h5", toy.clips(range(3)))
    old = load_embeddings(tmp_path / "toy.h5", mapped=True)
    before = np.array(old.frames_NF)
    plan = toy.plan(7)
    toy.folder(tmp_path / "toy.h5", plan).merge(plan)
    assert len(load_embeddings(tmp_path / "toy.h5").clip_ids) == 7
    np.testing.assert_array_equal(old.frames_NF, before)  # who had the old one mapped keeps it
    assert PartFolder(tmp_path / "toy.h5").finished(plan) == frozenset()
