"""One pass over a file as one channel at the wanted rate, block by block: what reading and resampling share."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soxr

from atrkit.audio.decode import BlockReader, Float32Array

# our choice: 60 dB below the loudest channel is what lossy coding leaves of two channels that cancel exactly
_CANCELLED_POWER_RATIO = 1e-6
_MARGIN_SAMPLES = 4_096  # at the lower of two rates: soxr HQ reaches a few hundred samples to either side


@dataclass(frozen=True)
class MonoPass:
    """What was found while a file was read.

    Args:
        sample_rate_hz: of the file.
        frames: samples per channel that could be decoded.
        channels: of the file.
        repairs: one line for each thing that is worked around.
        instead_of_mean: the channel to use alone (from 0), when the mean of all is silence.
    """

    sample_rate_hz: int
    frames: int
    channels: int
    repairs: tuple[str, ...]
    instead_of_mean: int | None


def read_once(path: Path, take: Callable[[Float32Array], None], sample_rate_hz: int | None = None) -> MonoPass:
    """Give every block to `take`, as the mean of all channels.

    Args:
        path: the file, any name.
        take: called with (n,) float32 in order; a block may be overwritten by the next one.
        sample_rate_hz: resampled to this; None keeps the file's rate.

    Returns:
        What was found; when `instead_of_mean` is set, what was taken is silence and the file is not.

    Raises:
        UnusableAudioError: as in `inspect_audio`.
    """
    return _read_through(path, take, sample_rate_hz, None)


def read_mono(
    path: Path, take: Callable[[Float32Array], None], start_over: Callable[[], None], sample_rate_hz: int
) -> MonoPass:
    """Give every block to `take`: the mean of all channels, or the loudest one if they cancel to silence.

    Args:
        path: the file, any name.
        take: called with (n,) float32 in order; a block may be overwritten by the next one.
        start_over: called when what was taken is not wanted: the channels cancel, and everything comes again.
        sample_rate_hz: of the blocks.

    Returns:
        What was found.

    Raises:
        UnusableAudioError: as in `inspect_audio`.

    Source: soxr quality HQ (ENCODERS.md, pitfall 7). Choosing a channel when they cancel is our choice.
    """
    found = read_once(path, take, sample_rate_hz)
    if found.instead_of_mean is not None:
        start_over()
        _read_through(path, take, sample_rate_hz, found.instead_of_mean)
    return found


def read_window(path: Path, sample_rate_hz: int, first: int, stop: int) -> Float32Array | None:
    """Samples of a part of a file, as `read_mono` gives them of all of it.

    Args:
        path: the file, any name.
        sample_rate_hz: of the samples.
        first: sample at which it begins, at that rate.
        stop: sample before which it ends.

    Returns:
        (n,) float32; None: the file must be read from its beginning to its end. That is so in some formats, and where
        channels cancel here: whether they do is decided for a file as a whole.

    Raises:
        UnusableAudioError: as in `inspect_audio`.
    """
    reader = BlockReader(path)
    file_hz = reader.sample_rate_hz
    both = file_hz // math.gcd(file_hz, sample_rate_hz)  # every so many frames there is a sample at both rates
    margin = math.ceil(_MARGIN_SAMPLES * max(1.0, file_hz / sample_rate_hz))
    first_frame = max(0, (first * file_hz // sample_rate_hz - margin) // both * both)
    block = reader.window(first_frame, -(-stop * file_hz // sample_rate_hz) + margin)
    if block is None:
        return None
    mono = block.mean(axis=1, dtype=np.float32) if reader.channels > 1 else block[:, 0]
    powers = _ChannelPowers(reader.channels)
    powers.add(block, mono)
    if powers.instead_of_mean is not None:
        return None
    resample = _Resampler(file_hz, sample_rate_hz)
    wave_N = np.concatenate([resample(mono), resample.rest()])
    before = first_frame // both * (sample_rate_hz * both // file_hz)
    return wave_N[first - before : stop - before].copy()


def _read_through(
    path: Path, take: Callable[[Float32Array], None], sample_rate_hz: int | None, only_channel: int | None
) -> MonoPass:
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
    instead = powers.instead_of_mean if only_channel is None else None
    repairs = [reader.breaks_off] if reader.breaks_off else []
    if instead is not None:
        repairs.append(f"the mean of the {reader.channels} channels is silence: channel {instead + 1} is used alone")
    return MonoPass(reader.sample_rate_hz, reader.frames, reader.channels, tuple(repairs), instead)


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
