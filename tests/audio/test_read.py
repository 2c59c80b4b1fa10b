"""Reading audio: any file in, one channel at the wanted rate out, and nothing goes wrong in silence."""

import hashlib
import io
import os
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from atrkit.audio.read import AUDIO_SUFFIXES, UnusableAudioError, inspect_audio, load_mono


def noise(frames: int, channels: int = 1, seed: int = 0) -> np.ndarray:
    samples = 0.1 * np.random.default_rng(seed).standard_normal((frames, channels))
    return samples.astype(np.float32)


def write(path, samples, sample_rate_hz=44100, **options):
    soundfile.write(path, samples, sample_rate_hz, **options)
    return path


def file_bytes(samples, sample_rate_hz=44100, **options) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, sample_rate_hz, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("channels", [1, 2, 5])
@pytest.mark.parametrize(("from_hz", "to_hz"), [(44100, 32000), (8000, 32000), (48000, 16000), (32000, 32000)])
def test_blocks_equal_the_whole_resampled_at_once(tmp_path, channels, from_hz, to_hz):
    samples = noise(300_000, channels)  # more than one block
    path = write(tmp_path / "a.wav", samples, from_hz, subtype="FLOAT")

    wave = load_mono(path, to_hz)

    expected = soxr.resample(samples.mean(axis=1), from_hz, to_hz, quality="HQ")
    assert wave.dtype == np.float32 and wave.shape == expected.shape
    np.testing.assert_allclose(wave, expected, atol=1e-6)


