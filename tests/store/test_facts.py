"""What a store says of itself, checked byte by byte and never read whole."""

import dataclasses
import tracemalloc

import h5py
import numpy as np
import pytest

from atrkit import ScoreMatrix
from atrkit.errors import IntegrityError, MissingPrerequisiteError
from atrkit.files import sha256_of_file
from atrkit.store import save_scores
from atrkit.store.embeddings import gather_embeddings, save_embeddings
from atrkit.store.facts import ArrayFacts, inspect_store

PROBLEMS = [{"item": str(n), "action": action} for n, action in enumerate(["skipped", "padded", "skipped"])]


def test_an_embedding_file(tmp_path, toy):
    written = toy.clips(range(9), problems=PROBLEMS)
    path = tmp_path / "toy.h5"
    save_embeddings(path, written)
    facts = inspect_store(path)
    assert (facts.kind, facts.path, facts.size_bytes, facts.parts) == ("embeddings", path, path.stat().st_size, None)
    assert (facts.provenance, facts.notes) == (written.provenance, {"checkpoint": "toy.pt"})
    assert (facts.clips, facts.frames, facts.labels) == (9, 12, 4)
    assert facts.arrays == {
        "frames": ArrayFacts((12, 3), "float16", 72),
        "clip": ArrayFacts((9, 2), "float32", 72),
        "tag_probs": ArrayFacts((9, 4), "float32", 144),
        "offsets": ArrayFacts((10,), "int64", 80),
    }
    assert facts.problems_by_action == {"skipped": 2, "padded": 1}
    assert facts.largest_cosine_loss == written.largest_cosine_loss > 0
    assert facts.audio_sha256 == dict(zip(written.clip_ids, written.audio_sha256, strict=True))
    (tmp_path / "rest").write_bytes(path.read_bytes()[512:])
    assert facts.sha256 == sha256_of_file(tmp_path / "rest")


def test_a_folder_of_parts(tmp_path, toy):
    plan = toy.plan(11)
    folder = toy.folder(tmp_path / "toy.h5", plan, without=(1, 4))
    folder.start(plan, shards=3)
    (folder.folder / "part-00001-of-00006.h5.part").write_bytes(b"being written")
    facts = inspect_store(folder.folder)
    assert (facts.kind, facts.sha256, facts.provenance) == ("parts", None, plan.provenance)
    assert (facts.clips, facts.frames, facts.arrays["frames"].shape) == (7, 1 + 1 + 2 + 3 + 2, (9, 3))
    assert (facts.parts.total, facts.parts.clips, facts.parts.part_clips) == (6, 11, 2)
    assert (facts.parts.finished, facts.parts.missing) == ((0, 2, 3, 5), (1, 4))
    assert facts.parts.unfinished_shards == ("2/3",)
    assert facts.size_bytes == sum(path.stat().st_size for path in folder.folder.glob("part-*.h5"))


def test_a_plan_without_a_finished_part(tmp_path, toy):
    folder = toy.folder(tmp_path / "toy.h5", toy.plan(4), without=(0, 1))
    facts = inspect_store(folder.folder)
    assert (facts.clips, facts.frames, facts.arrays, facts.parts.missing) == (0, 0, {}, (0, 1))


def test_a_score_file(tmp_path):
    matrix = ScoreMatrix(np.zeros((2, 3)), ["a", "b"], ["1", "2", "3"], ["a", "a", "b"])
    save_scores(tmp_path / "scores.h5", matrix, {"run": "first"})
    facts = inspect_store(tmp_path / "scores.h5")
    assert (facts.kind, facts.provenance, facts.clips) == ("scores", {"run": "first"}, 2)
    assert facts.notes == {"pool_id": matrix.pool_id, "captions": 3}
    assert facts.arrays == {"scores": ArrayFacts((2, 3), "float32", 24)}


@pytest.mark.parametrize(("name", "command"), [("toy.h5", "extract --encoder toy --overwrite"), ("scores.h5", "eval")])
def test_damage_is_named_with_the_command(tmp_path, toy, name, command):
    save_embeddings(tmp_path / name, toy.clips(range(9)))
    content = bytearray((tmp_path / name).read_bytes())
    content[700] ^= 4
    (tmp_path / name).write_bytes(content)
    with pytest.raises(IntegrityError, match=rf"{name} is damaged .*; make it again: atrkit {command}$"):
        inspect_store(tmp_path / name)


@pytest.mark.parametrize(("kept", "command"), [(1, "toy"), (0, "bad")], ids=["altered", "empty"])
def test_a_damaged_store_of_another_name_says_the_encoder_that_its_header_names(tmp_path, toy, kept, command):
    path = tmp_path / "bad.h5"
    save_embeddings(path, toy.clips(range(9)))
    content = bytearray(path.read_bytes())
    content[700] ^= 4
    path.write_bytes(content[: kept * len(content)])
    with pytest.raises(IntegrityError, match=rf"make it again: atrkit extract --encoder {command} --overwrite$"):
        inspect_store(path)


def test_a_name_that_is_itself_damaged_is_not_believed(tmp_path, toy):
    path = tmp_path / "toy.h5"
    save_embeddings(path, toy.clips(range(9)))
    path.write_bytes(path.read_bytes().replace(b'"encoder": "toy"', b'"encoder": "tmy"'))
    with pytest.raises(IntegrityError, match="atrkit extract --encoder toy --overwrite"):
        inspect_store(path)


def test_a_clip_cannot_pass_for_an_encoder(tmp_path, toy):
    clips = dataclasses.replace(toy.clips([0]), clip_ids=('x", "encoder": "evil',))
    save_embeddings(tmp_path / "bad.h5", clips)
    with (tmp_path / "bad.h5").open("ab") as file:
        file.write(b"more")
    with pytest.raises(IntegrityError, match="atrkit extract --encoder toy --overwrite"):
        inspect_store(tmp_path / "bad.h5")


def test_a_damaged_part_is_named(tmp_path, toy):
    folder = toy.folder(tmp_path / "toy.h5", toy.plan(4))
    part = folder.part_path(1, 2)
    part.write_bytes(part.read_bytes()[:-1])
    with pytest.raises(IntegrityError, match=rf"{part} is damaged: delete it and run the same command again"):
        inspect_store(folder.folder)


def test_what_is_no_store_is_refused(tmp_path):
    with pytest.raises(MissingPrerequisiteError, match=r"no store at .*toy\.h5; run: atrkit extract --encoder toy$"):
        inspect_store(tmp_path / "toy.h5")
    with pytest.raises(MissingPrerequisiteError, match=r"name an \.h5 file or a \.parts folder"):
        inspect_store(tmp_path)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = np.zeros(3)
    with pytest.raises(IntegrityError, match=r"other\.h5 is damaged"):
        inspect_store(tmp_path / "other.h5")


def test_only_the_header_comes_into_memory(tmp_path):
    save_embeddings(tmp_path / "toy.h5", gather_embeddings(
        ["a"], ["0"], [np.ones((20_000, 512), np.float32)], [np.ones(1, np.float32)], None,
        labels=[], frame_dim=512, clip_dim=1, frame_dtype="float16", provenance={"encoder": "toy"},
    ))  # fmt: skip
    tracemalloc.start()
    try:
        assert inspect_store(tmp_path / "toy.h5").arrays["frames"].size_bytes == 20_480_000
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()
