"""Parts: what was finished stays, what is missing is made, and other input is refused in words."""

import numpy as np
import pytest

from atrkit.errors import IntegrityError
from atrkit.store.embeddings import gather_embeddings, load_embeddings
from atrkit.store.parts import PartFolder, PartPlan, describe_difference


def plan_of(clip_ids, *, hop=320, part_clips=2) -> PartPlan:
    return PartPlan({"encoder": "toy", "settings": {"hop": hop}}, tuple(clip_ids), tuple(clip_ids), part_clips)


def part_of(plan: PartPlan, part: int):
    ids = [plan.clip_ids[index] for index in plan.parts[part]]
    frames = [np.full((index + 1, 1), index, np.float32) for index in plan.parts[part]]
    clip_embs = [np.full(1, index, np.float32) for index in plan.parts[part]]
    return gather_embeddings(
        ids, ids, frames, clip_embs, None,
        labels=[], frame_dim=1, clip_dim=1, frame_dtype="float32", provenance=plan.provenance,
    )  # fmt: skip


def test_every_clip_is_in_exactly_one_part():
    plan = plan_of("abcde")
    assert [list(part) for part in plan.parts] == [[0, 1], [2, 3], [4]]


def test_an_interrupted_plan_is_finished_with_identical_bytes(tmp_path):
    plan = plan_of("abcde")
    straight = PartFolder(tmp_path / "straight" / "toy.h5")
    straight.start(plan)
    for part in range(3):
        straight.save(part, plan, part_of(plan, part))
    straight.merge(plan)

    interrupted = PartFolder(tmp_path / "interrupted" / "toy.h5")
    interrupted.start(plan)
    interrupted.save(1, plan, part_of(plan, 1))
    again = PartFolder(tmp_path / "interrupted" / "toy.h5")
    again.start(plan)
    assert again.finished(plan) == {1}
    for part in (0, 2):
        again.save(part, plan, part_of(plan, part))
    again.merge(plan)

    assert straight.final_path.read_bytes() == again.final_path.read_bytes()
    assert load_embeddings(again.final_path).clip_ids == tuple("abcde")
    assert not again.folder.exists()


def test_parts_of_other_settings_are_refused_naming_the_setting(tmp_path):
    PartFolder(tmp_path / "toy.h5").start(plan_of("ab"))
    with pytest.raises(IntegrityError, match=r"settings\.hop is 320 there and 160 now.*--overwrite"):
        PartFolder(tmp_path / "toy.h5").start(plan_of("ab", hop=160))


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
