"""Copies at another rate: the right samples, rounded once, in the same bytes every time, whole or not at all."""

import errno
import hashlib
import io
import math
import resource
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile

from atrkit.audio.flac import FlacWriter
from atrkit.audio.read import UnusableAudioError, inspect_audio, load_mono, sample_rate_of
from atrkit.audio.resample import write_resampled
from atrkit.errors import ResourceError, UsageError

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
BAD_AUDIO = SHARED / "bad_audio"
CLIPS_44100_HZ = [
    SHARED / "clips" / "audio" / "Flipping Pages.flac",
    SHARED / "clips" / "audio_esc10" / "1-17367-A.ogg",
]
needs_shared = pytest.mark.skipif(not BAD_AUDIO.is_dir(), reason="../shared/data is not there")


def write(path, samples, sample_rate_hz=44100, subtype="FLOAT", **options):
    soundfile.write(path, samples, sample_rate_hz, subtype, **options)
    return path


def pcm_of(path):
    pcm, _ = soundfile.read(path, dtype="int16", always_2d=True)
    return pcm[:, 0]


def faded(samples, sample_rate_hz, fade_s=0.02):
    """Without the clicks at both ends, which no band contains."""
    ramp = 0.5 - 0.5 * np.cos(np.pi * np.arange(round(fade_s * sample_rate_hz)) / (fade_s * sample_rate_hz))
    samples[: len(ramp)] *= ramp
    samples[len(samples) - len(ramp) :] *= ramp[::-1]
    return samples


def chirp(sample_rate_hz, *, to_hz, from_hz=20.0, seconds=30.0, level_dbfs=-1.0):
    time_s = np.arange(round(seconds * sample_rate_hz)) / sample_rate_hz
    phase = 2 * np.pi * (from_hz * time_s + (to_hz - from_hz) / (2 * seconds) * time_s**2)
    return faded(10 ** (level_dbfs / 20) * np.sin(phase), sample_rate_hz)


def snr_db(expected, actual):
    return 10 * np.log10(np.sum(expected**2) / np.sum((actual - expected) ** 2))


# --- fidelity -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("to_hz", "least_db"), [(8_000, 94), (12_000, 85), (12_500, 82), (13_000, 79.7)])
def test_a_chirp_equals_the_chirp_computed_at_the_other_rate(tmp_path, to_hz, least_db):
    """Up to 8 kHz the 16 bits limit it, above soxr's gain at the end of its pass band: -0.004 dB at 13 kHz."""
    source = write(tmp_path / "chirp.wav", chirp(44100, to_hz=to_hz))
    write_resampled(source, tmp_path / "chirp.flac", 32000)
    assert snr_db(chirp(32000, to_hz=to_hz), pcm_of(tmp_path / "chirp.flac") / 32768) >= least_db


@pytest.mark.parametrize("frequency_hz", [16_500, 17_000, 18_000, 19_000, 20_000])
def test_a_tone_that_the_copy_cannot_hold_leaves_nothing(tmp_path, frequency_hz):
    tone = np.sin(2 * np.pi * frequency_hz * np.arange(2 * 44100) / 44100)
    source = write(tmp_path / "tone.wav", faded(0.9 * tone, 44100, fade_s=0.2))
    write_resampled(source, tmp_path / "tone.flac", 32000)
    assert not pcm_of(tmp_path / "tone.flac").any()
    alias = load_mono(source, 32000)
    assert 10 * np.log10(np.mean(alias.astype(np.float64) ** 2)) < -125


