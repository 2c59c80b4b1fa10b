"""VGGSound's ResNet-18: its spectrogram against scipy's, and clips that are not ten seconds long."""

import numpy as np
import pytest
import torch

from atrkit.encoders import load_encoder
from atrkit.encoders.resnet_vggsound import (
    ResNet18,
    tukey_window,
    vggsound_labels,
    vggsound_spectrogram,
)
from atrkit.errors import UsageError

SAMPLE_RATE_HZ = 16000
WINDOW_SAMPLES = 160_000
FRAME_SAMPLES = 5_000
ROUNDING = 3e-6  # of the root mean square: sums in another order


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(5)
    state = {f"audnet.{key}": value for key, value in ResNet18(309).state_dict().items()}
    path = tmp_path_factory.mktemp("weights") / "H.pth.tar"
    torch.save({"model_state_dict": state}, path)
    return path


@pytest.fixture(scope="module")
def encoder(checkpoint):
    return load_encoder("vggsound_resnet18", checkpoint=checkpoint, batch_size=2)


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


def assert_equal(actual: np.ndarray, expected: np.ndarray) -> None:
    assert actual.shape == expected.shape
    assert np.abs(actual - expected).max() < ROUNDING * np.sqrt(np.mean(np.square(expected)))


def original_spectrogram(wave_N: np.ndarray) -> np.ndarray:
    """As datasets/dataloader.py of hche11/VGGSound computes it."""
    from scipy.signal import spectrogram

    clipped_N = np.clip(wave_N.astype(np.float64), -1, 1)
    _, _, density_KT = spectrogram(clipped_N, SAMPLE_RATE_HZ, nperseg=512, noverlap=353)
    log_KT = np.log(density_KT + 1e-7)
    return (log_KT - log_KT.mean()) / (log_KT.std() + 1e-9)


@pytest.mark.parametrize(
    "wave_N",
    [
        noise(20_000) + 0.3,
        3.0 * noise(20_000) * 10,
        np.sin(np.arange(20_000) * 0.2).astype(np.float32),
        np.sign(np.sin(np.arange(512) * 0.02)).astype(np.float32),
    ],
    ids=["noise with an offset", "over one", "a tone", "a single segment"],
)
def test_the_spectrogram_is_scipys(wave_N):
    spectrogram_KT = vggsound_spectrogram(torch.from_numpy(wave_N)[None])[0].numpy()
    np.testing.assert_allclose(spectrogram_KT, original_spectrogram(wave_N), atol=1e-5)


@pytest.mark.parametrize("level", [0.0, 0.25, 0.1])
def test_silence_stays_silent_instead_of_becoming_noise(level):
    wave_N = np.full(20_000, level, dtype=np.float32)
    assert vggsound_spectrogram(torch.from_numpy(wave_N)[None]).abs().max() < 1e-3


def test_the_window_is_scipys():
    from scipy.signal import get_window

    np.testing.assert_allclose(tukey_window(512, 0.25), get_window(("tukey", 0.25), 512), atol=1e-15)


def test_spectrograms_of_a_batch_are_normalised_each_alone():
    waves = torch.from_numpy(np.stack([noise(20_000), 0.01 * noise(20_000, 1)]))
    together = vggsound_spectrogram(waves)
    for index, wave in enumerate(waves):
        torch.testing.assert_close(together[index], vggsound_spectrogram(wave[None])[0], rtol=0, atol=0)


