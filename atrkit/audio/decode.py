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

from atrkit.audio.headers import ogg_breaks_off, promised_duration_s, why_no_audio
from atrkit.errors import AtrkitError

Float32Array = npt.NDArray[np.float32]

_BLOCK_SAMPLES = 1 << 18
_UNKNOWN_FRAMES = 1 << 62


class UnusableAudioError(AtrkitError):
    """A file from which no audio can be had; the message is the reason in one line, without the path (exit code 5)."""

    exit_code = 5


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
            raise UnusableAudioError(f"cannot be read: {error.strerror or error}") from error
        except soundfile.LibsndfileError as error:
            raise UnusableAudioError(_reason_of(error)) from error
        self.sample_rate_hz = int(self._file.samplerate)
        self.channels = int(self._file.channels)

    def blocks(self) -> Iterator[Float32Array]:
        """Samples in order, (n, channels) float32 per block; the block is overwritten by the next one.

        Raises:
            UnusableAudioError: there are no frames, or samples that are NaN or infinite (with their count).
        """
        block = np.empty((max(1, _BLOCK_SAMPLES // self.channels), self.channels), dtype=np.float32)
        non_finite, decode_error = 0, None
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
                non_finite += count * self.channels - int(np.isfinite(block[:count]).sum())
                yield block[:count]
            declared_frames = int(self._file.frames)
        if self.frames == 0:
            raise UnusableAudioError(f"no audio in it ({decode_error or 'the header says 0 frames'})")
        if non_finite:
            total = self.frames * self.channels
            raise UnusableAudioError(f"{non_finite:,} of {total:,} samples are NaN or infinite")
        self.breaks_off = self._why_short(declared_frames, decode_error)

    def _why_short(self, declared_frames: int, decode_error: str | None) -> str | None:
        there_s = self.frames / self.sample_rate_hz
        promised_s = promised_duration_s(self.path)
        if promised_s is None and self.frames < declared_frames < _UNKNOWN_FRAMES:
            promised_s = declared_frames / self.sample_rate_hz
        if promised_s is not None:
            promised, there = _seconds(promised_s, there_s), _seconds(there_s, promised_s)
            detail = f" ({decode_error})" if decode_error else ""
            return f"the header promises {promised}, {there} are there{detail}"
        if ogg_breaks_off(self.path):
            return f"the Ogg stream breaks off after {there_s:.1f} s: its last page is missing"
        if decode_error:
            return f"decoding stops after {there_s:.1f} s: {decode_error}"
        return None


def _seconds(value_s: float, other_s: float) -> str:
    return f"{value_s:.1f} s" if round(value_s, 1) != round(other_s, 1) else f"{value_s:.6f} s"


def _reason_of(error: soundfile.LibsndfileError) -> str:
    detail = _detail_of(error)
    if "not recognised" in detail or "not implemented" in detail.lower():
        return "no known audio format: convert it to WAV or FLAC"
    return f"cannot be decoded ({detail})"


def _detail_of(error: soundfile.LibsndfileError) -> str:
    return str(error.error_string).strip().rstrip(".").removeprefix("Error : ")
