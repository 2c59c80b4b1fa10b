"""Every property must be audible: measured on waveforms by estimators that know nothing of how they were made."""

import numpy as np
import pytest
from scipy.signal import find_peaks

from atrkit.datasets.synthetic.events import AXES, KINDS, Event, axes_of
from atrkit.datasets.synthetic.signals import SAMPLE_RATE_HZ
from atrkit.datasets.synthetic.sounds import LONGEST_EVENT_S, waveform

DRAWS = 8
STRUCK = ["knock", "clock", "bird", "drips", "cricket", "footsteps"]


def kinds_with(axis):
    return [kind for kind in KINDS if axis in KINDS[kind]]


def make(kind, draw, **properties):
    rng = np.random.default_rng([draw, list(KINDS).index(kind)])
    drawn = {axis: AXES[axis][int(rng.integers(len(AXES[axis])))] for axis in axes_of(kind)}
    return waveform(Event(kind, {**drawn, **properties}), rng)


def strongest_hz(signal):
    power = np.abs(np.fft.rfft(signal)) ** 2
    hz = np.fft.rfftfreq(len(signal), 1 / SAMPLE_RATE_HZ)
    width = max(1, round(20 / hz[1]))
    return hz[np.argmax(np.convolve(power, np.ones(width), mode="same"))]


def envelope(signal, smooth_s):
    window = np.hanning(round(smooth_s * SAMPLE_RATE_HZ))
    return np.sqrt(np.convolve(signal**2, window / window.sum(), mode="same"))[::80]


def bursts(signal):
    """Peaks of the level that stand 3 dB above what lies between them and are at most 15 dB below the highest."""
    level_db = 20 * np.log10(envelope(np.pad(signal, 1600), 0.08) + 1e-6 * np.abs(signal).max())
    return find_peaks(level_db, prominence=3, height=level_db.max() - 15)[0]


def gusts_per_s(signal):
    level = envelope(signal, 0.06)
    swings = np.abs(np.fft.rfft((level - level.mean()) * np.hanning(len(level)), 4096))
    return np.argmax(swings) * (SAMPLE_RATE_HZ / 80) / 4096


def pitch_track_hz(signal):
    frames = np.lib.stride_tricks.sliding_window_view(signal, 512)[::160] * np.hanning(512)
    return np.argmax(np.abs(np.fft.rfft(frames, 4096)), axis=1) * SAMPLE_RATE_HZ / 4096


@pytest.mark.parametrize("kind", KINDS)
def test_every_event_is_finite_audible_and_short_enough(kind):
    for draw in range(DRAWS):
        signal = make(kind, draw)
        assert np.isfinite(signal).all()
        assert np.abs(signal).max() > 0.1
        assert 0.1 < len(signal) / SAMPLE_RATE_HZ <= LONGEST_EVENT_S


@pytest.mark.parametrize("kind", kinds_with("pitch"))
def test_high_is_higher_than_low(kind):
    high = [strongest_hz(make(kind, draw, pitch="high")) for draw in range(DRAWS)]
    low = [strongest_hz(make(kind, draw, pitch="low")) for draw in range(DRAWS)]
    assert min(high) > 1.7 * max(low)


def test_pitches_lie_where_the_specification_puts_them():
    beeps_hz = [strongest_hz(make("beep", draw, pitch="high", count="once")) for draw in range(DRAWS)]
    engines_hz = [strongest_hz(make("engine", draw, pitch="low")) for draw in range(DRAWS)]
    crickets_hz = [strongest_hz(make("cricket", draw)) for draw in range(DRAWS)]
    assert min(beeps_hz) > 1_680 and max(beeps_hz) < 2_320
    assert min(engines_hz) > 50 and max(engines_hz) < 85
    assert min(crickets_hz) > 4_750 and max(crickets_hz) < 5_250


@pytest.mark.parametrize("kind", kinds_with("count"))
def test_once_is_one_burst_and_several_are_three_or_four(kind):
    for draw in range(DRAWS):
        assert len(bursts(make(kind, draw, count="once"))) == 1
        assert len(bursts(make(kind, draw, count="several"))) in (3, 4)


@pytest.mark.parametrize("kind", STRUCK)
def test_fast_bursts_come_three_times_as_often_as_slow_ones(kind):
    for draw in range(DRAWS):
        fast_s = np.diff(bursts(make(kind, draw, speed="fast"))) * 80 / SAMPLE_RATE_HZ
        slow_s = np.diff(bursts(make(kind, draw, speed="slow"))) * 80 / SAMPLE_RATE_HZ
        assert 0.17 < np.mean(fast_s) < 0.23 and len(fast_s) >= 5
        assert 0.5 < np.mean(slow_s) < 0.7 and len(slow_s) >= 2


def test_fast_wind_gusts_in_quick_succession():
    fast = [gusts_per_s(make("wind", draw, speed="fast")) for draw in range(DRAWS)]
    slow = [gusts_per_s(make("wind", draw, speed="slow")) for draw in range(DRAWS)]
    assert min(fast) > 3 and max(slow) < 2


def test_siren_swings_fast_or_slowly_around_900_hz():
    for draw in range(DRAWS):
        for speed, swings in (("fast", (7, 14)), ("slow", (2, 5))):
            track_hz = pitch_track_hz(make("siren", draw, speed=speed))[2:-2]
            crossings = np.count_nonzero(np.diff(np.sign(track_hz - 900)))
            assert swings[0] <= crossings <= swings[1]
            assert track_hz.min() > 500 and track_hz.max() < 1_320


@pytest.mark.parametrize(("kind", "direction"), [("rising_sweep", 1), ("falling_sweep", -1)])
def test_sweeps_go_one_way_for_a_third_of_a_second_or_more_than_one(kind, direction):
    for draw in range(DRAWS):
        fast, slow = make(kind, draw, speed="fast"), make(kind, draw, speed="slow")
        assert 0.3 < len(fast) / SAMPLE_RATE_HZ < 0.4
        assert 1.1 < len(slow) / SAMPLE_RATE_HZ < 1.5
        for signal in (fast, slow):
            steps_hz = direction * np.diff(pitch_track_hz(signal)[1:-1])
            assert np.mean(steps_hz >= 0) > 0.95 and steps_hz.sum() > 1_500


def test_bands_of_noise_kinds():
    rain_hz, wind_hz = strongest_hz(make("rain", 0)), strongest_hz(make("wind", 0))
    assert rain_hz > 900 and wind_hz < 770


def test_two_events_of_the_same_description_never_sound_the_same():
    for kind in KINDS:
        properties = {axis: AXES[axis][0] for axis in axes_of(kind)}
        first, second = make(kind, 0, **properties), make(kind, 1, **properties)
        assert len(first) != len(second) or np.abs(first - second).max() > 0.01
