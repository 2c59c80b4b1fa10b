"""Read any audio file: what it is, and its samples as one channel at the rate you need.

Encoders own their sample rate, so everything is resampled here with soxr HQ: feeding 44.1 kHz audio to a 32 kHz model
is the field's commonest silent error.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from atrkit.audio.decode import BlockReader, Float32Array, UnreachableAudioError, UnusableAudioError
from atrkit.audio.mono import MonoPass, read_mono, read_once, read_window
from atrkit.files import sha256_of_file

__all__ = [
    "AUDIO_SUFFIXES",
    "AudioFacts",
    "UnreachableAudioError",
    "UnusableAudioError",
    "inspect_audio",
    "load_mono",
    "load_mono_window",
    "sample_rate_of",
]

# what libsndfile 1.2 decodes and people name so; headerless (.raw) and ambiguous (.mat, .htk) ones are left out
AUDIO_SUFFIXES = frozenset(
    {".wav", ".wave", ".bwf", ".rf64", ".w64", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".mp2"}
    | {".aif", ".aiff", ".aifc", ".caf", ".au", ".snd", ".voc", ".sph", ".nist"}
    | {".svx", ".8svx", ".iff", ".paf", ".ircam", ".sf", ".avr"}
)


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

    @classmethod
    def after(cls, found: MonoPass, path: Path) -> "AudioFacts":
        """Complete what was found in a pass over a file by the hash of its bytes, which are in the system's cache now.

        Raises:
            UnreachableAudioError: it cannot be read any more.
        """
        try:
            sha256 = sha256_of_file(path)
        except OSError as error:
            raise UnreachableAudioError(f"cannot be read: {error.strerror or error}") from error
        return cls(sha256, found.sample_rate_hz, found.frames, found.channels, found.repairs)


def sample_rate_of(path: Path) -> int:
    """The sample rate that a file's header states, in Hz; no audio is decoded.

    Raises:
        UnusableAudioError: it cannot be opened as audio (exit code 5).
    """
    return BlockReader(path).sample_rate_hz


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
    return AudioFacts.after(read_once(path, lambda mono: None), path)


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

    read_mono(path, keep, samples.clear, sample_rate_hz)
    return np.frombuffer(samples, dtype=np.float32)


def load_mono_window(path: Path, sample_rate_hz: int, start_s: float, end_s: float) -> Float32Array:
    """A part of a file as `load_mono` gives it, without reading the hours before.

    Args:
        path: the file, any name.
        sample_rate_hz: wanted rate in Hz.
        start_s: where it begins.
        end_s: where it ends; a file that ends earlier gives less, down to nothing.

    Returns:
        Samples, (n,) float32: those of `load_mono` at the same places, up to what soxr HQ rounds (20 bits). MP3 and
        formats like it are decoded from their beginning, for what they give depends on what came before.

    Raises:
        UnusableAudioError: as in `inspect_audio`.
    """
    first, stop = (round(at_s * sample_rate_hz) for at_s in (start_s, end_s))
    wave_N = read_window(path, sample_rate_hz, first, stop)
    return load_mono(path, sample_rate_hz)[first:stop].copy() if wave_N is None else wave_N
