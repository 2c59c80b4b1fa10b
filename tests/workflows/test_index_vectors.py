"""Which vectors an index takes for its own: of the same model, and never of a content that was just skipped."""

import numpy as np
import pytest

from atrkit.search.index_files import segment_path
from atrkit.search.segments import as_embeddings, open_segment, save_segment
from atrkit.store.embeddings import save_embeddings
from atrkit.store.part_plan import PartPlan
from atrkit.workflows.index_encode import SegmentParts, salvage_parts
from atrkit.workflows.index_vectors import KnownVectors

OURS, OTHER = {"model": "ours"}, {"model": "another"}


def vectors(contents, seed=0):
    made = np.random.default_rng(seed).standard_normal((len(contents), 4)).astype(np.float32)
    return made / np.linalg.norm(made, axis=1, keepdims=True)


def write_segment(folder, number, contents, provenance=OURS, problems=()):
    records = [{"item": item, "action": action, "reason": "ours"} for item, action in problems]
    made = as_embeddings(contents, vectors(contents), [1] * len(contents), provenance, records)
    save_embeddings(segment_path(folder, number), made)


def test_what_this_call_skipped_is_not_encoded_by_it_again(tmp_path):
    known = KnownVectors(tmp_path)
    assert known.lacks("a") and known.lacks("b")
    write_segment(tmp_path, 1, ["b"], problems=[("a", "skipped")])
    known.adopt(1)
    assert not known.lacks("a") and not known.lacks("b")


def test_what_an_earlier_call_skipped_is_tried_again(tmp_path):
    write_segment(tmp_path, 1, ["b"], problems=[("a", "skipped")])
    listed = [open_segment(tmp_path, 1).about]
    known = KnownVectors.open(tmp_path, listed, OURS, {"a", "b"}, is_afresh=False)
    assert known.lacks("a") and not known.lacks("b")


@pytest.mark.parametrize(("provenance", "is_taken"), [(OURS, True), (OTHER, False)])
def test_a_segment_that_nobody_listed_is_of_use_only_when_its_model_is_the_same(tmp_path, provenance, is_taken):
    write_segment(tmp_path, 1, ["a", "b"], provenance)
    known = KnownVectors.open(tmp_path, [], OURS, {"a"}, is_afresh=False)
    assert known.lacks("a") is not is_taken
    assert segment_path(tmp_path, 1).exists() is is_taken
    assert [each.about.number for each in known.segments] == [1] * is_taken


def test_a_segment_that_nobody_listed_and_needs_is_removed(tmp_path):
    write_segment(tmp_path, 1, ["a"])
    known = KnownVectors.open(tmp_path, [], OURS, {"b"}, is_afresh=False)
    assert known.segments == [] and not segment_path(tmp_path, 1).exists()


@pytest.mark.parametrize(("provenance", "is_saved"), [(OURS, True), (OTHER, False)])
def test_parts_of_another_call_are_of_use_only_when_their_model_is_the_same(tmp_path, provenance, is_saved):
    contents = ("a", "b", "c", "d")
    plan, parts = PartPlan(provenance, contents, contents, 2), SegmentParts(tmp_path, 1)
    parts.start(plan)
    vectors_WD = vectors(contents)
    parts.save(0, plan, as_embeddings(contents[:2], vectors_WD[:2], [1, 1], provenance))
    assert salvage_parts(tmp_path, 1, None, OURS) is is_saved
    assert not parts.folder.exists() and segment_path(tmp_path, 1).exists() is is_saved
    if is_saved:
        assert list(open_segment(tmp_path, 1).places) == ["a", "b"]


def test_a_damaged_segment_is_left_out_and_said(tmp_path):
    about = [save_segment(tmp_path, at, [name], vectors([name]), [1], OURS) for at, name in ((1, "a"), (2, "b"))]
    path = segment_path(tmp_path, 1)
    path.write_bytes(path.read_bytes()[:-8] + bytes(8))
    known = KnownVectors.open(tmp_path, about, OURS, {"a", "b"}, is_afresh=False)
    assert known.lacks("a") and not known.lacks("b") and known.next_number == 3
    assert len(known.damaged) == 1 and str(path) in known.damaged[0]