def brick_wall(samples, from_hz, to_hz):
    """Resample by cutting the spectrum, in float64, with a second of silence on either side."""
    unit = math.gcd(from_hz, to_hz)
    step, to_step = from_hz // unit, to_hz // unit
    padded = np.pad(samples.astype(np.float64), (from_hz, from_hz + -len(samples) % step))
    frames = len(padded) // step * to_step
    spectrum = np.fft.rfft(padded)[: frames // 2 + 1]
    return (np.fft.irfft(spectrum, frames) * frames / len(padded))[
        to_hz : to_hz + round(len(samples) * to_hz / from_hz)
    ]


def below(samples, sample_rate_hz, highest_hz):
    spectrum = np.fft.rfft(samples)
    spectrum[np.fft.rfftfreq(len(samples), 1 / sample_rate_hz) > highest_hz] = 0
    return np.fft.irfft(spectrum, len(samples))


@needs_shared
@pytest.mark.parametrize("clip", CLIPS_44100_HZ, ids=lambda path: path.suffix[1:])
def test_real_recordings_are_limited_by_their_16_bits(tmp_path, clip):
    samples, from_hz = soundfile.read(clip)
    expected = brick_wall(samples, from_hz, 32000)
    write_resampled(clip, tmp_path / "copy.flac", 32000)
    copy = pcm_of(tmp_path / "copy.flac") / 32768
    assert from_hz == 44100 and len(copy) == len(expected)

    band_hz = 12_500
    expected, copy = below(expected, 32000, band_hz), below(copy, 32000, band_hz)
    rounding_power = band_hz / 16000 / 12 / 32768**2
    assert snr_db(expected, copy) > 10 * np.log10(np.mean(expected**2) / rounding_power) - 0.5


# --- 16 bits ------------------------------------------------------------------------------------------------------


def test_all_16_bit_values_pass_unchanged(tmp_path):
    ramp = np.arange(-32768, 32768).astype(np.int16)
    source = write(tmp_path / "ramp.wav", ramp, 32000, subtype="PCM_16")
    resampled = write_resampled(source, tmp_path / "ramp.flac", 32000)
    np.testing.assert_array_equal(pcm_of(tmp_path / "ramp.flac"), ramp)
    assert resampled.clipped_samples == 0


def test_values_between_are_rounded_and_not_cut(tmp_path):
    between = np.array([0.4, 0.6, 1.6, -0.4, -0.6, -1.6, 99.7, -99.7])
    source = write(tmp_path / "a.wav", between / 32768, 32000, subtype="DOUBLE")
    write_resampled(source, tmp_path / "a.flac", 32000)
    assert pcm_of(tmp_path / "a.flac").tolist() == [0, 1, 2, 0, -1, -2, 100, -100]


def test_what_is_beyond_full_scale_is_clipped_and_counted(tmp_path):
    values = np.array([1.0, -1.0, 1.5, -1.5, 1e6, -1e6, 32767.4 / 32768, 32767.6 / 32768, -32768.4 / 32768, 0.5])
    source = write(tmp_path / "a.wav", values, 32000, subtype="DOUBLE")
    resampled = write_resampled(source, tmp_path / "a.flac", 32000)
    top, bottom = 32767, -32768
    assert pcm_of(tmp_path / "a.flac").tolist() == [top, bottom, top, bottom, top, bottom, top, top, bottom, 16384]
    assert resampled.clipped_samples == 6  # 1.0 is one step too high, -1.0 is the lowest value


def test_a_copy_is_load_mono_rounded_whatever_the_length_and_blocks(tmp_path):
    noise = np.random.default_rng(0).normal(scale=0.4, size=(700_001, 2))  # several blocks, and peaks beyond 1
    source = write(tmp_path / "a.wav", noise)
    resampled = write_resampled(source, tmp_path / "a.flac", 32000)
    wave = np.round(load_mono(source, 32000).astype(np.float64) * 32768)
    np.testing.assert_array_equal(pcm_of(tmp_path / "a.flac"), np.minimum(np.maximum(wave, -32768), 32767))
    assert resampled.clipped_samples == np.sum((wave > 32767) | (wave < -32768)) > 0


# --- facts, channels, length --------------------------------------------------------------------------------------


def test_facts_are_those_of_both_files(tmp_path):
    source = write(tmp_path / "a.wav", np.zeros((44100, 2)))
    resampled = write_resampled(source, tmp_path / "new" / "a.flac", 32000)
    assert resampled.original == inspect_audio(source)
    assert resampled.copy == inspect_audio(tmp_path / "new" / "a.flac")
    assert (resampled.copy.sample_rate_hz, resampled.copy.frames, resampled.copy.channels) == (32000, 32000, 1)
    assert soundfile.info(tmp_path / "new" / "a.flac").subtype == "PCM_16"


@pytest.mark.parametrize("from_hz", [8000, 11025, 16000, 22050, 44100, 48000, 96000, 192000])
def test_the_length_is_rounded_to_the_nearest_sample(tmp_path, from_hz):
    for frames in (3, 4, 5, 441, 1000, 1001, 12345):
        source = write(tmp_path / "a.wav", np.zeros(frames), from_hz)
        resampled = write_resampled(source, tmp_path / "a.flac", 32000)
        assert resampled.copy.frames == math.floor(frames * 32000 / from_hz + 0.5)


def test_channels_that_cancel_leave_the_loudest_one_alone(tmp_path):
    left = np.random.default_rng(0).normal(scale=0.1, size=400_000).astype(np.float32)  # more than one block
    both = write(tmp_path / "both.wav", np.stack([left, -left], 1))
    alone = write(tmp_path / "alone.wav", left)
    resampled = write_resampled(both, tmp_path / "both.flac", 32000)
    assert resampled.original.repairs == ("the mean of the 2 channels is silence: channel 1 is used alone",)
    assert resampled.copy == write_resampled(alone, tmp_path / "alone.flac", 32000).copy
    assert (tmp_path / "both.flac").read_bytes() == (tmp_path / "alone.flac").read_bytes()


def test_the_sample_rate_is_known_without_decoding(tmp_path):
    source = write(tmp_path / "a.wav", np.full(10, np.nan), 22050)
    assert sample_rate_of(source) == 22050
    with pytest.raises(UnusableAudioError, match="there is no such file"):
        sample_rate_of(tmp_path / "b.wav")


@pytest.mark.parametrize("sample_rate_hz", [0, 999, 655_351])
def test_rates_that_no_copy_can_have_are_refused(tmp_path, sample_rate_hz):
    source = write(tmp_path / "a.wav", np.zeros(100))
    with pytest.raises(UsageError, match="choose a --sample-rate of 1,000 to 655,350 Hz"):
        write_resampled(source, tmp_path / "a.flac", sample_rate_hz)
    for allowed_hz in (1_000, 655_350):
        assert write_resampled(source, tmp_path / "a.flac", allowed_hz).copy.sample_rate_hz == allowed_hz


# --- files --------------------------------------------------------------------------------------------------------


def test_the_bytes_depend_on_the_recording_and_the_rate_only(tmp_path):
    source = write(tmp_path / "a.wav", np.random.default_rng(0).normal(scale=0.1, size=100_000))
    copies = [write_resampled(source, tmp_path / f"{n}" / f"name {n}.flac", 32000).copy for n in range(3)]
    files = [path.read_bytes() for path in sorted(tmp_path.rglob("*.flac"))]
    assert files[0] == files[1] == files[2] and len(set(copies)) == 1
    assert copies[0].sha256 == hashlib.sha256(files[0]).hexdigest()


def test_an_unusable_recording_leaves_no_file(tmp_path, capfd):
    noise = np.random.default_rng(0).normal(scale=0.1, size=700_000)
    noise[-1] = np.nan  # found when most of the copy is written
    source = write(tmp_path / "a.wav", noise)
    (tmp_path / "copies").mkdir()
    for target in (tmp_path / "copies" / "a.flac", tmp_path / "copies" / "b" / "a.flac"):
        with pytest.raises(UnusableAudioError, match="1 of 700,000 samples are NaN"):
            write_resampled(source, target, 32000)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [source]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("frames", [1, 2])
def test_a_recording_that_is_too_short_for_one_sample_is_refused(tmp_path, frames):
    source = write(tmp_path / "a.wav", np.ones(frames), 192000)
    with pytest.raises(UnusableAudioError, match=f"too short: {frames} samples at 192,000 Hz are none at 32,000 Hz"):
        write_resampled(source, tmp_path / "a.flac", 32000)


def test_a_rate_of_a_few_hertz_is_a_damaged_header(tmp_path):
    source = write(tmp_path / "a.wav", np.zeros(100_000), 3)
    for read in (inspect_audio, sample_rate_of, lambda path: write_resampled(path, tmp_path / "a.flac", 32000)):
        with pytest.raises(UnusableAudioError, match="the header says 3 Hz"):
            read(source)


@pytest.mark.parametrize("limit_bytes", [0, 100, 10_000, 200_000])
def test_a_full_disk_leaves_the_old_copy_and_says_so(tmp_path, capfd, limit_bytes):
    source = write(tmp_path / "a.wav", np.random.default_rng(0).normal(scale=0.1, size=(400_000, 2)) * [1, -1])
    target = tmp_path / "a.flac"
    target.write_bytes(b"old")
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, unlimited[1]))
    try:
        with pytest.raises(ResourceError, match=r"cannot write .*a\.flac: the file-size limit is reached"):
            write_resampled(source, target, 32000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    assert target.read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.flac", "a.wav"]
    assert capfd.readouterr() == ("", "")


class FailsOnce(io.BytesIO):
    """A file of which one call fails, as on a disk that was full for a moment."""

    def __init__(self, call):
        super().__init__()
        self.calls_left = call
        self.has_failed = False

    def count(self):
        self.calls_left -= 1
        if self.calls_left == 0:
            self.has_failed = True
            raise OSError(errno.ENOSPC, "no space")

    def write(self, data):
        self.count()
        return super().write(data)

    def seek(self, *arguments):
        self.count()
        return super().seek(*arguments)


def test_no_failure_of_a_write_goes_unnoticed(capfd):
    """FAULTS.md row 23: the Nth call fails, N = 1, 2, 3, ..."""
    noise = np.random.default_rng(0).normal(scale=0.1, size=20_000).astype(np.float32)
    for call in range(1, 1000):
        file = FailsOnce(call)
        try:
            with FlacWriter(file, 32000) as writer:
                writer.write(noise[:10_000])
                writer.start_over()
                writer.write(noise)
        except OSError as error:
            assert file.has_failed and error.errno == errno.ENOSPC
        else:
            assert not file.has_failed
            break
    assert call > 20
    assert capfd.readouterr() == ("", "")


def test_a_writer_that_starts_over_has_forgotten_everything():
    long, short = np.full(50_000, 1.5, dtype=np.float32), np.zeros(100, dtype=np.float32)
    long[::3] = 0.1
    files = io.BytesIO(), io.BytesIO()
    with FlacWriter(files[0], 32000) as writer:
        writer.write(long)
        writer.start_over()
        writer.write(short)
    with FlacWriter(files[1], 32000) as plain:
        plain.write(short)
    assert files[0].getvalue() == files[1].getvalue()
    assert (writer.frames, writer.clipped_samples) == (100, 0)


def test_a_full_disk_is_noticed_at_once():
    writer = FlacWriter(FailsOnce(10), 32000)
    with pytest.raises(OSError, match="no space"):
        writer.write(np.random.default_rng(0).normal(size=100_000).astype(np.float32))


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    source = write(tmp_path / "a.wav", np.zeros(100))
    with pytest.raises(ResourceError, match="a file is in the way of a folder"):
        write_resampled(source, source / "a.flac", 32000)


def test_memory_does_not_grow_with_the_recording(tmp_path):
    minute, sample_rate_hz, minutes = np.zeros((60 * 16000, 2), dtype=np.float32), 16000, 10
    with soundfile.SoundFile(tmp_path / "long.flac", "w", sample_rate_hz, 2) as file:
        for _ in range(minutes):
            file.write(minute)
    tracemalloc.start()
    try:
        resampled = write_resampled(tmp_path / "long.flac", tmp_path / "copy.flac", 32000)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert resampled.copy.frames == minutes * 60 * 32000
    assert peak_bytes < 10e6 < resampled.copy.frames


@needs_shared
def test_odd_files_are_copied_or_refused_as_they_are_read(tmp_path):
    """All 38 cases, at 32 kHz."""
    outcomes = {"copied": 0, "refused": 0}
    for source in sorted(BAD_AUDIO.iterdir()):
        if source.suffix in (".md", ".csv"):
            continue
        target = tmp_path / f"{source.name}.flac"
        try:
            expected = load_mono(source, 32000)
        except UnusableAudioError as error:
            with pytest.raises(UnusableAudioError) as caught:
                write_resampled(source, target, 32000)
            assert str(caught.value) == str(error)
            assert not target.exists()
            outcomes["refused"] += 1
            continue
        resampled = write_resampled(source, target, 32000)
        assert resampled.original == inspect_audio(source)
        assert resampled.copy == inspect_audio(target)
        np.testing.assert_array_equal(pcm_of(target), np.clip(np.round(expected * 32768), -32768, 32767))
        outcomes["copied"] += 1
    assert outcomes == {"copied": 29, "refused": 9}


@needs_shared
@pytest.mark.parametrize(
    ("name", "frames", "is_clipped"),
    [
        ("stereo_out_of_phase.wav", 160_032, False),
        ("float_over_one.wav", 128_000, True),
        ("dc_clipped.wav", 96_000, True),  # rings beyond full scale
        ("header_too_long.wav", 32_000, False),
        ("one_sample.wav", 1, False),
        ("rate_192000.wav", 64_000, False),
        ("surround_5_1.wav", 32_000, False),
        ("s24.wav", 160_032, False),
    ],
)
def test_some_of_them_by_name(tmp_path, name, frames, is_clipped):
    resampled = write_resampled(BAD_AUDIO / name, tmp_path / "a.flac", 32000)
    assert resampled.copy.frames == pytest.approx(frames, abs=1)
    assert (resampled.clipped_samples > 0) == is_clipped


def test_the_header_holds_no_date(tmp_path):
    source = write(tmp_path / "a.wav", np.zeros(100_000))
    write_resampled(source, tmp_path / "a.flac", 32000)
    plain = io.BytesIO()
    soundfile.write(plain, np.zeros(round(100_000 * 32000 / 44100), dtype=np.int16), 32000, "PCM_16", format="FLAC")
    assert (tmp_path / "a.flac").read_bytes() == plain.getvalue()
