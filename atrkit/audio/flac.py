"""Write one channel of 16-bit FLAC block by block: memory stays small for recordings of any length."""

import os
from typing import BinaryIO, Self

import numpy as np
import numpy.typing as npt
import soundfile

from atrkit.audio.decode import Float32Array

_FULL_SCALE = 32768  # what reading divides by; libsndfile's own conversion from float truncates in some formats


class FlacWriter:
    """Samples in, a FLAC file out; a context that completes the header.

    Args:
        file: open for reading and writing; whoever opened it closes it.
        sample_rate_hz: of the samples.

    `frames` were written so far; `clipped_samples` of them were beyond full scale and lie on it now.
    """

    def __init__(self, file: BinaryIO, sample_rate_hz: int) -> None:
        self._file = _FileForLibsndfile(file)
        self._sample_rate_hz = sample_rate_hz
        self._open()

    def _open(self) -> None:
        self.frames = 0
        self.clipped_samples = 0
        self._encoder = soundfile.SoundFile(self._file, "w", self._sample_rate_hz, 1, "PCM_16", format="FLAC")

    def write(self, mono: Float32Array) -> None:
        """Round to 16 bits, without dither, and encode.

        Args:
            mono: (n,) with full scale at -1 and 1; what lies beyond is clipped and counted.

        Raises:
            OSError: the file cannot be written.

        Source: no dither is our choice. Rounding leaves noise 98 dB below a full-scale tone, and a recording's own
        noise above that does what dither would do.
        """
        pcm, clipped = to_16_bits(mono)
        self.frames += len(pcm)
        self.clipped_samples += clipped
        self._encoder.write(pcm)
        self._file.raise_error()

    def start_over(self) -> None:
        """Forget what was written."""
        self._encoder.close()
        self._file.empty()
        self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._encoder.close()
        if kind is None:
            self._file.raise_error()


def to_16_bits(mono: Float32Array) -> tuple[npt.NDArray[np.int16], int]:
    """The nearest 16-bit value of each sample, and how many were beyond the range.

    >>> pcm, clipped = to_16_bits(np.array([0.6, -0.6, 32767, -32768, 40000, -40000], dtype=np.float32) / 32768)
    >>> pcm.tolist(), clipped
    ([1, -1, 32767, -32768, 32767, -32768], 2)
    """
    rounded = np.rint(mono * np.float32(_FULL_SCALE))
    clipped = int(np.count_nonzero((rounded < -_FULL_SCALE) | (rounded > _FULL_SCALE - 1)))
    return np.clip(rounded, -_FULL_SCALE, _FULL_SCALE - 1).astype(np.int16), clipped


class _FileForLibsndfile:
    """Keeps the error of a failed write, which libsndfile would replace by one of its own that says nothing.

    The encoder is told that all went well: it calls from C, where no exception can pass.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._error: OSError | None = None

    def raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def empty(self) -> None:
        self._file.seek(0)
        self._file.truncate()

    def write(self, data: bytes) -> int:
        try:
            if self._error is None:
                self._file.write(data)
        except OSError as error:
            self._error = error
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        try:
            if self._error is None:
                return self._file.seek(offset, whence)  # may write what is buffered
        except OSError as error:
            self._error = error
        return 0

    def tell(self) -> int:
        return self._file.tell() if self._error is None else 0

    def read(self, size: int = -1) -> bytes:
        return self._file.read(size)
