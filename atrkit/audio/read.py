"""Read any audio file: what it is, and its samples as one channel at the rate you need.

Encoders own their sample rate, so everything is resampled here with soxr HQ: feeding 44.1 kHz audio to a 32 kHz model
is the field's commonest silent error.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soxr

from atrkit.audio.decode import BlockReader, Float32Array, UnusableAudioError

__all__ = ["AUDIO_SUFFIXES", "AudioFacts", "UnusableAudioError", "inspect_audio", "load_mono"]

# what libsndfile 1.2 decodes and people name so; headerless (.raw) and ambiguous (.mat, .htk) ones are left out
AUDIO_SUFFIXES = frozenset(
    {".wav", ".wave", ".bwf", ".rf64", ".w64", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".mp2"}
    | {".aif", ".aiff", ".aifc", ".caf", ".au", ".snd", ".voc", ".sph", ".nist"}
    | {".svx", ".8svx", ".iff", ".paf", ".ircam", ".sf", ".avr"}
)

# our choice: 60 dB below the loudest channel is what lossy coding leaves of two channels that cancel exactly
_CANCELLED_POWER_RATIO = 1e-6


@dataclass(frozen=True)
class AudioFacts:
    """What is known of a file after reading all of it.

    Args:
        sha256: of the file's bytes.
        sample_rate_hz: of the file.
        frames: samples per channel that can be read, not what the header promises.
        channels: of the file.
        repairs: one line for each thing that `load_mono` works around.
    """

    sha256: str
    sample_rate_hz: int
    frames: int
    channels: int
    repairs: tuple[str, ...]


class _ChannelPowers:
    """Sums of squares of every channel and of their mean, gathered block by block."""

    def __init__(self, channels: int) -> None:
        self._of_channel = np.zeros(channels)
        self._of_mean = 0.0

    def add(self, block: Float32Array, mean: Float32Array) -> None:
        self._of_channel += np.einsum("nc,nc->c", block, block, dtype=np.float64)
        self._of_mean += float(np.einsum("n,n->", mean, mean, dtype=np.float64))

    @property
    def instead_of_mean(self) -> int | None:
        """The loudest channel (the first of equals) when the mean would be silence and it is not, else None."""
        loudest = int(self._of_channel.argmax())
        is_cancelled = self._of_mean < _CANCELLED_POWER_RATIO * self._of_channel[loudest]
        return loudest if is_cancelled else None


def inspect_audio(path: Path) -> AudioFacts:
    """Read the whole file once, in blocks, and say what it is and what is wrong with it.

    An import should meet every problem, not the training run a day later. What can be read is kept and its repair
    is listed; what cannot is refused with the reason.

    Args:
        path: the file, any name.

    Returns:
        Facts of the file; `repairs` is empty when nothing is wrong.

    Raises:
        UnusableAudioError: a folder, empty, not audio, no frames, NaN or infinite samples (exit code 5).
    """
    reader, instead = _read_through(path, lambda mono: None)
    repairs = [reader.breaks_off] if reader.breaks_off else []
    if instead is not None:
        repairs.append(f"the mean of the {reader.channels} channels is silence: channel {instead + 1} is used alone")
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return AudioFacts(sha256, reader.sample_rate_hz, reader.frames, reader.channels, tuple(repairs))


def load_mono(path: Path, sample_rate_hz: int) -> Float32Array:
    """The file as one channel at the wanted rate.

    Channels are averaged; if they cancel to silence the loudest one is taken instead (`inspect_audio` says so).
    Memory is about that of the result: blocks are mixed down and resampled as they are decoded.

    Args:
        path: the file, any name.
        sample_rate_hz: wanted rate in Hz.

    Returns:
        Samples, (n,) float32, not clipped: floats over 1 stay as they are.

    Raises:
        UnusableAudioError: as in `inspect_audio`.

    Source: soxr quality HQ (ENCODERS.md, pitfall 7). Choosing a channel when they cancel is our choice.
    """
    samples = bytearray()  # grows in place, where concatenating blocks would need twice the memory

    def keep(mono: Float32Array) -> None:
        samples.extend(np.ascontiguousarray(mono).view(np.uint8).data)

    _, instead = _read_through(path, keep, sample_rate_hz)
    if instead is not None:
        samples.clear()
        _read_through(path, keep, sample_rate_hz, only_channel=instead)
    return np.frombuffer(samples, dtype=np.float32)


def _read_through(
    path: Path,
    take: Callable[[Float32Array], None],
    sample_rate_hz: int | None = None,
    only_channel: int | None = None,
) -> tuple[BlockReader, int | None]:
    """Give every block, as one channel and resampled, to `take`; return the reader and the channel to use instead."""
    reader = BlockReader(path)
    powers = _ChannelPowers(reader.channels)
    resample = _Resampler(reader.sample_rate_hz, sample_rate_hz or reader.sample_rate_hz)
    for block in reader.blocks():
        if only_channel is None:
            mono = block.mean(axis=1, dtype=np.float32) if reader.channels > 1 else block[:, 0]
            powers.add(block, mono)
        else:
            mono = block[:, only_channel]
        take(resample(mono))
    take(resample.rest())
    return reader, powers.instead_of_mean if only_channel is None else None


class _Resampler:
    """soxr HQ over blocks; equal to resampling the whole at once."""

    def __init__(self, from_hz: int, to_hz: int) -> None:
        self._stream = (
            soxr.ResampleStream(from_hz, to_hz, 1, dtype="float32", quality="HQ") if from_hz != to_hz else None
        )

    def __call__(self, mono: Float32Array) -> npt.NDArray[np.float32]:
        return mono if self._stream is None else self._stream.resample_chunk(np.ascontiguousarray(mono))

    def rest(self) -> npt.NDArray[np.float32]:
        empty = np.empty(0, dtype=np.float32)
        return empty if self._stream is None else self._stream.resample_chunk(empty, last=True)
