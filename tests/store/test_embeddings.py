"""Embedding files: the same content gives the same bytes, and damage never goes unseen."""

import dataclasses

import numpy as np
import pytest

from atrkit.errors import DivergedError, IntegrityError, MissingPrerequisiteError
from atrkit.store.embeddings import Embeddings, gather_embeddings, load_embeddings, save_embeddings


def embeddings_of(clip_ids, lengths, *, seed=0, frame_dtype="float32", tags=True) -> Embeddings:
    rng = np.random.default_rng(seed)
    return gather_embeddings(
        clip_ids,
        [f"sha-{clip_id}" for clip_id in clip_ids],
        [rng.standard_normal((length, 3), dtype=np.float32) for length in lengths],
        [rng.standard_normal(2, dtype=np.float32) for _ in clip_ids],
        [rng.random(4, dtype=np.float32) for _ in clip_ids] if tags else None,
        labels=["rain", "dog", "bell", "Größe"] if tags else [],
        frame_dim=3,
        clip_dim=2,
        frame_dtype=frame_dtype,
        provenance={"encoder": "toy", "settings": {"hop": 320}},
        problems=[{"item": "x", "action": "skipped", "reason": "empty", "sha256": "0"}],
    )


def assert_equal(one: Embeddings, other: Embeddings) -> None:
    for field in dataclasses.fields(Embeddings):
        left, right = getattr(one, field.name), getattr(other, field.name)
        if isinstance(left, np.ndarray):
            assert left.dtype == right.dtype
            np.testing.assert_array_equal(left, right)
        else:
            assert left == right, field.name


@pytest.mark.parametrize("tags", [True, False])
def test_what_is_saved_is_what_is_loaded(tmp_path, tags):
    written = embeddings_of(["a", "b/ü.wav", "c"], [2, 0, 5], tags=tags)
    save_embeddings(tmp_path / "toy.h5", written)
    assert_equal(load_embeddings(tmp_path / "toy.h5"), written)


def test_the_same_content_gives_the_same_bytes(tmp_path):
    for name in ("one.h5", "two.h5"):
        save_embeddings(tmp_path / name, embeddings_of(["a", "b"], [2, 3]))
    assert (tmp_path / "one.h5").read_bytes() == (tmp_path / "two.h5").read_bytes()


def test_frames_of_a_clip_are_its_own():
    store = embeddings_of(["a", "b", "c"], [2, 4, 1], seed=3)
    chosen = store.select(["c", "a"])
    np.testing.assert_array_equal(chosen.frames_of(0), store.frames_of(2))
    np.testing.assert_array_equal(chosen.frames_of(1), store.frames_of(0))
    np.testing.assert_array_equal(chosen.clip_emb_AD, store.clip_emb_AD[[2, 0]])
    np.testing.assert_array_equal(chosen.tag_probs_AK, store.tag_probs_AK[[2, 0]])


def test_selecting_an_unknown_clip_names_it_and_the_command():
    with pytest.raises(MissingPrerequisiteError, match=r"'nobody'.*atrkit extract --encoder toy"):
        embeddings_of(["a"], [1]).select(["nobody"])


@pytest.mark.parametrize("broken", [np.nan, np.inf, 1e6])
def test_what_is_not_finite_in_the_store_is_refused_by_name(broken):
    frames = [np.zeros((2, 1), np.float32), np.array([[0.0], [broken]], np.float32)]
    with pytest.raises(DivergedError, match=r"1 clips.*bad clip"):
        gather_embeddings(
            ["good clip", "bad clip"], ["0", "1"], frames, [np.zeros(1, np.float32)] * 2, None,
            labels=[], frame_dim=1, clip_dim=1, frame_dtype="float16", provenance={"encoder": "toy"},
        )  # fmt: skip


@pytest.mark.parametrize("kept_fraction", [0.0, 0.01, 0.5, 0.99])
def test_a_truncated_file_is_refused_with_the_way_out(tmp_path, kept_fraction):
    path = tmp_path / "toy.h5"
    save_embeddings(path, embeddings_of(["a", "b"], [200, 300]))
    data = path.read_bytes()
    path.write_bytes(data[: int(kept_fraction * len(data))])
    with pytest.raises(IntegrityError, match=r"toy\.h5 is damaged.*atrkit extract --encoder toy --overwrite"):
        load_embeddings(path)


def test_no_flipped_bit_is_silent(tmp_path):
    path = tmp_path / "toy.h5"
    save_embeddings(path, embeddings_of(["a", "b"], [20, 30]))
    data, rng = path.read_bytes(), np.random.default_rng(0)
    for position in rng.integers(0, 8 * len(data), 200):
        flipped = bytearray(data)
        flipped[position // 8] ^= 1 << (position % 8)
        path.write_bytes(flipped)
        with pytest.raises(IntegrityError, match="is damaged"):
            load_embeddings(path)


def test_other_tools_can_open_the_file(tmp_path):
    import h5py

    written = embeddings_of(["a", "b"], [2, 3])
    save_embeddings(tmp_path / "toy.h5", written)
    with h5py.File(tmp_path / "toy.h5", "r") as file:
        np.testing.assert_array_equal(file["frames"][()], written.frames_NF)
