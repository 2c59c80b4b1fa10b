"""Samples kept as frames come back as they were."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from atrkit.encoders import load_encoder
from atrkit.encoders.waveform import ROW_SAMPLES, samples_of_rows
from atrkit.errors import UsageError
from atrkit.models import Ragged

ENCODER = load_encoder("waveform")


def again(frames: list[np.ndarray], dtype: str = "float32") -> list[np.ndarray]:
    """The waves of rows that were kept in a store of that type, in one padded batch."""
    rows_BTR, lengths_B = Ragged.from_sequences([rows_TR.astype(dtype) for rows_TR in frames]).gather(
        torch.arange(len(frames))
    )
    return [wave_N.numpy() for wave_N in samples_of_rows(rows_BTR, lengths_B.tolist())]


@settings(max_examples=30, deadline=None)
@given(lengths=st.lists(st.integers(1, 1500), min_size=1, max_size=4), seed=st.integers(0, 9))
def test_waves_of_any_length_come_back_to_the_bit(lengths, seed):
    draw = np.random.default_rng(seed)
    waves = [draw.normal(size=length).astype(np.float32) for length in lengths]
    for wave in waves[::2]:
        wave[-min(len(wave), 50) :] = 0.0  # silence at the end is sound, not padding
    encoded = ENCODER.encode(waves)
    assert [len(rows_TR) for rows_TR in encoded.frames] == [-(-length // ROW_SAMPLES) for length in lengths]
    for wave, kept in zip(waves, again(encoded.frames), strict=True):
        np.testing.assert_array_equal(kept, wave)
    for wave, kept in zip(waves, again(encoded.frames, "float16"), strict=True):
        np.testing.assert_array_equal(kept, wave.astype(np.float16))
    expected = [np.sqrt(np.mean(wave.astype(np.float64) ** 2)) for wave in waves]
    np.testing.assert_allclose(encoded.clip[:, 0], expected, rtol=1e-6)


@pytest.mark.parametrize("level_db", [0, -20, -40, -60])
@pytest.mark.parametrize("kind", ["sine", "noise"])
def test_float16_changes_what_lies_72_db_below_the_sound(kind, level_db):
    n = np.arange(64_000)
    wave = np.sin(n * 0.0864) if kind == "sine" else 0.2 * np.random.default_rng(0).standard_normal(len(n))
    wave = (wave * 10 ** (level_db / 20)).astype(np.float32)
    (kept,) = again(ENCODER.encode([wave]).frames, "float16")
    error = kept.astype(np.float64) - wave
    assert 10 * np.log10(np.mean(wave.astype(np.float64) ** 2) / np.mean(error**2)) > 72.0


def test_the_rate_is_a_setting():
    encoder = load_encoder("waveform", sample_rate_hz=16000)
    assert encoder.sample_rate_hz == 16000 and encoder.frame_period_s == 0.02
    assert encoder.settings["sample_rate_hz"] == 16000 and ENCODER.settings["sample_rate_hz"] == 32000
    with pytest.raises(UsageError, match="no positive number"):
        load_encoder("waveform", sample_rate_hz=0)
    with pytest.raises(UsageError, match="has no weights"):
        load_encoder("waveform", "weights.pth")
