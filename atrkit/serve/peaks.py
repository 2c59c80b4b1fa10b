"""The picture of a window of sound: how loud it is from moment to moment."""

import threading
from collections import OrderedDict

import numpy as np
import soundfile

from atrkit.serve.interface import ServedFile
from atrkit.serve.sound_files import GoneError, open_unchanged

BINS = 160
LONGEST_S = 60.0
_BLOCK_SAMPLES = 1 << 16
_MOST_KEPT = 4096  # pictures; about 6 MB
_QUIETEST = 1e-4  # 80 dB below full scale: a window that is never louder is drawn as silence


class Peaks:
    """Draws windows of files, and keeps what it drew; several threads may ask."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, float, float], list[int]] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, file: ServedFile, start_s: float, end_s: float) -> list[int]:
        """The largest sample of each of 160 parts of a window, in percent of the window's largest.

        Args:
            file: that is drawn.
            start_s: where the window begins.
            end_s: where it ends, at most a minute later.

        Raises:
            GoneError: the file is gone, changed, or cannot be decoded any more.
        """
        key = (file.sha256, start_s, end_s)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        drawn = peaks_of(file, start_s, end_s)
        with self._lock:
            self._kept[key] = drawn
            if len(self._kept) > _MOST_KEPT:
                self._kept.popitem(last=False)
        return drawn


def peaks_of(file: ServedFile, start_s: float, end_s: float) -> list[int]:
    """As `Peaks.of`, without keeping anything; memory is that of a block."""
    with open_unchanged(file) as opened:
        try:
            with soundfile.SoundFile(opened.fileno(), closefd=False) as sound:
                largest_N = _largest(sound, start_s, end_s)
        except (soundfile.LibsndfileError, OSError):
            raise GoneError("this part of the file cannot be decoded") from None
    loudest = float(largest_N.max(initial=0.0))
    if loudest < _QUIETEST:
        return [0] * BINS
    return [int(each) for each in np.round(100 * largest_N / loudest)]


def _largest(sound: soundfile.SoundFile, start_s: float, end_s: float) -> np.ndarray:
    first = min(round(start_s * sound.samplerate), sound.frames)
    count = max(0, min(round(end_s * sound.samplerate), sound.frames) - first)
    largest_N = np.zeros(BINS)
    if not count:
        return largest_N
    sound.seek(first)
    done = 0
    while done < count:
        block = sound.read(min(count - done, max(1, _BLOCK_SAMPLES // sound.channels)), "float32", always_2d=True)
        if not len(block):
            break
        loudness = np.nan_to_num(np.abs(block).max(axis=1), posinf=1.0)
        bins = (np.arange(done, done + len(block)) * BINS) // count
        begins = np.flatnonzero(np.diff(bins, prepend=bins[0] - 1))
        largest_N[bins[begins]] = np.maximum(largest_N[bins[begins]], np.maximum.reduceat(loudness, begins))
        done += len(block)
    return largest_N
