"""Sounds as they are given to players, against soundfile."""

import io
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile

from atrkit.serve import sound_files
from atrkit.serve.sound_files import GoneError, open_playable
from tests.serve.world import wave_of


@dataclass
class OnDisk:
    full_path: Path
    size_bytes: int = 0
    mtime_ns: int = 0
    id: str = "0" * 16
    sha256: str = "0" * 64
    duration_s: float = 0.0

    def __post_init__(self):
        facts = self.full_path.stat()
        self.size_bytes, self.mtime_ns = facts.st_size, facts.st_mtime_ns


def sound(path: Path, channels: int = 1, seconds: float = 0.5, rate_hz: int = 16000, **how: str) -> OnDisk:
    waves = np.stack([wave_of("bell", seconds, rate_hz) / (1 + channel) for channel in range(channels)], axis=1)
    soundfile.write(path, waves, rate_hz, **how)
    return OnDisk(path)


@pytest.mark.parametrize(
    ("name", "subtype", "media_type"),
    [
        ("a.wav", "PCM_16", "audio/wav"),
        ("a.wav", "PCM_24", "audio/wav"),
        ("a.wav", "FLOAT", "audio/wav"),
        ("a.flac", None, "audio/flac"),
        ("a.ogg", None, "audio/ogg"),
        ("a.mp3", None, "audio/mpeg"),
    ],
)
def test_what_browsers_play_goes_out_byte_for_byte(tmp_path, name, subtype, media_type):
    file = sound(tmp_path / name, subtype=subtype)
    playable = open_playable(file)
    assert (playable.media_type, playable.size_bytes) == (media_type, file.size_bytes)
    assert b"".join(playable.chunks(0, playable.size_bytes)) == file.full_path.read_bytes()


@pytest.mark.parametrize(
    ("name", "subtype", "channels"),
    [("a.aiff", "PCM_24", 2), ("a.wav", "PCM_32", 1), ("a.wav", "DOUBLE", 1), ("a.au", "FLOAT", 3), ("a.w64", None, 6)],
)
def test_the_rest_becomes_wav(tmp_path, name, subtype, channels):
    file = sound(tmp_path / name, channels, subtype=subtype, rate_hz=44100)
    playable = open_playable(file)
    made = b"".join(playable.chunks(0, playable.size_bytes))
    assert playable.media_type == "audio/wav" and len(made) == playable.size_bytes
    samples, rate_hz = soundfile.read(io.BytesIO(made), always_2d=True)
    expected, _ = soundfile.read(file.full_path, always_2d=True)
    assert rate_hz == 44100 and samples.shape == (len(expected), min(channels, 2))
    assert np.abs(samples - expected[:, :2]).max() < 1e-4
    assert soundfile.info(io.BytesIO(made)).subtype == "PCM_16"


def test_any_part_of_a_made_wav_is_that_part_of_the_whole(tmp_path):
    file = sound(tmp_path / "a.aiff", 2, seconds=4.0, rate_hz=44100, subtype="PCM_24")
    whole = b"".join(open_playable(file).chunks(0, open_playable(file).size_bytes))
    generator = np.random.default_rng(1)
    cuts = [(0, 1), (0, 44), (43, 45), (44, 48), (45, 46), (len(whole) - 1, len(whole))]
    cuts += [tuple(sorted(generator.choice(len(whole), 2, replace=False))) for _ in range(20)]
    for start, stop in cuts:
        assert b"".join(open_playable(file).chunks(int(start), int(stop))) == whole[start:stop], (start, stop)


@pytest.mark.parametrize("channels", [1, 2])
def test_a_made_wav_is_no_longer_than_its_header_can_say(tmp_path, monkeypatch, channels):
    file = sound(tmp_path / "a.aiff", channels, subtype="PCM_24")
    monkeypatch.setattr(sound_files, "_LARGEST_WAV_BYTES", 1001)  # 4 GB are too many for a test
    playable = open_playable(file)
    made = b"".join(playable.chunks(0, playable.size_bytes))
    assert len(made) == playable.size_bytes == 1000
    samples, _ = soundfile.read(io.BytesIO(made), always_2d=True)
    expected, _ = soundfile.read(file.full_path, always_2d=True)
    np.testing.assert_allclose(samples, expected[: 956 // 2 // channels], atol=1e-4)


def test_samples_over_full_scale_are_clipped_not_wrapped(tmp_path):
    soundfile.write(tmp_path / "a.au", np.array([0.0, 3.0, -3.0, 0.5] * 100), 16000, subtype="FLOAT")
    playable = open_playable(OnDisk(tmp_path / "a.au"))
    samples, _ = soundfile.read(io.BytesIO(b"".join(playable.chunks(0, playable.size_bytes))))
    np.testing.assert_allclose(samples[:4], [0, 1, -1, 0.5], atol=1e-4)


def changed(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"more")


def replaced_by_another_of_its_size(path: Path) -> None:
    facts = path.stat()
    path.write_bytes(bytes(facts.st_size))
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns + 1))


def replaced_by_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def replaced_by_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    "happens", [Path.unlink, changed, replaced_by_another_of_its_size, replaced_by_a_pipe, replaced_by_a_folder]
)
def test_another_file_than_was_indexed_is_not_given(tmp_path, happens):
    file = sound(tmp_path / "a.wav")
    happens(file.full_path)
    with pytest.raises(GoneError) as error:
        open_playable(file)
    assert str(tmp_path) not in str(error.value) and "atrkit index" in str(error.value)


def test_what_was_never_a_sound_is_not_given(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"secret" * 100)
    with pytest.raises(GoneError, match="cannot be decoded"):
        open_playable(OnDisk(tmp_path / "a.wav"))


def test_files_are_closed(tmp_path):
    files = [sound(tmp_path / "a.wav"), sound(tmp_path / "a.aiff", subtype="PCM_24")]
    before = len(list(Path("/dev/fd").iterdir()))
    for file in files:
        list(open_playable(file).chunks(0, 10))
        open_playable(file).close()
        begun = open_playable(file).chunks(0, file.size_bytes)
        next(begun)
        begun.close()  # as when somebody closes the page
    assert len(list(Path("/dev/fd").iterdir())) == before
