"""Embedding files: the same content gives the same bytes, and damage never goes unseen."""

import dataclasses

import h5py
import numpy as np
import pytest

from atrkit import ScoreMatrix
from atrkit.errors import DivergedError, IntegrityError, MissingPrerequisiteError, ResourceError
from atrkit.store import save_scores
from atrkit.store.embeddings import StoreHeader, gather_embeddings, load_embeddings, load_header, save_embeddings


@pytest.mark.parametrize("tags", [True, False])
@pytest.mark.parametrize("mapped", [True, False])
@pytest.mark.parametrize("numbers", [range(9), [4], []], ids=["many", "no frames", "no clips"])
def test_what_is_saved_is_what_is_loaded(tmp_path, toy, assert_same, tags, mapped, numbers):
    written = toy.clips(numbers, tags=tags, problems=[{"item": "x", "action": "skipped", "reason": "empty"}])
    save_embeddings(tmp_path / "toy.h5", written)
    assert_same(load_embeddings(tmp_path / "toy.h5", mapped=mapped), written)
    assert load_header(tmp_path / "toy.h5") == StoreHeader.of(written)


def test_mapped_arrays_stay_on_the_disk_and_cannot_be_written(tmp_path, toy):
    save_embeddings(tmp_path / "toy.h5", toy.clips(range(9)))
    mapped = load_embeddings(tmp_path / "toy.h5", mapped=True)
    for array in (mapped.frames_NF, mapped.clip_emb_AD, mapped.tag_probs_AK):
        assert isinstance(array, np.memmap) and not array.flags.writeable and array.flags.aligned


def test_a_file_of_another_kind_is_refused(tmp_path):
    save_scores(tmp_path / "toy.h5", ScoreMatrix([[1.0]], ["a"], ["a#1"], ["a"]), {})
    with pytest.raises(IntegrityError, match=r"toy\.h5 is damaged \(it is no embedding file of this version\)"):
        load_embeddings(tmp_path / "toy.h5")


def test_the_same_content_gives_the_same_bytes(tmp_path, toy):
    for name in ("one.h5", "two.h5"):
        save_embeddings(tmp_path / name, toy.clips(range(5)))
    assert (tmp_path / "one.h5").read_bytes() == (tmp_path / "two.h5").read_bytes()


SELECTIONS = {
    "all": range(6),
    "a run": [1, 2, 3],
    "one": [5],
    "any order": [5, 0, 3],
    "with gaps": [1, 2, 5],
    "none": [],
}


@pytest.mark.parametrize("to_file", [True, False])
@pytest.mark.parametrize("numbers", SELECTIONS.values(), ids=SELECTIONS)
def test_selected_clips_are_as_if_encoded_alone(tmp_path, toy, assert_same, numbers, to_file):
    store = toy.clips(range(6))
    chosen = store.select([f"clip {n} ü.wav" for n in numbers], scratch_folder=tmp_path if to_file else None)
    alone = toy.clips(numbers)
    assert_same(chosen, dataclasses.replace(alone, largest_cosine_loss=store.largest_cosine_loss))
    for index in range(len(numbers)):
        np.testing.assert_array_equal(chosen.frames_of(index), alone.frames_of(index))
    assert not list(tmp_path.iterdir()), "a scratch file has no name"


@pytest.mark.parametrize("name", ["all", "a run", "one"])
def test_a_run_of_clips_is_selected_without_copying(toy, name):
    store = toy.clips(range(6))
    chosen = store.select([store.clip_ids[n] for n in SELECTIONS[name]])
    assert np.shares_memory(chosen.frames_NF, store.frames_NF)
    assert np.shares_memory(chosen.clip_emb_AD, store.clip_emb_AD)


def test_frames_that_must_be_copied_go_to_the_scratch_folder(tmp_path, toy):
    store = toy.clips(range(6))
    chosen = store.select([store.clip_ids[3], store.clip_ids[1]], scratch_folder=tmp_path)
    assert isinstance(chosen.frames_NF, np.memmap)
    with pytest.raises(ResourceError, match="gone"):
        store.select([store.clip_ids[3], store.clip_ids[1]], scratch_folder=tmp_path / "gone")


def test_selecting_an_unknown_clip_names_it_and_the_command(toy):
    with pytest.raises(MissingPrerequisiteError, match=r"'nobody'.*atrkit extract --encoder toy"):
        toy.clips([1]).select(["nobody"])


def gather(frames, frame_dtype="float16"):
    return gather_embeddings(
        [str(n) for n in range(len(frames))], [""] * len(frames), frames, [np.zeros(1, np.float32)] * len(frames), None,
        labels=[], frame_dim=2, clip_dim=1, frame_dtype=frame_dtype, provenance={"encoder": "toy"},
    )  # fmt: skip


def test_the_loss_in_cosine_is_that_of_the_worst_frame():
    """float16 keeps 11 bits: 1 + 2**-11 falls back to 1, and the angle that this makes is known."""
    moved = np.array([1, 1 + 2**-11], np.float32)
    exact = np.array([3, 4], np.float32)
    expected = 1 - (2 + 2**-11) / np.sqrt(2) / np.linalg.norm(moved.astype(np.float64))
    assert gather([exact[None], np.stack([exact, moved, exact])]).largest_cosine_loss == pytest.approx(
        expected, rel=0.01
    )
    assert gather([exact[None]]).largest_cosine_loss == 0
    assert gather([moved[None]], "float32").largest_cosine_loss == 0


def test_a_frame_that_vanishes_has_lost_everything_and_a_frame_of_zeros_nothing():
    assert gather([np.full((1, 2), 1e-9, np.float32)]).largest_cosine_loss == 1
    assert gather([np.zeros((3, 2), np.float32), np.zeros((0, 2), np.float32)]).largest_cosine_loss == 0
    assert gather([]).largest_cosine_loss == 0


@pytest.mark.parametrize("broken", [np.nan, np.inf, 1e6])
def test_what_is_not_finite_in_the_store_is_refused_by_name(broken):
    frames = [np.zeros((2, 1), np.float32), np.array([[0.0], [broken]], np.float32)]
    with pytest.raises(DivergedError, match=r"1 clips.*bad clip"):
        gather_embeddings(
            ["good clip", "bad clip"], ["0", "1"], frames, [np.zeros(1, np.float32)] * 2, None,
            labels=[], frame_dim=1, clip_dim=1, frame_dtype="float16", provenance={"encoder": "toy"},
        )  # fmt: skip


def test_other_tools_can_open_the_file(tmp_path, toy):
    written = toy.clips(range(4))
    save_embeddings(tmp_path / "toy.h5", written)
    with h5py.File(tmp_path / "toy.h5", "r") as file:
        np.testing.assert_array_equal(file["frames"][()], written.frames_NF)
        np.testing.assert_array_equal(file["offsets"][()], [0, 0, 1, 3, 6])
