"""Clips in the page: what libsndfile reads back is what was recorded."""

import io
from contextlib import contextmanager

import numpy as np
import pytest
import soundfile

from atrkit.datasets.clip import AudioFile, Clip
from atrkit.datasets.manifest import Dataset
from atrkit.workflows.report_audio import encode, sound_of, sounds_of
from atrkit.workflows.session import Session
from atrkit.workflows.workspace import Workspace
from tests.reports.page.made_up import sine


def clip_in(folder, samples, rate_hz=16000, name="dog.wav", **more):
    soundfile.write(folder / name, samples, rate_hz)
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    clip = Clip(name, name, "0", rate_hz, len(samples), channels, "eval", **more)
    return Dataset("d", (clip,), folder), clip


def read(sound):
    return soundfile.read(io.BytesIO(sound.data), dtype="float32")


def loudest_hz(samples, rate_hz):
    return np.fft.rfftfreq(len(samples), 1 / rate_hz)[np.abs(np.fft.rfft(samples)).argmax()]


@pytest.mark.parametrize("as_mp3", [False, True])
@pytest.mark.parametrize(("rate_hz", "expected_hz"), [(48000, 32000), (32000, 32000), (24000, 24000), (8000, 16000)])
def test_a_clip_sounds_as_it_was_recorded(tmp_path, monkeypatch, as_mp3, rate_hz, expected_hz):
    if as_mp3 and "MP3" not in soundfile.available_formats():
        pytest.skip("this libsndfile cannot write MP3")
    if not as_mp3:
        monkeypatch.setattr(soundfile, "available_formats", lambda: {"WAV": ""})
    sound = sound_of(*clip_in(tmp_path, sine(1.5, rate_hz, 440.0), rate_hz))
    assert sound.media_type == ("audio/mpeg" if as_mp3 else "audio/wav")
    samples, found_hz = read(sound)
    assert found_hz == (expected_hz if as_mp3 else 16000)
    assert samples.ndim == 1 and len(samples) / found_hz == pytest.approx(1.5, abs=0.1)
    assert loudest_hz(samples, found_hz) == pytest.approx(440, abs=2)
    assert np.abs(samples).max() == pytest.approx(0.3, abs=0.05)
    assert (sound.cut_to_s, sound.why_not) == (None, "")


def test_mp3_is_much_smaller_than_wav():
    if "MP3" not in soundfile.available_formats():
        pytest.skip("this libsndfile cannot write MP3")
    noise = np.random.default_rng(0).normal(0, 0.1, 32000).astype(np.float32)
    assert len(encode(noise, 16000, as_mp3=True)[0]) < len(encode(noise, 16000, as_mp3=False)[0]) / 3


def test_the_same_clip_gives_the_same_bytes(tmp_path):
    placed = clip_in(tmp_path, sine(0.5, 16000))
    assert sound_of(*placed).data == sound_of(*placed).data


def test_channels_are_averaged_and_do_not_cancel(tmp_path):
    left = sine(0.5, 16000)
    placed = clip_in(tmp_path, np.stack([left, -left], axis=1))
    for longest_s in (30.0, 0.2):  # also where not all of it is wanted
        samples, _ = read(sound_of(*placed, longest_s=longest_s))
        assert samples.ndim == 1 and np.abs(samples).max() == pytest.approx(0.3, abs=0.05)


def test_a_long_clip_is_cut_and_says_so(tmp_path):
    """Also where the beginning is silent: then nothing tells yet that channels cancel."""
    for start in (0.3, 0.0):
        samples = np.concatenate([np.full(16000, start, dtype=np.float32), sine(3, 16000)])
        sound = sound_of(*clip_in(tmp_path, samples), longest_s=1.0)
        assert sound.cut_to_s == 1.0 and sound.duration_s == 4.0
        assert len(read(sound)[0]) / 16000 == pytest.approx(1.0, abs=0.1)
    exact = sound_of(*clip_in(tmp_path, sine(1.0, 16000)), longest_s=1.0)
    assert exact.cut_to_s is None


def test_full_scale_is_clipped_not_wrapped():
    samples, _ = soundfile.read(io.BytesIO(encode(np.full(1600, 2.0, dtype=np.float32), 16000, as_mp3=False)[0]))
    assert samples.min() > 0.99


def test_a_clip_whose_file_is_gone_or_no_audio_says_so(tmp_path):
    dataset, clip = clip_in(tmp_path, sine(0.5, 16000))
    (tmp_path / "dog.wav").write_bytes(b"no audio at all")
    broken = sound_of(dataset, clip)
    assert broken.data is None and "dog.wav" in broken.why_not
    (tmp_path / "dog.wav").unlink()
    gone = sound_of(dataset, clip)
    assert gone.data is None and gone.why_not == f"its file is gone: {tmp_path / 'dog.wav'}"


def test_a_copy_stands_in_for_an_original_that_is_gone(tmp_path):
    soundfile.write(tmp_path / "copy.flac", sine(0.5, 16000), 16000)
    copy = AudioFile("copy.flac", "0", 16000, 8000, 1)
    dataset, clip = clip_in(tmp_path, sine(0.5, 44100), 44100, copies=(copy,))
    (tmp_path / "dog.wav").unlink()
    assert len(read(sound_of(dataset, clip))[0]) > 7000


def test_what_has_no_player_and_what_was_cut_is_counted(tmp_path):
    said, advanced = [], []

    @contextmanager
    def progress(description, total, unit, done=0):
        yield lambda items=1, audio_s=0.0, limit="": advanced.append(items)

    dataset, dog = clip_in(tmp_path, sine(0.5, 16000))
    _, sea = clip_in(tmp_path, np.tile(sine(1, 16000), 31), name="sea.wav")
    rain = Clip("rain", "rain.wav", "0", 16000, 16000, 1, "eval")
    session = Session(Workspace(tmp_path), said.append, progress)
    sounds = sounds_of(session, {"d/dog": (dataset, dog), "d/rain": (dataset, rain), "d/sea": (dataset, sea)})
    assert list(sounds) == ["d/dog", "d/rain", "d/sea"] and sum(advanced) == 3
    assert said == [
        f"1 of 3 clips have no player, the first rain: its file is gone: {tmp_path / 'rain.wav'}",
        "1 of 3 clips are longer than 30 s: their beginning is in the page",
    ]
