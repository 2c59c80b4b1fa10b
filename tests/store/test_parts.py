"""Parts: what was finished stays, what is missing is made, and other input is refused in words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atrkit.errors import IntegrityError, MissingPrerequisiteError, ResourceError, UsageError
from atrkit.store.embeddings import load_embeddings
from atrkit.store.parts import PartFolder, PartPlan, describe_difference


def test_every_clip_is_in_exactly_one_part(toy):
    assert [list(part) for part in toy.plan(5).parts] == [[0, 1], [2, 3], [4]]


@given(st.integers(0, 40), st.integers(1, 7), st.integers(1, 12))
def test_every_part_is_in_exactly_one_shard_and_shards_are_of_like_size(clips, part_clips, count):
    plan = PartPlan({}, tuple(map(str, range(clips))), ("",) * clips, part_clips)
    shards = [plan.shard(index, count) for index in range(1, count + 1)]
    assert sorted(part for shard in shards for part in shard) == list(range(len(plan.parts)))
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


@pytest.mark.parametrize(("index", "count"), [(0, 2), (3, 2), (-1, 2), (1, 0)])
def test_a_shard_that_does_not_exist_is_refused(toy, index, count):
    with pytest.raises(UsageError, match=f"there is no shard {index}/{count}"):
        toy.plan(5).shard(index, count)


def test_an_interrupted_plan_is_finished_with_identical_bytes(tmp_path, toy):
    plan = toy.plan(5)
    straight = toy.folder(tmp_path / "straight" / "toy.h5", plan)
    straight.merge(plan)

    toy.folder(tmp_path / "interrupted" / "toy.h5", plan, without=(0, 2))
    again = PartFolder(tmp_path / "interrupted" / "toy.h5")
    again.start(plan)
    assert again.finished(plan) == {1} and again.missing(plan) == (0, 2)
    for part in (0, 2):
        again.save(part, plan, toy.part(plan, part))
    again.merge(plan)

    assert straight.final_path.read_bytes() == again.final_path.read_bytes()
    assert load_embeddings(again.final_path).clip_ids == plan.clip_ids
    assert not again.folder.exists()


def test_shards_made_apart_come_to_the_bytes_of_one_run(tmp_path, toy):
    plan = toy.plan(9)
    for index in (3, 1, 2):
        folder = PartFolder(tmp_path / "toy.h5")
        folder.start(plan, shards=3)
        for part in plan.shard(index, 3):
            folder.save(part, plan, toy.part(plan, part))
    folder.merge(plan)
    straight = toy.folder(tmp_path / "straight" / "toy.h5", plan)
    straight.merge(plan)
    assert folder.final_path.read_bytes() == straight.final_path.read_bytes()


def test_the_number_of_shards_may_change_on_the_way(tmp_path, toy):
    plan = toy.plan(8)
    folder = toy.folder(tmp_path / "toy.h5", plan, without=(1, 2))
    assert folder.shards() is None and folder.unfinished_shards(plan) == ()
    folder.start(plan, shards=2)
    assert folder.unfinished_shards(plan) == ("1/2", "2/2")
    folder.start(plan, shards=3)
    assert folder.unfinished_shards(plan) == ("2/3", "3/3")
    assert folder.finished(plan) == {0, 3}


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"shards": 0}', b'{"shards": "2"}', b'{"shards": true}'])
def test_a_damaged_note_of_the_shards_costs_only_clarity(tmp_path, toy, content):
    plan = toy.plan(4)
    folder = toy.folder(tmp_path / "toy.h5", plan, without=(1,))
    (folder.folder / "shards.json").write_bytes(content)
    assert folder.shards() is None
    with pytest.raises(MissingPrerequisiteError, match="1 of 2 parts are missing"):
        folder.merge(plan)


def test_the_plan_under_way_can_be_read_back(tmp_path, toy):
    folder, plan = PartFolder(tmp_path / "toy.h5"), toy.plan(5)
    with pytest.raises(MissingPrerequisiteError, match=r"no unfinished embeddings in .*toy\.parts"):
        folder.plan()
    folder.start(plan)
    assert folder.plan() == plan


def test_parts_of_other_settings_are_refused_naming_the_setting(tmp_path, toy):
    PartFolder(tmp_path / "toy.h5").start(toy.plan(2))
    with pytest.raises(IntegrityError, match=r"settings\.hop is 320 there and 160 now.*--overwrite"):
        PartFolder(tmp_path / "toy.h5").start(toy.plan(2, hop=160))


def test_parts_without_a_plan_are_nobodys(tmp_path, toy):
    """What a kill in the middle of `clear` leaves."""
    folder = toy.folder(tmp_path / "toy.h5", toy.plan(4))
    (folder.folder / "plan.json").unlink()
    folder.start(toy.plan(4))
    assert folder.finished(toy.plan(4)) == frozenset()


def test_what_cannot_be_removed_is_said(tmp_path, toy, monkeypatch):
    folder = toy.folder(tmp_path / "toy.h5", toy.plan(4))

    def fail(path, *arguments, **options):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr("os.rmdir", fail)
    with pytest.raises(ResourceError, match=r"toy\.parts: this place cannot be written"):
        folder.clear()


@pytest.mark.parametrize(
    ("there", "asked", "words"),
    [
        ({"a": "1"}, {"a": "1"}, None),
        ({"a": "1", "b": "1"}, {"a": "1"}, "1 clips ('b' ...) are gone from the dataset"),
        ({"a": "1"}, {"a": "1", "b": "1"}, "1 clips ('b' ...) are new in the dataset"),
        ({"a": "1"}, {"b": "1"}, "1 clips ('a' ...) are gone from and 1 clips ('b' ...) are new in the dataset"),
        ({"a": "1"}, {"a": "2"}, "the audio of 1 clips changed, the first 'a'"),
    ],
)
def test_a_changed_dataset_is_described(there, asked, words):
    assert describe_difference({"provenance": {}, "clips": there}, {"provenance": {}, "clips": asked}) == words
