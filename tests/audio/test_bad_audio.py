"""The 38 cases of shared/data/bad_audio, each with the outcome that its README calls sensible."""

from pathlib import Path

import numpy as np
import pytest

from atrkit.audio.read import UnusableAudioError, inspect_audio, load_mono

SHARED = Path(__file__).resolve().parents[3] / "shared"
BAD_AUDIO = SHARED / "data" / "bad_audio"

pytestmark = pytest.mark.skipif(not BAD_AUDIO.is_dir(), reason="../shared/data/bad_audio is not there")

# refused: a word of the reason that tells a person what is wrong
REFUSED = {
    "zero_bytes.wav": "empty",
    "header_only_no_frames.wav": "0 frames",
    "text_named.wav": "text",
    "html_error_page.flac": "HTML",
    "garbage.wav": "data",
    "nan_float.wav": "101 of 88,200 samples are NaN",
    "inf_float.wav": "2 of 88,200 samples are NaN, infinite",
    "rate_zero.wav": "0 Hz",
    "directory.wav": "folder",
}

# read: sample rate, channels, seconds, and a piece of the repair line (None: nothing to repair)
READ = {
    "truncated.flac": (44100, 1, 2.322, "promises 5.0 s, 2.3 s are there"),
    "truncated.ogg": (44100, 1, 2.033, "breaks off after 2.0 s"),
    "header_too_long.wav": (44100, 1, 1.0, "promises 60.0 s, 1.0 s are there"),
    "stereo_out_of_phase.wav": (44100, 2, 5.001, "channel 1 is used alone"),
    "streaming_header_ffffffff.wav": (44100, 1, 5.001, None),
    "odd_byte.wav": (44100, 1, 5.001, None),
    "mp3_named.wav": (44100, 1, 5.001, None),
    "vorbis_named.mp3": (44100, 1, 5.001, None),
    "u8.wav": (44100, 1, 5.001, None),
    "s24.wav": (44100, 1, 5.001, None),
    "float32.wav": (44100, 1, 4.0, None),
    "alaw.wav": (44100, 1, 5.001, None),
    "float_over_one.wav": (44100, 1, 4.0, None),
    "silence.wav": (44100, 1, 5.0, None),
    "dc_clipped.wav": (44100, 1, 3.0, None),
    "one_sample.wav": (44100, 1, 1 / 44100, None),
    "ten_ms.wav": (44100, 1, 0.01, None),
    "stereo_left_only.flac": (44100, 2, 5.001, None),
    "surround_5_1.wav": (44100, 6, 1.0, None),
    "rate_8000.wav": (8000, 1, 2.0, None),
    "rate_11025.wav": (11025, 1, 2.0, None),
    "rate_96000.wav": (96000, 1, 2.0, None),
    "rate_192000.wav": (192000, 1, 2.0, None),
    "ten_minutes.ogg": (8000, 1, 600.12, None),
    'name with, comma and "quotes".wav': (44100, 1, 1.0, None),
    "Kinder üben – 音.wav": (44100, 1, 1.0, None),
    "  leading space.wav": (44100, 1, 1.0, None),
    "-starts-with-dash.wav": (44100, 1, 1.0, None),
    "UPPER.WAV": (44100, 1, 1.0, None),
}


def test_the_table_names_every_case():
    on_disk = {path.name for path in BAD_AUDIO.iterdir()} - {"README.md", "index.csv"}
    assert on_disk == REFUSED.keys() | READ.keys()
    assert len(on_disk) == 38


@pytest.mark.parametrize("name", REFUSED)
def test_unusable_files_are_refused_with_a_reason(name):
    for read in (inspect_audio, lambda path: load_mono(path, 32000)):
        with pytest.raises(UnusableAudioError) as caught:
            read(BAD_AUDIO / name)
        message = str(caught.value)
        assert REFUSED[name] in message
        assert "\n" not in message and name not in message
        assert caught.value.exit_code == 5


@pytest.mark.parametrize("name", READ)
def test_odd_files_are_read_and_repairs_are_said(name):
    sample_rate_hz, channels, duration_s, repair = READ[name]
    facts = inspect_audio(BAD_AUDIO / name)
    wave = load_mono(BAD_AUDIO / name, 32000)

    assert (facts.sample_rate_hz, facts.channels) == (sample_rate_hz, channels)
    assert facts.frames / facts.sample_rate_hz == pytest.approx(duration_s, abs=6e-4)
    assert len(wave) / 32000 == pytest.approx(facts.frames / facts.sample_rate_hz, abs=1 / 32000)
    assert wave.dtype == np.float32 and np.isfinite(wave).all()
    if repair is None:
        assert facts.repairs == ()
    else:
        (line,) = facts.repairs
        assert repair in line


def test_channels_that_cancel_leave_a_sound():
    assert np.abs(load_mono(BAD_AUDIO / "stereo_out_of_phase.wav", 44100)).max() > 0.9


def test_floats_over_one_are_kept():
    assert np.abs(load_mono(BAD_AUDIO / "float_over_one.wav", 44100)).max() > 2
