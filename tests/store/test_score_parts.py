"""Parts of a score matrix: made in any order and any number of calls, they come to the same rows."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atrkit.errors import IntegrityError, MissingPrerequisiteError, ResourceError
from atrkit.store.facts import ArrayFacts, inspect_store
from atrkit.store.part_plan import PartPlan
from atrkit.store.score_parts import ScoreParts

COMMAND = "atrkit score --run first/seed-1 --dataset own --split eval"


def make_plan(clips=5, *, part_clips=2, captions=3, **provenance):
    ids = tuple(f"clip {number} ü.wav" for number in range(clips))
    made_with = {"model_sha256": "5e", "precision": "fp32", "captions": captions, **provenance}
    return PartPlan(made_with, ids, tuple(f"sha-{number}" for number in range(clips)), part_clips)


def losses_of(plan, part):
    """Row n is n, n + 0.1, n + 0.2, ..."""
    rows = np.array(plan.parts[part], dtype=np.float32)
    return rows[:, None] + np.arange(plan.provenance["captions"], dtype=np.float32) / 10


def expected_of(plan):
    return np.array([[n + c / 10 for c in range(plan.provenance["captions"])] for n in range(len(plan.clip_ids))])


@pytest.fixture
def make_parts(tmp_path):
    def make(plan, order=None):
        parts = ScoreParts(tmp_path / "scores.h5", COMMAND)
        parts.start(plan)
        for part in range(len(plan.parts)) if order is None else order:
            parts.save(part, plan, losses_of(plan, part))
        return parts

    return make


@settings(max_examples=25, deadline=None)
@given(clips=st.integers(1, 9), part_clips=st.integers(1, 4), captions=st.integers(1, 4), seed=st.integers(0, 99))
def test_parts_made_in_any_order_come_to_all_rows(tmp_path_factory, clips, part_clips, captions, seed):
    plan = make_plan(clips, part_clips=part_clips, captions=captions)
    parts = ScoreParts(tmp_path_factory.mktemp("parts") / "scores.h5", COMMAND)
    order = list(range(len(plan.parts)))
    random.Random(seed).shuffle(order)
    parts.start(plan)
    for part in order:
        parts.save(part, plan, losses_of(plan, part))
    loss_NC = parts.gather(plan)
    assert loss_NC.dtype == np.float32
    np.testing.assert_allclose(loss_NC, expected_of(plan), rtol=1e-6)


def test_a_part_has_the_same_bytes_whenever_it_is_made(make_parts):
    plan = make_plan()
    parts = make_parts(plan)
    before = [parts.part_path(part, 3).read_bytes() for part in range(3)]
    parts.clear()
    parts = make_parts(plan, order=(2, 0, 1))
    assert [parts.part_path(part, 3).read_bytes() for part in range(3)] == before


def test_missing_parts_are_said_with_the_whole_command(make_parts):
    plan = make_plan()
    parts = make_parts(plan, order=(1,))
    with pytest.raises(MissingPrerequisiteError, match=rf"2 of 3 parts are missing .*\(0, 2\); run: {COMMAND}$"):
        parts.gather(plan)
    parts.start(plan, shards=2)
    with pytest.raises(MissingPrerequisiteError, match=rf"of the shards 1/2\); run: {COMMAND} --shard 1/2 and so on"):
        parts.gather(plan)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (make_plan(model_sha256="77"), "model_sha256 is 5e there and 77 now"),
        (make_plan(precision="fp16"), "precision is fp32 there and fp16 now"),
        (make_plan(4), r"1 clips \('clip 4 ü.wav' ...\) are gone from the dataset"),
        (make_plan(part_clips=3), "part_clips is 2 there and 3 now"),
        (PartPlan(make_plan().provenance, make_plan().clip_ids, ("other",) * 5, 2), "the audio of 5 clips changed"),
        (
            PartPlan(make_plan().provenance, make_plan().clip_ids[::-1], make_plan().audio_sha256[::-1], 2),
            "the clips are in another order",
        ),
    ],
)
def test_another_plan_under_way_is_refused_in_words(make_parts, other, words):
    parts = make_parts(make_plan(), order=(0,))
    with pytest.raises(IntegrityError) as refusal:
        parts.start(other)
    assert refusal.match(f"unfinished scores in .* were begun with other input: {words}.*; ")
    assert refusal.match(f"; start afresh: {COMMAND} --overwrite$")
    assert parts.finished(make_plan()) == {0}, "nothing was removed"


def test_a_part_of_another_plan_is_never_taken(make_parts):
    """Copied there by hand: of the same shape, and whole."""
    parts = make_parts(make_plan(model_sha256="77"))
    foreign = parts.part_path(1, 3).read_bytes()
    parts.clear()
    parts = make_parts(make_plan())
    parts.part_path(1, 3).write_bytes(foreign)
    with pytest.raises(IntegrityError, match=r"part-00001-of-00003.h5 is a part of another plan: delete it and run"):
        parts.gather(make_plan())


def test_parts_that_changed_places_are_noticed(make_parts):
    parts = make_parts(make_plan(4))
    first, second = parts.part_path(0, 2), parts.part_path(1, 2)
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)
    with pytest.raises(IntegrityError, match=r"part-00000-of-00002.h5 is a part of another plan"):
        parts.gather(make_plan(4))


@pytest.mark.parametrize("percent", [0, 1, 50, 99])
def test_a_truncated_part_is_named(make_parts, percent):
    parts = make_parts(make_plan())
    path = parts.part_path(2, 3)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * percent // 100])
    with pytest.raises(IntegrityError, match=r"part-00002-of-00003.h5 is damaged: delete it and run the same command"):
        parts.gather(make_plan())


def test_each_of_200_single_bit_flips_is_refused(make_parts):
    plan = make_plan()
    parts = make_parts(plan)
    path = parts.part_path(0, 3)
    content, generator = path.read_bytes(), random.Random(0)
    for position in [*range(0, 512, 16), *(generator.randrange(len(content)) for _ in range(168))]:
        damaged = bytearray(content)
        damaged[position] ^= 1 << generator.randrange(8)
        path.write_bytes(damaged)
        with pytest.raises(IntegrityError, match=r"part-00000-of-00003.h5 is damaged"):
            parts.load(0, plan)


def test_rows_of_another_shape_are_a_mistake_of_the_caller(make_parts):
    parts = make_parts(make_plan(), order=())
    with pytest.raises(ValueError, match=r"shape \(2, 4\), not \(2, 3\)"):
        parts.save(0, make_plan(), np.zeros((2, 4)))
    assert parts.finished(make_plan()) == frozenset()


def test_a_full_disk_leaves_the_parts_that_were_finished(make_parts, monkeypatch):
    plan = make_plan()
    parts = make_parts(plan, order=(0,))

    def fail(descriptor):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", fail)
        with pytest.raises(ResourceError, match="the disk is full"):
            parts.save(1, plan, losses_of(plan, 1))
    assert parts.finished(plan) == {0}
    assert not list(parts.folder.glob("*.part"))


def test_info_says_how_far_they_are(make_parts):
    plan = make_plan()
    parts = make_parts(plan, order=(0, 2))
    parts.start(plan, shards=3)
    facts = inspect_store(parts.folder)
    assert (facts.kind, facts.clips, facts.provenance) == ("score parts", 3, plan.provenance)
    assert facts.arrays == {"losses": ArrayFacts((3, 3), "float32", 36)}
    assert (facts.parts.finished, facts.parts.missing, facts.parts.unfinished_shards) == ((0, 2), (1,), ("2/3",))
    parts.part_path(2, 3).write_bytes(b"")
    with pytest.raises(IntegrityError, match=r"part-00002-of-00003.h5 is damaged"):
        inspect_store(parts.folder)
    with pytest.raises(MissingPrerequisiteError, match=r"no unfinished scores in .*; run: atrkit score"):
        parts.clear()
        parts.folder.mkdir()
        inspect_store(parts.folder)