def test_facts_are_those_of_the_file(tmp_path):
    path = write(tmp_path / "a.flac", noise(12345, 2), 22050)
    facts = inspect_audio(path)
    assert (facts.sample_rate_hz, facts.frames, facts.channels, facts.repairs) == (22050, 12345, 2, ())
    assert facts.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_memory_is_about_that_of_the_mono_result(tmp_path):
    minutes, channels, sample_rate_hz = 4, 8, 16000
    frames = minutes * 60 * sample_rate_hz
    path = tmp_path / "long.flac"
    with soundfile.SoundFile(path, "w", sample_rate_hz, channels) as file:
        for _ in range(minutes):
            file.write(np.zeros((frames // minutes, channels), dtype=np.float32))
    tracemalloc.start()
    try:
        wave = load_mono(path, sample_rate_hz)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert wave.shape == (frames,)
    all_channels_bytes = frames * channels * 4
    assert peak_bytes < 1.3 * wave.nbytes + 8e6 < all_channels_bytes / 3


# --- files that are cut -------------------------------------------------------------------------------------------

CUTTABLE = {
    "wav": {"format": "WAV", "subtype": "PCM_16"},
    "float": {"format": "WAV", "subtype": "FLOAT"},
    "adpcm": {"format": "WAV", "subtype": "IMA_ADPCM"},
    "rf64": {"format": "RF64", "subtype": "PCM_16"},
    "w64": {"format": "W64", "subtype": "PCM_16"},
    "aiff": {"format": "AIFF", "subtype": "PCM_16"},
    "svx": {"format": "SVX", "subtype": "PCM_16"},
    "au": {"format": "AU", "subtype": "PCM_16"},
    "flac": {"format": "FLAC", "subtype": "PCM_16"},
    "vorbis": {"format": "OGG", "subtype": "VORBIS"},
    "mp3": {"format": "MP3", "subtype": "MPEG_LAYER_III"},
}


@pytest.mark.parametrize("kind", CUTTABLE)
def test_whole_files_need_no_repair(tmp_path, kind):
    path = tmp_path / "a"
    path.write_bytes(file_bytes(noise(80_000), **CUTTABLE[kind]))
    facts = inspect_audio(path)
    assert facts.repairs == ()
    assert 0 <= facts.frames - 80_000 < 2048  # coders round up to their blocks


@pytest.mark.parametrize("kept", [0.999, 0.9, 0.6])
@pytest.mark.parametrize("kind", CUTTABLE)
def test_a_cut_file_is_kept_as_far_as_it_goes_and_said_to_be_cut(tmp_path, kind, kept):
    content = file_bytes(noise(80_000), **CUTTABLE[kind])
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    whole.write_bytes(content)
    cut.write_bytes(content[: int(len(content) * kept)])

    facts = inspect_audio(cut)
    wave, whole_wave = load_mono(cut, 44100), load_mono(whole, 44100)

    (line,) = facts.repairs
    assert "promises" in line or "breaks off" in line
    assert facts.frames == len(wave) <= inspect_audio(whole).frames
    assert facts.frames > 80_000 * (kept - 0.3)
    damaged_end = 2048 if kind in ("adpcm", "mp3") else 0  # their last block cannot be had without all its bytes
    good = len(wave) - damaged_end
    np.testing.assert_array_equal(wave[:good], whole_wave[:good])


def test_an_ogg_cut_between_two_pages_is_said_to_be_cut(tmp_path):
    content = file_bytes(noise(80_000), format="OGG", subtype="VORBIS")
    path = tmp_path / "a.ogg"
    path.write_bytes(content[: content.rfind(b"OggS")])
    (line,) = inspect_audio(path).repairs
    assert "breaks off" in line


def test_chunks_of_odd_length_before_the_samples_are_stepped_over(tmp_path):
    content = file_bytes(noise(1000), format="WAV", subtype="PCM_16")
    at = content.find(b"data")
    odd_chunk = b"note" + struct.pack("<I", 5) + b"hello" + b"\0"
    path = tmp_path / "a.wav"
    path.write_bytes(content[:at] + odd_chunk + content[at:])
    assert inspect_audio(path).repairs == ()
    path.write_bytes((content[:at] + odd_chunk + content[at:])[:-1000])
    assert inspect_audio(path).frames == 500
    assert len(inspect_audio(path).repairs) == 1


def test_a_flac_cut_inside_its_first_frame_is_refused(tmp_path):
    path = tmp_path / "a.flac"
    path.write_bytes(file_bytes(noise(80_000), format="FLAC")[:3000])
    with pytest.raises(UnusableAudioError, match="no audio in it"):
        inspect_audio(path)


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFF000, 0x80000000])
def test_sizes_that_streaming_programs_write_are_no_promise(tmp_path, size):
    content = bytearray(file_bytes(noise(1000), format="WAV", subtype="PCM_16"))
    at = content.find(b"data") + 4
    content[4:8] = content[at : at + 4] = struct.pack("<I", size)
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    if size == 0:  # libsndfile takes this one at its word
        with pytest.raises(UnusableAudioError, match="0 frames"):
            inspect_audio(path)
    else:
        assert inspect_audio(path).repairs == ()
        assert inspect_audio(path).frames == 1000


def test_a_flac_of_undeclared_length_is_read_to_its_end(tmp_path):
    samples = noise(100_000)
    content = bytearray(file_bytes(samples, format="FLAC"))
    content[21] &= 0xF0  # STREAMINFO: 36 bits of total samples, 0 for unknown
    content[22:26] = bytes(4)
    path = tmp_path / "a.flac"
    path.write_bytes(content)
    assert inspect_audio(path).frames == 100_000
    assert inspect_audio(path).repairs == ()
    np.testing.assert_allclose(load_mono(path, 44100), samples[:, 0], atol=1e-4)


def test_a_damaged_flac_is_kept_up_to_the_damage(tmp_path):
    content = bytearray(file_bytes(noise(100_000), format="FLAC"))
    content[len(content) // 2] ^= 0xFF
    path = tmp_path / "a.flac"
    path.write_bytes(content)
    (line,) = inspect_audio(path).repairs
    assert "promises 2.3 s" in line and "flac decoder" in line
    assert 30_000 < inspect_audio(path).frames < 70_000


# --- channels -----------------------------------------------------------------------------------------------------


def test_channels_that_cancel_are_replaced_by_the_loudest_and_the_first_of_equals(tmp_path):
    left = noise(400_000)[:, 0]  # more than one block
    third = np.zeros_like(left)
    equal = write(tmp_path / "equal.wav", np.stack([left, -left], 1), subtype="FLOAT")
    np.testing.assert_array_equal(load_mono(equal, 44100), left)
    assert inspect_audio(equal).repairs == ("the mean of the 2 channels is silence: channel 1 is used alone",)

    loudest = np.stack([-left / 2, third, left, -left / 2], 1)
    path = write(tmp_path / "loudest.wav", loudest, subtype="FLOAT")
    np.testing.assert_array_equal(load_mono(path, 44100), left)
    assert "channel 3 is used alone" in inspect_audio(path).repairs[0]


def test_lossy_coding_does_not_hide_that_channels_cancel(tmp_path):
    left = np.sin(2 * np.pi * 440 * np.arange(44100) / 44100)
    path = write(tmp_path / "a.ogg", 0.5 * np.stack([left, -left], 1), format="OGG", subtype="VORBIS")
    assert len(inspect_audio(path).repairs) == 1
    assert np.abs(load_mono(path, 44100)).max() > 0.4


@pytest.mark.parametrize("right_gain", [0.0, 1.0, -0.9])
def test_channels_that_do_not_cancel_are_averaged(tmp_path, right_gain):
    left = noise(1000)[:, 0]
    path = write(tmp_path / "a.wav", np.stack([left, right_gain * left], 1), subtype="FLOAT")
    assert inspect_audio(path).repairs == ()
    np.testing.assert_allclose(load_mono(path, 44100), left * (1 + right_gain) / 2, atol=1e-7)


def test_silence_is_audio(tmp_path):
    path = write(tmp_path / "a.wav", np.zeros((500, 2)))
    assert inspect_audio(path).repairs == ()
    assert not load_mono(path, 32000).any()


# --- what is no audio ---------------------------------------------------------------------------------------------


def test_samples_that_are_no_numbers_are_counted_over_all_channels_and_blocks(tmp_path):
    samples = noise(400_000, 2)
    samples[[3, 200_000, 399_999], [0, 1, 1]] = [np.nan, np.inf, 1e30]
    path = write(tmp_path / "a.wav", samples, subtype="FLOAT")
    with pytest.raises(UnusableAudioError, match=r"^3 of 800,000 samples are NaN, infinite or over"):
        inspect_audio(path)
    with pytest.raises(UnusableAudioError, match=r"^3 of 800,000 samples"):
        load_mono(path, 32000)


def test_integers_in_a_float_file_are_samples(tmp_path):
    path = write(tmp_path / "a.wav", np.full((100, 1), 2.0**31), subtype="FLOAT")
    assert load_mono(path, 44100).max() == 2.0**31


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><title>404</title>", "HTML"),
        ("Grüße von nirgends\n".encode() * 400, "text, not audio"),
        (("x" + "ü" * 3000).encode(), "text, not audio"),
        (b"\0\0\0\x20ftypM4A \0\0\0\0" + bytes(500), "convert it to WAV or FLAC"),
        (np.random.default_rng(5).bytes(5000), "convert it to WAV or FLAC"),
    ],
)
def test_what_is_no_audio_is_named(tmp_path, content, reason):
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    with pytest.raises(UnusableAudioError, match=reason):
        inspect_audio(path)


