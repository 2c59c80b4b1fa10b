"""From plan to sound: levels, places in time, background noise, and the bytes of a WAV file.

Each clip has its own generator, seeded by (seed, split, index), so that clips can be rendered in any order by any
number of processes. The file is WAV with 16-bit PCM: no codec whose next version would give other bytes.
"""

import io
import wave
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from atrkit.datasets.synthetic.captions import Layout
from atrkit.datasets.synthetic.events import LOUDNESS
from atrkit.datasets.synthetic.layouts import NOISE_STREAM, RENDER_STREAM, ClipPlan
from atrkit.datasets.synthetic.partition import SPLITS
from atrkit.datasets.synthetic.signals import SAMPLE_RATE_HZ, Signal, samples
from atrkit.datasets.synthetic.sounds import waveform

LEVELS_DBFS = {"loud": -10.0, "unnamed": -19.0, "faint": -28.0}
LEVEL_SPREAD_DB = 2.0
BACKGROUND_DBFS = (-50.0, -38.0)
GAP_S = (0.1, 0.5)
MARGIN_S = (0.2, 1.0)
SHORTEST_CLIP_S, LONGEST_CLIP_S = 1.6, 7.0
NOISE_BANK_S = 30.0
# slopes of the backgrounds' spectra: white, pink and brown
NOISE_EXPONENTS = (0.0, 0.5, 1.0)
LIMITER_KNEE = 0.7


@dataclass(frozen=True)
class Placement:
    """Where an event lies in its clip, and how loud it is.

    Args:
        start_s: its first sample.
        end_s: after its last sample.
        level_dbfs: RMS of its loudest 20 ms; a full-scale square wave has 0.
    """

    start_s: float
    end_s: float
    level_dbfs: float


@dataclass(frozen=True)
class RenderedClip:
    """A clip's samples, in [-1, 1], and where its events are, in the plan's order."""

    signal: Signal
    placements: tuple[Placement, ...]


def noise_bank(seed: int) -> list[Signal]:
    """Three long noises, RMS 1; every background is a piece of one: drawing noise anew would take most of the time."""
    rng = np.random.default_rng([NOISE_STREAM, seed])
    length = samples(NOISE_BANK_S)
    frequencies_hz = np.maximum(np.fft.rfftfreq(length, 1 / SAMPLE_RATE_HZ), 40)
    bank = []
    for exponent in NOISE_EXPONENTS:
        spectrum = np.fft.rfft(rng.standard_normal(length)) / frequencies_hz**exponent
        noise = np.fft.irfft(spectrum, length)
        bank.append(noise / np.sqrt(np.mean(noise**2)))
    return bank


def render(plan: ClipPlan, seed: int, bank: Sequence[Signal]) -> RenderedClip:
    """Render one clip.

    Args:
        plan: what it contains.
        seed: of the dataset.
        bank: `noise_bank(seed)`.

    Returns:
        The mixture and where its events lie. The same plan, seed and bank give the same bits.
    """
    rng = np.random.default_rng([RENDER_STREAM, seed, SPLITS.index(plan.split), plan.index])
    levels_dbfs = [
        LEVELS_DBFS[event.properties[LOUDNESS]] + rng.uniform(-LEVEL_SPREAD_DB, LEVEL_SPREAD_DB)
        for event in plan.events
    ]
    sounds = [at_level(waveform(event, rng), level) for event, level in zip(plan.events, levels_dbfs, strict=True)]
    starts, length = _arrange(plan.layout, [len(sound) for sound in sounds], rng)
    mixture = _background(length, bank, rng)
    for start, sound in zip(starts, sounds, strict=True):
        mixture[start : start + len(sound)] += sound
    placements = tuple(
        Placement(start / SAMPLE_RATE_HZ, (start + len(sound)) / SAMPLE_RATE_HZ, level)
        for start, sound, level in zip(starts, sounds, levels_dbfs, strict=True)
    )
    return RenderedClip(limited(mixture), placements)


def at_level(sound: Signal, level_dbfs: float) -> Signal:
    """Scale a sound so that the RMS of its loudest 20 ms is at the level; pauses and tails do not count."""
    window = samples(0.02)
    energy = np.cumsum(np.concatenate([[0.0], sound**2]))
    loudest = np.sqrt(np.max(energy[window:] - energy[:-window]) / window)
    return np.asarray(sound * (10 ** (level_dbfs / 20) / loudest), dtype=np.float64)


def limited(mixture: Signal) -> Signal:
    """Bend what exceeds the knee so that it stays below 1: loud events that coincide never clip."""
    excess = np.maximum(np.abs(mixture) - LIMITER_KNEE, 0)
    room = 1 - LIMITER_KNEE
    return np.sign(mixture) * (np.minimum(np.abs(mixture), LIMITER_KNEE) + room * np.tanh(excess / room))


def _arrange(layout: Layout, lengths: Sequence[int], rng: np.random.Generator) -> tuple[list[int], int]:
    """First sample of each event, and samples in the clip. Nothing here depends on which kinds they are."""
    if layout == "overlap":
        # the shorter lies within the longer
        longest = max(lengths)
        offsets = [int(rng.integers(longest - length + 1)) for length in lengths]
        end = longest
    else:
        gaps = [samples(rng.uniform(*GAP_S)) for _ in lengths[1:]]
        offsets = [sum(lengths[:i]) + sum(gaps[:i]) for i in range(len(lengths))]
        end = offsets[-1] + lengths[-1]
    lead_s, tail_s = rng.uniform(*MARGIN_S, 2)
    around = np.clip(samples(lead_s + tail_s), samples(SHORTEST_CLIP_S) - end, samples(LONGEST_CLIP_S) - end)
    lead = round(around * lead_s / (lead_s + tail_s))
    return [lead + offset for offset in offsets], end + int(around)


def _background(length: int, bank: Sequence[Signal], rng: np.random.Generator) -> Signal:
    noise = bank[int(rng.integers(len(bank)))]
    start = int(rng.integers(len(noise) - length))
    gain: float = 10 ** (rng.uniform(*BACKGROUND_DBFS) / 20)
    return np.asarray(noise[start : start + length] * gain, dtype=np.float64)


def wav_bytes(signal: Signal) -> bytes:
    """A mono 16-bit WAV file of a signal in [-1, 1]."""
    pcm = np.rint(signal * 32_767).astype("<i2")
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes(pcm.tobytes())
    return buffer.getvalue()
