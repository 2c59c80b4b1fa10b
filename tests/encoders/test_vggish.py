"""VGGish: which samples become which patch, and the original's post-processing; its figures are in tests/golden."""

import hashlib

import numpy as np
import pytest
import torch

from atrkit.encoders import vggish
from atrkit.encoders.base import Running
from atrkit.encoders.checkpoints import Checkpoint
from atrkit.encoders.vggish import VggishEncoder
from atrkit.encoders.weights import load_weights
from atrkit.errors import IntegrityError

PATCH_SAMPLES, SHORTEST = 15_360, 15_600
rng = np.random.default_rng(7)


def noise(samples: int) -> np.ndarray:
    return (0.1 * rng.standard_normal(samples)).astype(np.float32)


def stub(patches_PTM: torch.Tensor) -> torch.Tensor:
    """In place of the network: 128 numbers that tell patches apart."""
    return torch.cat([patches_PTM.mean(1), patches_PTM.std(1)], dim=1)


@pytest.fixture
def make_encoder(tmp_path, monkeypatch):
    """An encoder with a network that is quick: `make_encoder(pca=Checkpoint(...))`."""

    def skip_the_networks(network, path):
        if path.name != "vggish.pth":
            load_weights(network, path)

    monkeypatch.setattr(vggish, "load_weights", skip_the_networks)

    def make(pca=None):
        encoder = VggishEncoder(Checkpoint(tmp_path / "vggish.pth", "abc", "a note"), pca, Running())
        encoder._network = stub
        return encoder

    return make


def reference_examples(wave_N: np.ndarray) -> np.ndarray:
    """The front end as the original states it, one frame after the other, in double precision."""
    window_W = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    edges_mel = np.linspace(*(1127 * np.log(1 + np.array([125.0, 7500.0]) / 700)), 66)
    bins_mel = 1127 * np.log(1 + np.arange(257) * 16000 / 512 / 700)
    bank_KM = np.zeros((257, 64))
    for band, (low, centre, high) in enumerate(zip(edges_mel, edges_mel[1:], edges_mel[2:], strict=False)):
        rising, falling = (bins_mel - low) / (centre - low), (high - bins_mel) / (high - centre)
        bank_KM[:, band] = np.clip(np.minimum(rising, falling), 0, None)
    frames = [wave_N[start : start + 400] * window_W for start in range(0, len(wave_N) - 399, 160)]
    logmel_TM = [np.log(np.abs(np.fft.rfft(frame_W, 512)) @ bank_KM + 0.01) for frame_W in frames]
    return np.array([logmel_TM[start : start + 96] for start in range(0, len(frames) - 95, 96)])


def test_the_front_end_is_the_originals(make_encoder):
    wave_N = noise(40_000)
    examples_PTM = make_encoder().examples(torch.from_numpy(wave_N))
    np.testing.assert_allclose(examples_PTM.numpy(), reference_examples(wave_N), atol=2e-5)


@pytest.mark.parametrize("patches_per_window", [1, 2, 16])
@pytest.mark.parametrize(
    ("samples", "patches"),
    [
        (SHORTEST, 1),
        (SHORTEST + PATCH_SAMPLES - 1, 1),
        (SHORTEST + PATCH_SAMPLES, 2),
        (2 * PATCH_SAMPLES + 1, 1),
        (SHORTEST + 4 * PATCH_SAMPLES + 5000, 5),
    ],
)
def test_windows_give_the_patches_of_the_whole_and_drop_the_tail(
    make_encoder, monkeypatch, samples, patches, patches_per_window
):
    monkeypatch.setattr(VggishEncoder, "window_samples", patches_per_window * PATCH_SAMPLES)
    encoder, wave_N = make_encoder(), noise(samples)
    frames_TF = encoder.encode([wave_N]).frames[0]
    assert frames_TF.shape == (patches, 128)
    expected_TF = stub(torch.from_numpy(reference_examples(wave_N))).numpy()
    np.testing.assert_allclose(frames_TF, expected_TF, atol=5e-5)


