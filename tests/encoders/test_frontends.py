"""Spectrograms and filter banks against librosa and torchaudio, which are the oracles and never the product."""

import numpy as np
import pytest
import torch

from atrkit.encoders import frontends
from atrkit.encoders.frontends import (
    kaldi_mel_bank,
    mel_spectrogram,
    mel_spectrogram_batch,
    slaney_mel_bank,
    to_decibel,
)

HOP = 320
WINDOW_W = torch.hann_window(1024)
BANK_KM = torch.from_numpy(slaney_mel_bank(32000, 1024, 64, 50, 14000))


def noise(samples: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(samples).astype(np.float32))


def batch_of(lengths: list[int]) -> tuple[list[torch.Tensor], torch.Tensor, list[int]]:
    waves = [noise(length, seed) for seed, length in enumerate(lengths)]
    return waves, *mel_spectrogram_batch(waves, WINDOW_W, HOP, BANK_KM, to_decibel)


@pytest.mark.filterwarnings("ignore:n_fft=1024 is too large")
@pytest.mark.parametrize("samples", [513, 20_000, 32_000])
def test_decibels_are_librosas(samples):
    import librosa

    wave = noise(samples)
    power_MT = librosa.feature.melspectrogram(
        y=wave.numpy(), sr=32000, n_fft=1024, hop_length=HOP, pad_mode="reflect", n_mels=64, fmin=50, fmax=14000
    )
    expected_MT = librosa.power_to_db(power_MT, amin=1e-10, top_db=None)
    mel_TM = mel_spectrogram(wave, WINDOW_W, HOP, BANK_KM, to_decibel)
    np.testing.assert_allclose(mel_TM.numpy(), expected_MT.T, rtol=0, atol=2e-3)


@pytest.mark.parametrize("lengths", [[9600], [9600, 9600], [9600, 513, 12_345, 9599], [640, 639, 641]], ids=str)
def test_every_wave_of_a_batch_has_the_frames_it_has_alone(lengths):
    waves, mel_BTM, num_frames_B = batch_of(lengths)
    assert num_frames_B == [length // HOP + 1 for length in lengths]
    assert mel_BTM.shape == (len(lengths), max(num_frames_B), 64)
    for wave, mel_TM, num_frames in zip(waves, mel_BTM, num_frames_B, strict=True):
        alone_TM = mel_spectrogram(wave, WINDOW_W, HOP, BANK_KM, to_decibel)
        torch.testing.assert_close(mel_TM[:num_frames], alone_TM, rtol=0, atol=1e-4)


def test_what_lies_behind_a_short_wave_is_finite():
    _, mel_BTM, _ = batch_of([32_000, 600])
    assert torch.isfinite(mel_BTM).all()


@pytest.mark.parametrize("block_frames", [1, 2, 7, 64])
def test_pieces_give_what_the_whole_gives(block_frames, monkeypatch):
    _, whole_BTM, _ = batch_of([9600, 7000])
    monkeypatch.setattr(frontends, "_BLOCK_FRAMES", block_frames)
    _, pieces_BTM, _ = batch_of([9600, 7000])
    torch.testing.assert_close(pieces_BTM, whole_BTM, rtol=0, atol=1e-4)


def test_silence_is_the_floor_of_decibels():
    mel_TM = mel_spectrogram(torch.zeros(1000), WINDOW_W, HOP, BANK_KM, to_decibel)
    assert mel_TM.unique().tolist() == [-100.0]


@pytest.mark.parametrize(
    ("sample_rate_hz", "n_fft", "bands", "lowest_hz", "highest_hz"),
    [
        (32000, 1024, 64, 50, 14000),
        (16000, 512, 64, 50, 8000),
        (32000, 1024, 224, 50, 14000),
        (48000, 1024, 64, 0, 14000),
    ],
)
def test_slaney_bank_is_librosas(sample_rate_hz, n_fft, bands, lowest_hz, highest_hz):
    from librosa.filters import mel

    bank = slaney_mel_bank(sample_rate_hz, n_fft, bands, lowest_hz, highest_hz)
    expected = mel(sr=sample_rate_hz, n_fft=n_fft, n_mels=bands, fmin=lowest_hz, fmax=highest_hz).T
    assert bank.dtype == np.float32
    np.testing.assert_allclose(bank, expected, rtol=0, atol=2e-7 * expected.max())


@pytest.mark.parametrize(
    ("sample_rate_hz", "bands", "highest_hz"), [(32000, 128, 16000.0), (32000, 23, 16000.0), (16000, 80, 7600.0)]
)
def test_kaldi_bank_is_torchaudios_to_the_bit_with_nothing_at_nyquist(sample_rate_hz, bands, highest_hz):
    from torchaudio.compliance.kaldi import get_mel_banks

    bank = kaldi_mel_bank(sample_rate_hz, 1024, bands, 0.0, highest_hz)
    expected, _ = get_mel_banks(bands, 1024, float(sample_rate_hz), 0.0, highest_hz, 100.0, -500.0, 1.0)
    np.testing.assert_array_equal(bank[:-1], expected.numpy().T)
    assert not bank[-1].any()
