"""Decode a file block by block, counting everything that is not as it should be.

A recording may be hours long, so it is never whole in memory with all its channels; and whatever breaks on the way
(a cut file, NaN samples) is found in the same pass that reads it.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from atrkit.audio.headers import ogg_breaks_off, promised_ratio, why_no_audio
from atrkit.errors import AtrkitError

Float32Array = npt.NDArray[np.float32]

_BLOCK_SAMPLES = 1 << 15  # 128 kB: larger ones go back to the system after every use, and come as new pages
_UNKNOWN_FRAMES = 1 << 62
_LOWEST_RATE_HZ = 100  # our choice: less is a damaged header, and resampling would make gigabytes of a small file
# a format in which a sample that was sought is the sample that reading all gives; GSM and ADPCM carry a state along
_EXACT_WHEREVER_BEGUN = frozenset(
    {"PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW", "VORBIS"}
)
_LARGEST_SAMPLE = 1e15  # its power still fits into float32, summed over any window; 32-bit integers do too


class UnusableAudioError(AtrkitError):
    """A file from which no audio can be had; the message is the reason in one line, without the path (exit code 5)."""

    exit_code = 5


class UnreachableAudioError(UnusableAudioError):
    """The system did not let the file be read: another time it may, so that this says nothing of the recording."""


class _ForwardOnlyFile(soundfile.SoundFile):
    """soundfile seeks after every read, which fails at the end of a FLAC file of undeclared length."""

    def seekable(self) -> bool:
        return False


class BlockReader:
    """One pass over a file: blocks of samples, and afterwards what was found.

    Args:
        path: the file, any name.

    Raises:
        UnusableAudioError: it cannot be opened; says which of the usual reasons it is.

    After `blocks()` is exhausted, `frames` is the number that could be decoded and `breaks_off` says, in one line or
    not at all, that there should have been more.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.frames = 0
        self.breaks_off: str | None = None
        try:
            if reason := why_no_audio(path):
                raise UnusableAudioError(reason)
            self._file = _ForwardOnlyFile(os.fspath(path.absolute()))
        except OSError as error:
            raise UnreachableAudioError(f"cannot be read: {error.strerror or error}") from error
        except soundfile.LibsndfileError as error:
            raise UnusableAudioError(_reason_of(error)) from error
        self.sample_rate_hz = int(self._file.samplerate)
        self.channels = int(self._file.channels)
        if self.sample_rate_hz < _LOWEST_RATE_HZ:
            raise UnusableAudioError(f"the header says {self.sample_rate_hz} Hz")

    def blocks(self) -> Iterator[Float32Array]:
        """Samples in order, (n, channels) float32 per block; the block is overwritten by the next one.

        Raises:
            UnusableAudioError: there are no frames, or samples that are NaN or infinite (with their count).
        """
        block = np.empty((max(1, _BLOCK_SAMPLES // self.channels), self.channels), dtype=np.float32)
        unusable, decode_error = 0, None
        with self._file:
            while decode_error is None:
                try:
                    count = self._file.buffer_read_into(block, dtype="float32")
                except soundfile.LibsndfileError as error:
                    decode_error = _detail_of(error)
                    count = max(0, self._file.tell() - self.frames)  # decoded before the error, and in the block
                if count == 0:
                    break
                self.frames += count
                unusable += count * self.channels - int((np.abs(block[:count]) < _LARGEST_SAMPLE).sum())
                if not unusable:
                    yield block[:count]
            declared_frames = int(self._file.frames)
        if self.frames == 0:
            raise UnusableAudioError(f"no audio in it ({decode_error or '0 frames'})")
        if unusable:
            total = self.frames * self.channels
            raise UnusableAudioError(f"{unusable:,} of {total:,} samples are NaN, infinite or over {_LARGEST_SAMPLE:g}")
        self.breaks_off = self._why_short(declared_frames, decode_error)

    def window(self, first: int, stop: int) -> Float32Array | None:
        """Some frames, without decoding those before; the reader is used up by it.

        Args:
            first: frame at which it begins.
            stop: frame before which it ends; the file may end earlier.

        Returns:
            (n, channels) float32; None: only a pass over all of the file gives the right samples, or says what is
            wrong with it.
        """
        with self._file:
            if self._file.subtype not in _EXACT_WHEREVER_BEGUN:
                return None
            try:
                if self._file.seek(first) != first:
                    return None
                samples: Float32Array = self._file.read(stop - first, dtype="float32", always_2d=True)
            except soundfile.LibsndfileError:
                return None
        return samples if len(samples) and bool((np.abs(samples) < _LARGEST_SAMPLE).all()) else None

    def _why_short(self, declared_frames: int, decode_error: str | None) -> str | None:
        there_s = self.frames / self.sample_rate_hz
        promised_s = there_s * (promised_ratio(self.path) or 1)
        if self.frames < declared_frames < _UNKNOWN_FRAMES:
            promised_s = declared_frames / self.sample_rate_hz
        if promised_s > there_s:
            detail = f" ({decode_error})" if decode_error else ""
            return f"the header promises {_two_lengths(promised_s, there_s)} are there{detail}"
        if ogg_breaks_off(self.path):
            return f"the Ogg stream breaks off after {there_s:.1f} s: its last page is missing"
        if decode_error:
            return f"decoding stops after {there_s:.1f} s: {decode_error}"
        return None


def _two_lengths(longer_s: float, shorter_s: float) -> str:
    """Both in seconds, with as many decimals as tell them apart from each other and from zero."""
    for decimals in (1, 3, 6):
        longer, shorter = f"{longer_s:.{decimals}f}", f"{shorter_s:.{decimals}f}"
        if longer != shorter and float(shorter) > 0:
            break
    return f"{longer} s, {shorter} s"


def _reason_of(error: soundfile.LibsndfileError) -> str:
    detail = _detail_of(error)
    # mpg123 calls whatever it cannot make sense of a pipe
    if "not recognised" in detail or "possibly a pipe" in detail:
        return "no known audio format, or damaged: if it plays elsewhere, convert it to WAV or FLAC"
    return f"cannot be decoded ({detail})"


def _detail_of(error: soundfile.LibsndfileError) -> str:
    return str(error.error_string).strip().rstrip(".").removeprefix("Error : ")
