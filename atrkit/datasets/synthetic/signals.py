"""Building blocks of the sounds: tones, noise, envelopes, repetition. Float64, 16 kHz, no state but the generator."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE_HZ = 16_000

Signal = NDArray[np.float64]


def samples(duration_s: float) -> int:
    """Samples in so many seconds."""
    return round(duration_s * SAMPLE_RATE_HZ)


def times_s(duration_s: float) -> Signal:
    """The time of every sample."""
    return np.arange(samples(duration_s)) / SAMPLE_RATE_HZ


def tone(frequency_hz: float | Signal, duration_s: float) -> Signal:
    """A sine; its frequency may change from sample to sample."""
    per_sample_hz = np.broadcast_to(np.asarray(frequency_hz, dtype=np.float64), samples(duration_s))
    return np.sin(2 * np.pi * np.cumsum(per_sample_hz) / SAMPLE_RATE_HZ)


def harmonics(frequency_hz: float | Signal, duration_s: float, amplitudes: Signal, top_hz: float) -> Signal:
    """A sum of harmonics without aliasing: those above `top_hz` are left out.

    Args:
        frequency_hz: the fundamental, constant or per sample.
        duration_s: length.
        amplitudes: of harmonics 1, 2, 3, ...
        top_hz: highest frequency that is kept, judged by the fundamental's maximum.
    """
    per_sample_hz = np.broadcast_to(np.asarray(frequency_hz, dtype=np.float64), samples(duration_s))
    kept = amplitudes[: int(top_hz // per_sample_hz.max())]
    phase = 2 * np.pi * np.cumsum(per_sample_hz) / SAMPLE_RATE_HZ
    total = np.zeros_like(phase)
    for harmonic in np.flatnonzero(kept):
        total += kept[harmonic] * np.sin((harmonic + 1) * phase)
    return total


def band_noise(rng: np.random.Generator, duration_s: float, low_hz: float, high_hz: float) -> Signal:
    """Noise between two frequencies, with edges of a tenth of each so that it does not ring; RMS 1."""
    length = samples(duration_s)
    spectrum = np.fft.rfft(rng.standard_normal(length))
    frequencies_hz = np.fft.rfftfreq(length, 1 / SAMPLE_RATE_HZ)
    rise = np.clip((frequencies_hz - 0.9 * low_hz) / (0.1 * low_hz), 0, 1)
    fall = np.clip((1.1 * high_hz - frequencies_hz) / (0.1 * high_hz), 0, 1)
    noise = np.fft.irfft(spectrum * rise * fall, length)
    return np.asarray(noise / np.sqrt(np.mean(noise**2)), dtype=np.float64)


def faded(signal: Signal, fade_s: float = 0.01) -> Signal:
    """The signal with raised-cosine ends, so that it starts and stops without a click."""
    length = min(samples(fade_s), len(signal) // 2)
    ramp = 0.5 - 0.5 * np.cos(np.pi * (np.arange(length) + 0.5) / length)
    shaped = signal.copy()
    shaped[:length] *= ramp
    shaped[len(signal) - length :] *= ramp[::-1]
    return shaped


def decay(duration_s: float, time_constant_s: float) -> Signal:
    """An envelope that falls to 1/e in each time constant."""
    return np.exp(-times_s(duration_s) / time_constant_s)


def repeated(
    rng: np.random.Generator, make_one: Callable[[], Signal], times: int, period_s: float, jitter: float = 0.06
) -> Signal:
    """The same sort of sound several times, each made anew, at nearly equal intervals.

    Args:
        rng: draws the jitter.
        make_one: makes one sound.
        times: how many.
        period_s: from one start to the next.
        jitter: largest deviation of a start, as a fraction of the period.
    """
    starts_s = period_s * (np.arange(times) + jitter * rng.uniform(0, 2, times))
    parts = [make_one() for _ in range(times)]
    total = np.zeros(max(samples(start) + len(part) for start, part in zip(starts_s, parts, strict=True)))
    for start_s, part in zip(starts_s, parts, strict=True):
        start = samples(start_s)
        total[start : start + len(part)] += part
    return total
