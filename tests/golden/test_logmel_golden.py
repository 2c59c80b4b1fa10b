"""The log-mel front end against the reference's figures, and that a wrong one would be noticed."""

import runpy
from pathlib import Path

import numpy as np
import pytest
import torch

from atrkit.encoders import load_encoder
from atrkit.encoders.frontends import mel_spectrogram, slaney_mel_bank

GOLDEN = Path(__file__).resolve().parents[3] / "shared" / "golden"
TOLERANCE_DB = 2e-3  # golden/README.md

pytestmark = pytest.mark.skipif(not GOLDEN.is_dir(), reason="../shared/golden is not there")


@pytest.fixture(scope="module")
def wave() -> np.ndarray:
    return runpy.run_path(str(GOLDEN / "synthetic_weights.py"))["synthetic_audio"](32000, 5, 7)


@pytest.fixture(scope="module")
def expected_TM() -> np.ndarray:
    return np.load(GOLDEN / "golden_cnn14_seed7.npz")["logmel_5s"]


def test_logmel_is_the_references(wave, expected_TM):
    frames = load_encoder("logmel", pool_time_s=None).encode([wave]).frames[0]
    assert frames.shape == expected_TM.shape
    assert np.abs(frames - expected_TM).max() < TOLERANCE_DB


def to_decibel(power, min_power=1e-10):
    return 10 * torch.log10(power.clamp(min=min_power))


def htk_bank():
    from torchaudio.functional import melscale_fbanks

    return melscale_fbanks(513, 50.0, 14000.0, 64, 32000, norm="slaney", mel_scale="htk").numpy()


@pytest.mark.parametrize(
    "mutation",
    [
        {"window": torch.hann_window(1024, periodic=False)},
        {"bank": slaney_mel_bank(32000, 1024, 64, 50, 16000)},
        {"bank": slaney_mel_bank(32000, 1024, 64, 0, 14000)},
        {"bank": "htk"},
        {"log": lambda power: to_decibel(power, 1e-8)},
        {"hop": 321},
    ],
    ids=["symmetric window", "highest 16 kHz", "lowest 0 Hz", "HTK mels", "floor 1e-8", "hop"],
)
def test_a_wrong_front_end_is_outside_the_tolerance(wave, expected_TM, mutation):
    bank = mutation.get("bank", slaney_mel_bank(32000, 1024, 64, 50, 14000))
    wrong_TM = mel_spectrogram(
        torch.from_numpy(wave),
        mutation.get("window", torch.hann_window(1024)),
        mutation.get("hop", 320),
        torch.from_numpy(htk_bank() if isinstance(bank, str) else bank),
        mutation.get("log", to_decibel),
    )
    frames = min(len(wrong_TM), len(expected_TM))
    assert np.abs(wrong_TM[:frames].numpy() - expected_TM[:frames]).max() > TOLERANCE_DB


def test_constant_instead_of_reflect_padding_is_outside_the_tolerance(wave, expected_TM, monkeypatch):
    pad = torch.nn.functional.pad
    monkeypatch.setattr(torch.nn.functional, "pad", lambda x, widths, mode: pad(x, widths, mode="constant"))
    frames = load_encoder("logmel", pool_time_s=None).encode([wave]).frames[0]
    assert np.abs(frames - expected_TM).max() > TOLERANCE_DB