def test_paths_that_are_no_files(tmp_path):
    with pytest.raises(UnusableAudioError, match="a folder"):
        inspect_audio(tmp_path)
    with pytest.raises(UnusableAudioError, match="no such file"):
        inspect_audio(tmp_path / "missing.wav")
    os.mkfifo(tmp_path / "pipe.wav")
    with pytest.raises(UnusableAudioError, match="not a regular file"):
        inspect_audio(tmp_path / "pipe.wav")


@pytest.mark.parametrize("name", ["-", "-n.wav", "a, b.wav", ' "q".wav', "üben – 音.wav", "no_suffix", "a%20b#c?.wav"])
def test_names_do_not_matter(tmp_path, monkeypatch, name):
    (tmp_path / name).write_bytes(file_bytes(noise(10), format="WAV"))
    monkeypatch.chdir(tmp_path)
    assert inspect_audio(Path(name)).frames == 10


def test_random_damage_never_gives_anything_but_a_reason(tmp_path):
    rng = np.random.default_rng(11)
    path = tmp_path / "a"
    for options in CUTTABLE.values():
        content = file_bytes(noise(3000), **options)
        for _ in range(12):
            damaged = bytearray(content)
            damaged[rng.integers(0, 120)] = rng.integers(0, 256)
            path.write_bytes(damaged)
            try:
                assert np.isfinite(load_mono(path, 32000)).all()
            except UnusableAudioError as error:
                assert "\n" not in str(error)


def test_suffixes_are_lower_case_with_a_dot():
    assert {".wav", ".flac", ".ogg", ".mp3", ".opus", ".aiff"} <= AUDIO_SUFFIXES
    assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in AUDIO_SUFFIXES)
