"""Indexed files as a browser can play them: as they are, or as WAV that is made while it is read."""

import os
import stat
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np
import soundfile

from atrkit.errors import MissingPrerequisiteError
from atrkit.serve.interface import ServedFile

_CHUNK_BYTES = 1 << 18
_LARGEST_WAV_BYTES = (1 << 32) - 1  # of the format: 6 h of 48 kHz in stereo; what is beyond cannot be heard
_WAV_HEADER_BYTES = 44
_BYTES_PER_SAMPLE = 2
_MOST_CHANNELS = 2
# what current browsers play by themselves, as libsndfile calls it
_PLAYED_WAVS = frozenset({"PCM_U8", "PCM_16", "PCM_24", "FLOAT"})
_MEDIA_TYPES = {"FLAC": "audio/flac", "OGG": "audio/ogg", "MP3": "audio/mpeg", "MPEG": "audio/mpeg"}


class GoneError(MissingPrerequisiteError):
    """A file is not what was indexed any more (404); the message can be shown to anybody: it has no path."""


class BrokenOffError(Exception):
    """A file could not be read to its end after the first of it was sent; the message is for the terminal."""


class Playable(Protocol):
    """Bytes that a browser plays."""

    media_type: str
    size_bytes: int

    def chunks(self, start: int, stop: int) -> Iterator[bytes]:
        """The bytes from `start` to `stop`; the file is closed behind them.

        Raises:
            BrokenOffError: the file is shorter by now, or cannot be read.
        """

    def close(self) -> None:
        """Close the file, where nothing is read."""


def open_unchanged(file: ServedFile) -> BinaryIO:
    """Open a file, and see that it is the one that was indexed, by size and modification time.

    Raises:
        GoneError: it is gone or changed.
    """
    # without blocking: what was a file when it was indexed may be a pipe now
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    try:
        descriptor = os.open(file.full_path, flags)
    except OSError:
        raise GoneError("this file is not where it was when it was indexed: run atrkit index again") from None
    if not _is_as_indexed(os.fstat(descriptor), file):
        os.close(descriptor)
        raise GoneError("this file changed since it was indexed: run atrkit index again")
    return os.fdopen(descriptor, "rb")


def is_unchanged(file: ServedFile) -> bool:
    """Whether a file still looks like the one that was indexed; it is not opened."""
    try:
        return _is_as_indexed(file.full_path.stat(), file)
    except OSError:
        return False


def _is_as_indexed(facts: os.stat_result, file: ServedFile) -> bool:
    is_same = (facts.st_size, facts.st_mtime_ns) == (file.size_bytes, file.mtime_ns)
    return is_same and stat.S_ISREG(facts.st_mode)


def open_playable(file: ServedFile) -> Playable:
    """Open a file for a player.

    WAV of 8, 16, 24 bits and of 32-bit floats, MP3, Ogg and FLAC go out as they are. Everything else is made WAV of 16
    bits while it is read: of more than two channels the first two, and at most 4 GB.

    Raises:
        GoneError: it is gone, changed, or cannot be decoded any more.
    """
    opened = open_unchanged(file)
    try:
        # a descriptor of libsndfile's own: both read, and the position is shared otherwise
        sound = soundfile.SoundFile(opened.fileno(), closefd=False)
    except (soundfile.LibsndfileError, OSError):
        opened.close()
        raise GoneError("this file cannot be decoded") from None
    media_type = _media_type(sound)
    if media_type is None:
        return _MadeWav(opened, sound)
    sound.close()
    return _AsItIs(opened, file.full_path, file.size_bytes, media_type)


def _media_type(sound: soundfile.SoundFile) -> str | None:
    if sound.format in ("WAV", "WAVEX"):
        return "audio/wav" if sound.subtype in _PLAYED_WAVS else None
    if sound.format in ("MP3", "MPEG") and sound.subtype != "MPEG_LAYER_III":
        return None
    return _MEDIA_TYPES.get(sound.format)


@dataclass(eq=False)
class _AsItIs:
    file: BinaryIO
    path: Path
    size_bytes: int
    media_type: str

    def chunks(self, start: int, stop: int) -> Iterator[bytes]:
        with self.file:
            self.file.seek(start)
            while start < stop:
                chunk = self._read(min(_CHUNK_BYTES, stop - start))
                start += len(chunk)
                yield chunk

    def _read(self, most_bytes: int) -> bytes:
        try:
            chunk = self.file.read(most_bytes)
        except OSError as error:
            raise BrokenOffError(f"{self.path} cannot be read: {error.strerror or error}") from error
        if not chunk:
            raise BrokenOffError(f"{self.path} became shorter while it was played: run atrkit index again")
        return chunk

    def close(self) -> None:
        self.file.close()


class _MadeWav:
    media_type = "audio/wav"

    def __init__(self, file: BinaryIO, sound: soundfile.SoundFile) -> None:
        self._file, self._sound = file, sound
        self._channels = min(sound.channels, _MOST_CHANNELS)
        self._frame_bytes = self._channels * _BYTES_PER_SAMPLE
        most_frames = (_LARGEST_WAV_BYTES - _WAV_HEADER_BYTES) // self._frame_bytes
        self._frames = max(0, min(sound.frames, most_frames))
        self.size_bytes = _WAV_HEADER_BYTES + self._frames * self._frame_bytes

    def chunks(self, start: int, stop: int) -> Iterator[bytes]:
        with self._file, self._sound:
            if start < _WAV_HEADER_BYTES:
                yield self._header()[start:stop]
            at = max(start, _WAV_HEADER_BYTES)
            if at >= stop:
                return
            frame, skipped = divmod(at - _WAV_HEADER_BYTES, self._frame_bytes)
            with suppress(soundfile.LibsndfileError):  # a place that is not there any more is silence
                self._sound.seek(frame)
            # blocks are cut so that a file of many channels takes no more memory than others
            block_frames = max(1, _CHUNK_BYTES // (4 * self._sound.channels))
            while at < stop:
                data = self._read(min(block_frames, self._frames - frame))
                frame += len(data) // self._frame_bytes
                piece = data[skipped : skipped + stop - at]
                skipped = 0
                at += len(piece)
                yield piece

    def close(self) -> None:
        self._sound.close()
        self._file.close()

    def _read(self, frames: int) -> bytes:
        """So many frames in 16 bits; where the file has fewer than it said, silence."""
        try:
            block = self._sound.read(frames, dtype="float32", always_2d=True, fill_value=0.0)
        except soundfile.LibsndfileError:
            block = np.zeros((frames, self._channels), np.float32)
        samples = np.nan_to_num(block[:, : self._channels], nan=0.0, posinf=1.0, neginf=-1.0)
        data: bytes = (np.clip(samples, -1.0, 1.0) * 32767).round().astype("<i2").tobytes()
        return data

    def _header(self) -> bytes:
        data_bytes = self._frames * self._frame_bytes
        rate_hz = self._sound.samplerate
        about = (1, self._channels, rate_hz, rate_hz * self._frame_bytes, self._frame_bytes, 8 * _BYTES_PER_SAMPLE)
        chunks = struct.pack("<4sIHHIIHH4sI", b"fmt ", 16, *about, b"data", data_bytes)
        return struct.pack("<4sI4s", b"RIFF", data_bytes + _WAV_HEADER_BYTES - 8, b"WAVE") + chunks