@pytest.mark.parametrize("samples", [1, SHORTEST - 1, SHORTEST, 2 * PATCH_SAMPLES, SHORTEST + PATCH_SAMPLES, 160_000])
def test_what_is_said_to_be_unheard_and_nothing_else_is_without_a_trace(make_encoder, samples):
    encoder, wave_N = make_encoder(), noise(samples)
    unheard = encoder.unheard_samples(samples)
    changed = {}
    for name, place in {"last": samples - unheard - 2, "first unheard": samples - unheard}.items():
        if 0 <= place < samples:  # - 2: the window of the Fourier transform is nothing at its very edges
            other_N = wave_N.copy()
            other_N[place:] += 1.0
            changed[name] = not np.array_equal(encoder.encode([other_N]).clip, encoder.encode([wave_N]).clip)
    assert not changed.get("first unheard", False) and changed.get("last", True)


def test_memory_does_not_grow_with_the_recording(make_encoder):
    encoder, seen = make_encoder(), []
    encoder._network = lambda patches_PTM: seen.append(len(patches_PTM)) or stub(patches_PTM)
    encoder.batch_size = 1
    assert len(encoder.encode([noise(120 * 16_000)]).frames[0]) == 124
    assert max(seen) <= 16


def test_short_clips_are_filled_up_with_zeros_and_said_to_be(make_encoder):
    wave_N = noise(5000)
    encoded = make_encoder().encode([wave_N, np.pad(wave_N, (0, SHORTEST - 5000))])
    assert encoded.padded == [True, False]
    np.testing.assert_array_equal(*encoded.frames)


def test_the_clip_embedding_is_the_mean_of_all_frames(make_encoder, monkeypatch):
    monkeypatch.setattr(VggishEncoder, "window_samples", PATCH_SAMPLES)
    encoded = make_encoder().encode([noise(SHORTEST + 3 * PATCH_SAMPLES)])
    np.testing.assert_allclose(encoded.clip[0], encoded.frames[0].mean(0), rtol=1e-5)


# --- post-processing ----------------------------------------------------------------------------------------------

EIGEN_VECTORS, MEANS = rng.standard_normal((128, 128)), rng.standard_normal((128, 1))


@pytest.fixture
def save_pca(tmp_path):
    """A file as published: arrays of numpy, in torch's old format."""

    def save(**changes):
        path = tmp_path / "pca.pth"
        content = {"pca_eigen_vectors": EIGEN_VECTORS, "pca_means": MEANS} | changes
        torch.save({key: value for key, value in content.items() if value is not None}, path)
        return Checkpoint(path, hashlib.sha256(path.read_bytes()).hexdigest(), "fetched")

    return save


def test_post_processing_whitens_clips_and_rounds(make_encoder, save_pca):
    wave_N = noise(5 * 16_000)
    raw_TF = make_encoder().encode([wave_N]).frames[0].astype(np.float64)
    encoded = make_encoder(save_pca()).encode([wave_N])
    whitened_TF = (EIGEN_VECTORS @ (raw_TF.T - MEANS)).T
    expected_TF = np.round((np.clip(whitened_TF, -2, 2) + 2) * 255 / 4)
    assert np.abs(encoded.frames[0] - expected_TF).max() <= 1  # a number halfway may go either way in float32
    assert np.mean(encoded.frames[0] == expected_TF) > 0.99
    assert set(np.unique(encoded.frames[0])) <= set(range(256)) and encoded.frames[0].dtype == np.float32
    assert 0 in encoded.frames[0] and 255 in encoded.frames[0]
    np.testing.assert_allclose(encoded.clip[0], encoded.frames[0].mean(0), rtol=1e-5)


def test_post_processing_is_part_of_the_settings(make_encoder, save_pca):
    raw, processed = make_encoder(), make_encoder(save_pca())
    assert raw.settings["pca_sha256"] is None and processed.settings["pca_sha256"] == save_pca().sha256
    assert raw.settings["frames"] != processed.settings["frames"]
    assert (raw.checkpoint_note, processed.checkpoint_note) == ("a note", "a note; fetched")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pca_means": None}, r"missing \(the first: pca_means\)"),
        ({"pca_means": np.zeros(128)}, r"pca_means has shape \(128,\)"),
        ({"pca_means": np.full((128, 1), np.nan)}, "pca_means has NaN"),
        ({"pca_eigen_vectors": np.zeros((128, 128), dtype=object)}, "'pca_eigen_vectors' is no plain tensor"),
        ({"other": np.zeros(1)}, r"unknown \(the first: other\)"),
    ],
)
def test_other_parameters_are_refused(make_encoder, save_pca, changes, message):
    with pytest.raises(IntegrityError, match=message):
        make_encoder(save_pca(**changes))