@pytest.mark.parametrize("samples", [1, 3_000, 159_999])
def test_a_short_clip_is_repeated_up_to_ten_seconds(encoder, samples):
    wave = noise(samples)
    repeated = np.concatenate([wave] * (WINDOW_SAMPLES // samples + 1))[:WINDOW_SAMPLES]
    short, by_hand = encoder.encode([wave]), encoder.encode([repeated])
    assert short.frames[0].shape == (32, 512) and short.padded == [False]
    np.testing.assert_array_equal(short.frames[0], by_hand.frames[0])
    np.testing.assert_array_equal(short.clip, by_hand.clip)


def test_a_long_clip_keeps_the_frames_of_its_own_time_and_every_second_counts_alike(encoder):
    wave = noise(2 * WINDOW_SAMPLES + 3 * FRAME_SAMPLES + 1)
    long = encoder.encode([wave])
    windows = [wave[:WINDOW_SAMPLES], wave[WINDOW_SAMPLES : 2 * WINDOW_SAMPLES], wave[2 * WINDOW_SAMPLES :]]
    alone = [encoder.encode([window]).frames[0] for window in windows]
    assert_equal(long.frames[0], np.concatenate([alone[0], alone[1], alone[2][:4]]))
    in_time_F = np.repeat(long.frames[0].astype(np.float64), FRAME_SAMPLES, axis=0)[: len(wave)].mean(0)
    assert_equal(long.clip[0], in_time_F)
    assert encoder.unheard_samples(len(wave)) == 0
    with torch.inference_mode():
        logits_K = encoder._network.fc(torch.from_numpy(long.clip[0]))
    np.testing.assert_allclose(long.logits[0], logits_K, atol=1e-5)


def test_a_rest_under_half_a_frame_costs_nothing_and_is_said_to_be_unheard(encoder, monkeypatch):
    """AudioCaps is full of clips of 10.02 s."""
    wave, seen, frames_of = noise(WINDOW_SAMPLES + 320), [], encoder._frames_of
    monkeypatch.setattr(encoder, "_frames_of", lambda windows: seen.extend(windows) or frames_of(windows))
    encoded = encoder.encode([wave])
    assert [len(window) for window in seen] == [WINDOW_SAMPLES] and encoder.unheard_samples(len(wave)) == 320
    np.testing.assert_array_equal(encoded.clip, encoder.encode([wave[:WINDOW_SAMPLES]]).clip)
    assert "a rest under 0.15625 s is left out" in encoder.settings["windows"]


@pytest.mark.parametrize(
    ("samples", "frames"), [(FRAME_SAMPLES // 2, 33), (FRAME_SAMPLES, 33), (FRAME_SAMPLES + 1, 34)]
)
def test_the_rest_gives_as_many_frames_as_it_has_begun(encoder, samples, frames):
    assert len(encoder.encode([noise(WINDOW_SAMPLES + samples)]).frames[0]) == frames


def test_in_a_batch_as_alone(encoder):
    waves = [noise(n, n) for n in (150_000, 163_000)]
    together = encoder.encode(waves)
    for index, wave in enumerate(waves):
        alone = encoder.encode([wave])
        assert_equal(together.frames[index], alone.frames[0])
        assert_equal(together.clip[index], alone.clip[0])
        assert_equal(together.logits[index], alone.logits[0])


def test_the_first_ten_seconds_only(checkpoint, encoder):
    first = load_encoder("vggsound_resnet18", checkpoint=checkpoint, long_audio="first")
    wave = noise(WINDOW_SAMPLES + 40_000)
    assert_equal(first.encode([wave]).frames[0], encoder.encode([wave[:WINDOW_SAMPLES]]).frames[0])
    assert [first.unheard_samples(n) for n in (1, WINDOW_SAMPLES, len(wave))] == [0, 0, 40_000]
    assert first.settings["windows"] == "the first 10 s only"
    assert encoder.settings["windows"].startswith("10 s each")
    with pytest.raises(UsageError, match="long_audio: 'last' is none of windows, first"):
        load_encoder("vggsound_resnet18", checkpoint=checkpoint, long_audio="last")


def test_class_names_are_in_the_order_in_which_the_original_sorts_them():
    labels = vggsound_labels()
    assert len(labels) == len(set(labels)) == 309
    assert list(labels) == sorted(labels)
    assert (labels[0], labels[-1]) == ("air conditioning noise", "zebra braying")
    assert "bee, wasp, etc. buzzing" in labels and '"' not in "".join(labels)
