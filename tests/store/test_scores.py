"""Scores on disk: nothing is lost on the way, and no damage goes unseen."""

import random

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atrkit import ScoreMatrix
from atrkit.errors import AtrkitError, DivergedError, IntegrityError, MissingPrerequisiteError, UsageError
from atrkit.store.facts import ArrayFacts, inspect_store
from atrkit.store.scores import Calibration, load_calibration, load_scores, load_scores_about, save_scores

ABOUT = {"run": "runs/ridge/seed-1", "dataset": "own", "split": "eval", "scoring": "cosine", "seeds": [1, 2]}


def make_matrix(dtype=np.float32):
    scores_AC = np.random.default_rng(0).normal(size=(6, 20)).astype(dtype)
    scores_AC[0, 0], scores_AC[1, 1] = np.inf, -np.inf
    clips = ["Kinder üben – 音.wav", 'with, comma and "quotes".wav', " leading", "line\u2028separator", "e", "f"]
    captions = [f"{clips[c % 5]}#{c // 5 + 1}" for c in range(20)]
    return ScoreMatrix(scores_AC, clips, captions, [clips[c % 5] for c in range(20)])


def make_calibration(clips=4):
    loss_KC = np.random.default_rng(1).uniform(0, 9, size=(clips, 20)).astype(np.float32)
    return Calibration(loss_KC, [f"train/{number} ü.wav" for number in range(clips)])


@pytest.fixture(params=[False, True], ids=["scores", "with calibration"])
def path(tmp_path, request):
    file = tmp_path / "run" / "scores.h5"
    save_scores(file, make_matrix(), ABOUT, calibration=make_calibration() if request.param else None)
    return file


def test_everything_comes_back(path):
    matrix, wanted = load_scores(path), make_matrix()
    np.testing.assert_array_equal(matrix.scores_AC, wanted.scores_AC)
    assert matrix.scores_AC.dtype == np.float32
    assert matrix.clip_ids == wanted.clip_ids
    assert matrix.caption_ids == wanted.caption_ids
    assert matrix.clip_of_caption == wanted.clip_of_caption
    assert load_scores_about(path) == ABOUT


def test_any_hdf5_tool_reads_it(path):
    with h5py.File(path, "r") as file:
        assert file.attrs["pool_id"] == make_matrix().pool_id
        assert file["scores"].shape == (6, 20)
        assert tuple(file["clip_ids"].asstr()[()]) == make_matrix().clip_ids


def test_the_same_content_gives_the_same_bytes(path, tmp_path):
    about = dict(reversed(ABOUT.items()))
    save_scores(tmp_path / "again.h5", make_matrix(), about, calibration=load_calibration(path))
    assert (tmp_path / "again.h5").read_bytes() == path.read_bytes()


def test_other_content_gives_other_bytes(path, tmp_path):
    save_scores(tmp_path / "other.h5", make_matrix(), {**ABOUT, "split": "val"})
    assert (tmp_path / "other.h5").read_bytes() != path.read_bytes()


def test_float64_is_rounded_to_float32(tmp_path):
    save_scores(tmp_path / "s.h5", make_matrix(np.float64), {})
    np.testing.assert_array_equal(
        load_scores(tmp_path / "s.h5").scores_AC, make_matrix(np.float64).scores_AC.astype("f4")
    )


def test_scores_too_large_for_float32_are_refused_and_nothing_is_written(tmp_path):
    matrix = ScoreMatrix([[1e300, np.inf]], ["a"], ["a#1", "a#2"], ["a", "a"])
    with pytest.raises(DivergedError, match="1 scores are too large for float32"):
        save_scores(tmp_path / "s.h5", matrix, {})
    assert not list(tmp_path.iterdir())


def test_an_id_that_hdf5_cannot_hold_is_refused_by_name(tmp_path):
    calibration = Calibration(make_calibration(clips=1).loss_KC, ["a\0b"])
    with pytest.raises(UsageError, match=r"'a\\x00b' in calibration_clip_ids holds a NUL"):
        save_scores(tmp_path / "s.h5", make_matrix(), {}, calibration=calibration)


def test_no_scores_yet(tmp_path):
    with pytest.raises(MissingPrerequisiteError, match=r"no scores at .*none\.h5; run: atrkit eval"):
        load_scores(tmp_path / "none.h5")


