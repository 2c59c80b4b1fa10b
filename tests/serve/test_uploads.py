"""How much of a sound that somebody searches by is decoded."""

import numpy as np
import pytest
import soundfile

from atrkit.serve import uploads
from atrkit.serve.uploads import keep_beginning


@pytest.mark.parametrize(("seconds", "kept_s"), [(0.5, 0.5), (119.5, 119.5), (120.0, 120.0), (120.5, 120.0)])
def test_two_minutes_are_kept(tmp_path, seconds, kept_s):
    soundfile.write(tmp_path / "a.flac", np.zeros(round(seconds * 1000)), 1000)
    assert keep_beginning(tmp_path / "a.flac", tmp_path / "out.wav") == (seconds > kept_s)
    kept = soundfile.info(tmp_path / "out.wav")
    assert (kept.duration, kept.samplerate, kept.channels) == (kept_s, 1000, 1)


@pytest.mark.parametrize("channels", [1, 2, 8])
def test_of_many_channels_less_is_kept(tmp_path, monkeypatch, channels):
    monkeypatch.setattr(uploads, "_MOST_SAMPLES", 800)
    samples = np.random.default_rng(channels).uniform(-0.5, 0.5, (1000, channels))
    soundfile.write(tmp_path / "a.wav", samples, 8000, "DOUBLE")
    assert keep_beginning(tmp_path / "a.wav", tmp_path / "out.wav")
    kept, _ = soundfile.read(tmp_path / "out.wav", always_2d=True)
    np.testing.assert_allclose(kept, samples[: 800 // channels], atol=1e-6)
