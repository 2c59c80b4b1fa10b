"""Pictures of windows, against a loop over samples."""

import numpy as np
import pytest
import soundfile

from atrkit.serve import peaks
from atrkit.serve.peaks import BINS, Peaks, peaks_of
from atrkit.serve.sound_files import GoneError
from tests.serve.test_sound_files import OnDisk


def by_hand(path, start_s, end_s):
    samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    window = samples[round(start_s * rate_hz) : round(end_s * rate_hz)]
    bins = [0.0] * BINS
    for at, frame in enumerate(window):
        bin_ = at * BINS // len(window)
        bins[bin_] = max(bins[bin_], float(np.abs(frame).max()))
    return [round(100 * value / max(bins)) for value in bins]


@pytest.mark.parametrize(
    ("channels", "seconds", "part"), [(1, 1.0, (0.0, 1.0)), (2, 6.3, (3.3, 6.3)), (1, 0.005, (0.0, 0.005))]
)
def test_each_part_is_as_loud_as_its_loudest_sample(tmp_path, channels, seconds, part):
    generator = np.random.default_rng(channels)
    frames = round(seconds * 16000)
    swell = np.linspace(0.05, 0.4, frames)[:, None]
    soundfile.write(tmp_path / "a.wav", swell * generator.standard_normal((frames, channels)).clip(-2, 2), 16000)
    drawn = peaks_of(OnDisk(tmp_path / "a.wav"), *part)
    assert np.abs(np.subtract(drawn, by_hand(tmp_path / "a.wav", *part))).max() <= 1
    assert len(drawn) == BINS and max(drawn) == 100


def test_silence_and_what_lies_behind_the_end_are_flat(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(16000), 16000)
    file = OnDisk(tmp_path / "a.wav")
    assert peaks_of(file, 0.0, 1.0) == peaks_of(file, 50.0, 60.0) == [0] * BINS


def test_a_window_is_drawn_once(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.ones(16000) / 2, 16000)
    file, peaks = OnDisk(tmp_path / "a.wav"), Peaks()
    first = peaks.of(file, 0.0, 1.0)
    file.full_path.unlink()
    assert peaks.of(file, 0.0, 1.0) == first
    with pytest.raises(GoneError):
        peaks.of(file, 0.0, 0.5)


def test_pictures_are_kept_until_there_are_too_many(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(peaks, "_MOST_KEPT", 2)
    monkeypatch.setattr(peaks, "peaks_of", lambda file, start_s, end_s: drawn.append(start_s) or [0] * BINS)
    soundfile.write(tmp_path / "a.wav", np.zeros(100), 16000)
    file, kept = OnDisk(tmp_path / "a.wav"), Peaks()
    for start_s in (
        1.0,
        2.0,
        1.0,
        3.0,
        1.0,
        2.0,
    ):  # the third picture drives out that of second 2, looked at longest ago
        kept.of(file, start_s, 9.0)
    assert drawn == [1.0, 2.0, 3.0, 2.0]
