"""What each kind sounds like: a waveform for an event, at no particular level.

The frequencies, rates and properties are those of the specification's prototype; envelopes, partials and durations are
our choice. Phases, pitches within the register, durations and intervals are drawn anew for every event, so that an
event is recognised by its kind and properties and never by its waveform.
"""

from collections.abc import Callable, Mapping

import numpy as np

from atrkit.datasets.synthetic.events import Event
from atrkit.datasets.synthetic.signals import (
    SAMPLE_RATE_HZ,
    Signal,
    band_noise,
    decay,
    faded,
    harmonics,
    repeated,
    samples,
    times_s,
    tone,
)

LONGEST_EVENT_S = 1.8

Maker = Callable[[Mapping[str, str], np.random.Generator], Signal]


def waveform(event: Event, rng: np.random.Generator) -> Signal:
    """The event's sound, at most 1.8 s long, before its level is set."""
    sound = MAKERS[event.kind](event.properties, rng)
    return faded(sound[: samples(LONGEST_EVENT_S)], 0.005)


def _register_hz(
    properties: Mapping[str, str], rng: np.random.Generator, high: tuple[float, float], low: tuple[float, float]
) -> float:
    return float(rng.uniform(*(high if properties["pitch"] == "high" else low)))


def _lasting_s(rng: np.random.Generator) -> float:
    return float(rng.uniform(1.4, 1.8))


def _counted(
    properties: Mapping[str, str],
    rng: np.random.Generator,
    make_one: Callable[[], Signal],
    period_s: float,
) -> Signal:
    if properties["count"] == "once":
        return make_one()
    return repeated(rng, make_one, int(rng.integers(3, 5)), period_s * rng.uniform(0.95, 1.05))


def _paced(properties: Mapping[str, str], rng: np.random.Generator, make_one: Callable[[], Signal]) -> Signal:
    period_s = (0.2 if properties["speed"] == "fast" else 0.6) * rng.uniform(0.92, 1.08)
    times = max(3, round(_lasting_s(rng) / period_s))
    return repeated(rng, make_one, times, period_s)


def _beep(properties: Mapping[str, str], rng: np.random.Generator) -> Signal:
    frequency_hz = _register_hz(properties, rng, (1_700, 2_300), (500, 700))
    return _counted(properties, rng, lambda: faded(tone(frequency_hz, rng.uniform(0.2, 0.3))), 0.45)


def _sweep(properties: Mapping[str, str], rng: np.random.Generator, ends_hz: tuple[float, float]) -> Signal:
    duration_s = (0.35 if properties["speed"] == "fast" else 1.3) * rng.uniform(0.9, 1.1)
    start_hz, end_hz = (end * rng.uniform(0.93, 1.07) for end in ends_hz)
    progress = np.linspace(0, 1, samples(duration_s))
    return faded(tone(start_hz * (end_hz / start_hz) ** progress, duration_s), 0.02)


def _rising_sweep(properties: Mapping[str, str], rng: np.random.Generator) -> Signal:
    return _sweep(properties, rng, (400, 2_600))


def _falling_sweep(properties: Mapping[str, str], rng: np.random.Generator) -> Signal:
    return _sweep(properties, rng, (2_600, 400))


def _bell(properties: Mapping[str, str], rng: np.random.Generator) -> Signal:
    fundamental_hz = _register_hz(properties, rng, (1_000, 1_300), (260, 340))

    def one() -> Signal:
        strike = np.zeros(samples(0.9))
        for ratio, weight in zip((1, 1.48, 2.09, 2.56, 3.39, 4.08), (1, 0.7, 0.6, 0.4, 0.3, 0.25), strict=True):
            strike += weight * tone(fundamental_hz * ratio, 0.9) * decay(0.9, 0.2 / ratio**0.5)
        return faded(strike, 0.004)

    return _counted(properties, rng, one, 0.36)


def _knock(properties: Mapping[str, str], rng: np.random.Generator) -> Signal:
    return _paced(properties, rng, lambda: band_noise(rng, 0.12, 120, 900) * decay(0.12, 0.025))


def _clock(properties: Mapping[str, str], rng: np.random.Generator) -> Signal:
    return _paced(properties, rng, lambda: band_noise(rng, 0.05, 2_500, 5_500) * decay(0.05, 0.008))


def _siren(properties: Mapping[str, str], rng: np.random.Generator) -> Signal:
    duration_s = _lasting_s(rng)
    period_s = (0.3 if properties["speed"] == "fast" else 1.0) * rng.uniform(0.95, 1.05)
    swing = np.sin(2 * np.pi * (times_s(duration_s) / period_s + rng.uniform()))
    return faded(harmonics(900 + 350 * swing, duration_s, np.array([1, 0.3, 0.15]), 7_000), 0.05)


def _engine(properties: Mapping[str, str], rng: np.random.Generator) -> Signal:
    duration_s = _lasting_s(rng)
    fundamental_hz = _register_hz(properties, rng, (150, 190), (55, 75))
    anchors = 1 + 0.04 * rng.standard_normal(12)
    wobble = np.interp(np.linspace(0, 11, samples(duration_s)), np.arange(12), anchors)
    rumble = harmonics(fundamental_hz * wobble, duration_s, 1 / np.arange(1, 41), 2_500)
    return faded(rumble + 0.1 * band_noise(rng, duration_s, 80, 1_500), 0.08)


