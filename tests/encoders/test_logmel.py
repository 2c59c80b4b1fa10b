"""Log-mel frames: pooling and pieces change nothing that they should not."""

import numpy as np
import pytest
import torch

from atrkit.encoders import load_encoder
from atrkit.encoders.frontends import mel_spectrogram, slaney_mel_bank


def noise(samples: int) -> np.ndarray:
    return (0.1 * np.random.default_rng(4).standard_normal(samples)).astype(np.float32)


def test_pooled_frames_are_means_of_frames_and_the_last_of_what_is_left():
    wave = noise(32_000)
    frames = load_encoder("logmel", pool_time_s=None).encode([wave]).frames[0]
    pooled = load_encoder("logmel", pool_time_s=0.32).encode([wave]).frames[0]
    assert frames.shape == (101, 64)
    expected = [frames[start : start + 32].mean(axis=0) for start in (0, 32, 64, 96)]
    np.testing.assert_allclose(pooled, expected, rtol=1e-5)


@pytest.mark.parametrize("pool_time_s", [None, 0.01, 0.1, 0.32, 1.0])
def test_the_clip_embedding_is_the_mean_of_all_frames_however_they_are_pooled(pool_time_s):
    wave = noise(40_123)
    frames = load_encoder("logmel", pool_time_s=None).encode([wave]).frames[0]
    encoder = load_encoder("logmel", pool_time_s=pool_time_s)
    np.testing.assert_allclose(encoder.encode([wave]).clip[0], frames.mean(axis=0), rtol=1e-5)
    assert encoder.frame_period_s == pytest.approx(pool_time_s or 0.01)
    assert encoder.settings["pool_time_s"] == pool_time_s


@pytest.mark.parametrize("samples", [513, 320 * 4095, 320 * 4096, 320 * 4096 + 1, 320 * 9000 + 17])
def test_a_spectrogram_in_pieces_equals_the_whole(samples):
    wave = torch.from_numpy(noise(samples))
    window, bank = torch.hann_window(1024), torch.from_numpy(slaney_mel_bank(32000, 1024, 64, 50, 14000))
    in_pieces = mel_spectrogram(wave, window, 320, bank, torch.clone)
    spectrum = torch.stft(wave, 1024, 320, window=window, center=True, pad_mode="reflect", return_complex=True)
    whole = spectrum.abs().square().T @ bank
    torch.testing.assert_close(in_pieces, whole, rtol=1e-4, atol=1e-6)
