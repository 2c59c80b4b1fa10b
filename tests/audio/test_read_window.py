"""A part of a file is what reading all of it gives there, whatever the format, the rates and the channels."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from atrkit.audio import decode, read
from atrkit.audio.read import UnusableAudioError, load_mono, load_mono_window

SECONDS = 12.0
WINDOWS = [(0.0, 2.0), (5.3, 7.3), (10.1, 14.0), (13.0, 15.0)]


def write(path: Path, rate_hz: int, channels: int = 2, subtype: str | None = None) -> Path:
    generator = np.random.default_rng(rate_hz)
    soundfile.write(path, 0.1 * generator.standard_normal((round(SECONDS * rate_hz), channels)), rate_hz, subtype)
    return path


@pytest.mark.parametrize(
    ("name", "rate_hz", "wanted_hz", "subtype"),
    [
        ("a.wav", 16000, 16000, "PCM_16"),
        ("a.flac", 44100, 32000, "PCM_24"),
        ("a.flac", 8000, 32000, "PCM_16"),
        ("a.wav", 11025, 16000, "ULAW"),
        ("a.wav", 16001, 16000, "FLOAT"),
        ("a.ogg", 44100, 32000, "VORBIS"),
        ("a.mp3", 44100, 32000, "MPEG_LAYER_III"),
        ("b.ogg", 48000, 32000, "OPUS"),
        ("a.wav", 8000, 16000, "GSM610"),
        ("a.wav", 8000, 16000, "IMA_ADPCM"),
    ],
)
def test_a_window_is_that_of_the_whole_file(tmp_path, name, rate_hz, wanted_hz, subtype):
    path = write(tmp_path / name, rate_hz, 1 if subtype == "GSM610" else 2, subtype)
    whole = load_mono(path, wanted_hz)
    for start_s, end_s in WINDOWS:
        expected = whole[round(start_s * wanted_hz) : round(end_s * wanted_hz)]
        # soxr HQ is made for 20 bits
        np.testing.assert_allclose(load_mono_window(path, wanted_hz, start_s, end_s), expected, rtol=0, atol=4e-6)


def test_of_a_long_file_little_is_decoded(tmp_path, monkeypatch):
    path = write(tmp_path / "a.flac", 44100)
    frames = []
    as_ever = decode.BlockReader.window

    def count(reader, first, stop):
        frames.append(stop - first)
        return as_ever(reader, first, stop)

    def never(*_):
        raise AssertionError("all of the file was read")

    monkeypatch.setattr(decode.BlockReader, "window", count)
    monkeypatch.setattr(decode.BlockReader, "blocks", never)
    assert len(load_mono_window(path, 32000, 6.0, 8.0)) == 64000
    assert 2 * 44100 < sum(frames) < 3 * 44100


def test_where_channels_cancel_the_whole_file_decides_which_is_heard(tmp_path):
    left = 0.1 * np.random.default_rng(1).standard_normal(20 * 8000)
    cancelled = np.stack([left, -left], axis=1)
    soundfile.write(tmp_path / "all.wav", cancelled, 8000, "FLOAT")
    mixed = cancelled.copy()
    mixed[: 8000 * 5, 1] = 0
    soundfile.write(tmp_path / "part.wav", mixed, 8000, "FLOAT")
    for name in ("all.wav", "part.wav"):
        whole = load_mono(tmp_path / name, 16000)[16000 * 10 : 16000 * 15]
        np.testing.assert_allclose(load_mono_window(tmp_path / name, 16000, 10, 15), whole, rtol=0, atol=2e-6)
        assert (np.abs(whole).max() > 0.01) == (name == "all.wav")


def test_samples_that_are_not_finite_are_refused(tmp_path):
    samples = np.zeros(16000 * 3, np.float32)
    samples[20000] = np.nan
    soundfile.write(tmp_path / "a.wav", samples, 16000, "FLOAT")
    with pytest.raises(UnusableAudioError, match="NaN"):
        load_mono_window(tmp_path / "a.wav", 16000, 1.0, 2.0)
    with pytest.raises(read.UnusableAudioError):
        load_mono_window(tmp_path / "none.wav", 16000, 1.0, 2.0)