def _bird(properties: Mapping[str, str], rng: np.random.Generator) -> Signal:
    def one() -> Signal:
        arc = np.sin(np.linspace(0, np.pi * rng.uniform(0.8, 2.2), samples(0.11)))
        return faded(tone(3_700 + 450 * arc * rng.choice([-1.0, 1.0]), 0.11), 0.02)

    return _paced(properties, rng, one)


def _rain(properties: Mapping[str, str], rng: np.random.Generator) -> Signal:
    duration_s = _lasting_s(rng)
    crackle = np.zeros(samples(duration_s))
    drops = rng.integers(0, len(crackle), round(45 * duration_s))
    crackle[drops] = rng.uniform(3, 7, len(drops))
    splash = np.convolve(crackle, decay(0.004, 0.0008) * np.tile([1.0, -1.0], samples(0.002)))[: len(crackle)]
    return faded(band_noise(rng, duration_s, 1_000, 7_000) + splash, 0.12)


def _drips(properties: Mapping[str, str], rng: np.random.Generator) -> Signal:
    def one() -> Signal:
        start_hz = rng.uniform(780, 840)
        glide_hz = np.linspace(start_hz, start_hz * 1.35, samples(0.1))
        return faded(tone(glide_hz, 0.1) * decay(0.1, 0.028), 0.003)

    return _paced(properties, rng, one)


def _wind(properties: Mapping[str, str], rng: np.random.Generator) -> Signal:
    duration_s = _lasting_s(rng)
    # a gust needs room to swell: a little slower than what is struck
    period_s = (0.25 if properties["speed"] == "fast" else 0.8) * rng.uniform(0.92, 1.08)
    swell = 0.5 - 0.5 * np.cos(2 * np.pi * (times_s(duration_s) / period_s + rng.uniform()))
    return faded(band_noise(rng, duration_s, 60, 700) * (0.08 + swell**1.5), 0.08)


def _buzzer(properties: Mapping[str, str], rng: np.random.Generator) -> Signal:
    frequency_hz = _register_hz(properties, rng, (380, 460), (110, 140))
    odd = np.where(np.arange(1, 60) % 2 == 1, 1 / np.arange(1, 60), 0)
    return _counted(properties, rng, lambda: faded(harmonics(frequency_hz, rng.uniform(0.25, 0.33), odd, 7_200)), 0.44)


def _dog(properties: Mapping[str, str], rng: np.random.Generator) -> Signal:
    pitch_hz = _register_hz(properties, rng, (650, 850), (200, 270))

    def one() -> Signal:
        duration_s = rng.uniform(0.16, 0.22)
        arch = np.sin(np.linspace(0, np.pi, samples(duration_s)))
        voice = harmonics(pitch_hz * (0.8 + 0.35 * arch), duration_s, 1 / np.arange(1, 13) ** 0.7, 5_000)
        breath = band_noise(rng, duration_s, 600, 4_000)
        return (voice + 0.35 * breath) * arch**0.7

    return _counted(properties, rng, one, 0.42)


def _cricket(properties: Mapping[str, str], rng: np.random.Generator) -> Signal:
    carrier_hz = rng.uniform(4_800, 5_200)

    def one() -> Signal:
        gate = np.maximum(0, np.sin(2 * np.pi * 33 * times_s(0.09))) ** 0.5
        return tone(carrier_hz, 0.09) * gate

    return _paced(properties, rng, one)


def _phone(properties: Mapping[str, str], rng: np.random.Generator) -> Signal:
    lower_hz = _register_hz(properties, rng, (1_200, 1_400), (420, 480))

    def one() -> Signal:
        duration_s = rng.uniform(0.26, 0.34)
        chopped = (times_s(duration_s) * 20) % 1 < 0.5
        gate = np.convolve(chopped, np.full(48, 1 / 48), mode="same")
        return faded((tone(lower_hz, duration_s) + tone(1.26 * lower_hz, duration_s)) * gate)

    return _counted(properties, rng, one, 0.44)


def _footsteps(properties: Mapping[str, str], rng: np.random.Generator) -> Signal:
    def one() -> Signal:
        thud = tone(rng.uniform(75, 95), 0.13) * decay(0.13, 0.03)
        drag = band_noise(rng, 0.13, 1_500, 4_000) * np.sin(np.linspace(0, np.pi, samples(0.13))) ** 2
        return faded(thud + 0.3 * drag, 0.004)

    return _paced(properties, rng, one)


MAKERS: Mapping[str, Maker] = {
    "beep": _beep,
    "rising_sweep": _rising_sweep,
    "falling_sweep": _falling_sweep,
    "bell": _bell,
    "knock": _knock,
    "clock": _clock,
    "siren": _siren,
    "engine": _engine,
    "bird": _bird,
    "rain": _rain,
    "drips": _drips,
    "wind": _wind,
    "buzzer": _buzzer,
    "dog": _dog,
    "cricket": _cricket,
    "phone": _phone,
    "footsteps": _footsteps,
}

__all__ = ["LONGEST_EVENT_S", "MAKERS", "SAMPLE_RATE_HZ", "waveform"]