def test_the_calibration_comes_back(tmp_path):
    save_scores(tmp_path / "scores.h5", make_matrix(), ABOUT, calibration=make_calibration())
    calibration = load_calibration(tmp_path / "scores.h5")
    np.testing.assert_array_equal(calibration.loss_KC, make_calibration().loss_KC)
    assert calibration.loss_KC.dtype == np.float32
    assert calibration.clip_ids == make_calibration().clip_ids
    np.testing.assert_array_equal(load_scores(tmp_path / "scores.h5").scores_AC, make_matrix().scores_AC)
    assert inspect_store(tmp_path / "scores.h5").arrays == {
        "scores": ArrayFacts((6, 20), "float32", 480),
        "calibration_losses": ArrayFacts((4, 20), "float32", 320),
    }


def test_a_file_without_one_has_the_bytes_it_always_had(tmp_path):
    """As written before there was any calibration: what is read today was written then, and stays readable."""
    save_scores(tmp_path / "scores.h5", make_matrix(), ABOUT)
    assert load_calibration(tmp_path / "scores.h5") is None
    with h5py.File(tmp_path / "scores.h5", "r") as file:
        assert sorted(file) == ["about", "caption_ids", "clip_ids", "clip_of_caption", "scores"]
        assert file.attrs["format"] == "atrkit scores 1"


def test_a_calibration_of_other_captions_is_refused(tmp_path):
    with pytest.raises(UsageError, match="calibration losses of 3 captions beside scores of 20"):
        save_scores(tmp_path / "s.h5", make_matrix(), {}, calibration=Calibration(np.zeros((2, 3)), ["a", "b"]))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_calibration_that_is_not_finite_names_the_clips(value):
    loss_KC = np.zeros((3, 2))
    loss_KC[1, 0] = value
    with pytest.raises(DivergedError, match="1 calibration clips have losses that are NaN or infinite, the first 'b'"):
        Calibration(loss_KC, ["a", "b", "c"])


@pytest.mark.parametrize(("shape", "ids"), [((2, 3), "a"), ((3,), "abc"), ((0, 3), ""), ((2, 0), "ab"), ((2, 3), "aa")])
def test_a_calibration_whose_rows_are_no_clips_is_refused(shape, ids):
    with pytest.raises(UsageError, match="clip ids"):
        Calibration(np.zeros(shape), tuple(ids))


def assert_refused(path):
    for load in (load_scores, load_scores_about, load_calibration):
        with pytest.raises(IntegrityError, match=r"scores\.h5 is .*; make it again: atrkit eval") as error:
            load(path)
        assert error.value.exit_code == 5
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("percent", [0, 1, 50, 99])
def test_a_truncated_file_is_refused(path, percent):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * percent // 100])
    assert_refused(path)


def test_a_longer_file_is_refused(path):
    path.write_bytes(path.read_bytes() + b"\0")
    assert_refused(path)


def test_each_of_200_single_bit_flips_is_refused(path):
    content = path.read_bytes()
    generator = random.Random(0)
    positions = [*range(0, 512, 16), *(generator.randrange(len(content)) for _ in range(168))]
    for position in positions:
        damaged = bytearray(content)
        damaged[position] ^= 1 << generator.randrange(8)
        path.write_bytes(damaged)
        assert_refused(path)


@pytest.mark.parametrize("content", [b"", b"<html>404</html>", b"\x89HDF\r\n\x1a\n" + bytes(5000), bytes(600)])
def test_what_is_no_score_file_is_refused(path, content):
    path.write_bytes(content)
    assert_refused(path)


def test_an_hdf5_file_of_another_kind_is_refused(path):
    with h5py.File(path, "w") as file:
        file["frames"] = np.zeros(3)
    assert_refused(path)


def test_a_score_file_with_something_missing_is_refused_even_when_its_seal_fits(path, monkeypatch):
    monkeypatch.setattr("atrkit.store.scores._read_texts", lambda file, name: file[f"{name} of a later version"])
    assert_refused(path)


def test_a_failing_write_leaves_the_old_file(path, monkeypatch):
    before = path.read_bytes()

    def fail(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(AtrkitError) as error:
        save_scores(path, make_matrix(), {"run": "another"})
    assert error.value.exit_code == 4
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["scores.h5"]


@settings(max_examples=30, deadline=None)
@given(ids=st.lists(st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1), min_size=1, unique=True))
def test_any_text_is_an_id(tmp_path_factory, ids):
    file = tmp_path_factory.mktemp("ids") / "scores.h5"
    save_scores(file, ScoreMatrix(np.zeros((len(ids), 1)), ids, ["caption"], ids[:1]), {})
    assert load_scores(file).clip_ids == tuple(ids)
