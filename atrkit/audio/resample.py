"""A recording as one channel at another rate, in a file of its own: what training reads instead of the original."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from atrkit.audio.decode import UnusableAudioError
from atrkit.audio.flac import FlacWriter
from atrkit.audio.mono import read_mono
from atrkit.audio.read import AudioFacts
from atrkit.errors import UsageError
from atrkit.files import as_resource_error, sha256_of_file

# what a manifest states of the copies it lists
RESAMPLING = "soxr HQ, mean of the channels, FLAC with 16 bits, no dither"
_LOWEST_RATE_HZ, _HIGHEST_RATE_HZ = 1_000, 655_350  # the upper one is FLAC's, the lower one our choice


@dataclass(frozen=True)
class Resampled:
    """A recording and its copy at another rate.

    Args:
        original: facts of the file that was read; its repairs went into the copy.
        copy: facts of the file that was written, which has one channel.
        clipped_samples: samples of the copy that were beyond full scale and lie on it now.
    """

    original: AudioFacts
    copy: AudioFacts
    clipped_samples: int


def write_resampled(source: Path, target: Path, sample_rate_hz: int) -> Resampled:
    """Write a recording as 16-bit mono FLAC at another rate, whole or not at all.

    The copy is what `load_mono` gives at that rate, rounded to 16 bits, so that training on the copy and on the
    original differ by the rounding only. Its bytes depend on the recording, the rate and the versions of soxr and
    libFLAC, and on nothing else. Memory is that of a few blocks for a recording of any length.

    Args:
        source: the recording, any format that can be read.
        target: the copy, `.flac`; its folder is made when it is missing.
        sample_rate_hz: of the copy.

    Returns:
        Facts of both files. The copy has round(n to / from) frames, halves upwards, of n frames in the original.

    Raises:
        UsageError: no copy can have such a rate (exit code 2).
        UnusableAudioError: as in `inspect_audio`, or the copy would have no sample (exit code 5).
        ResourceError: the disk is full or the folder cannot be written (exit code 4).

    Source: soxr HQ (ENCODERS.md, pitfall 7). 16 bits, no dither and the length rule (soxr's own) are our choice.
    """
    if not _LOWEST_RATE_HZ <= sample_rate_hz <= _HIGHEST_RATE_HZ:
        allowed = f"{_LOWEST_RATE_HZ:,} to {_HIGHEST_RATE_HZ:,} Hz"
        raise UsageError(f"no copies can be made at {sample_rate_hz:,} Hz: choose a --sample-rate of {allowed}")
    with _whole_file(target) as (part_path, part):
        with FlacWriter(part, sample_rate_hz) as writer:
            found = read_mono(source, writer.write, writer.start_over, sample_rate_hz)
        if writer.frames == 0:
            raise UnusableAudioError(
                f"too short: {found.frames} samples at {found.sample_rate_hz:,} Hz are none at {sample_rate_hz:,} Hz"
            )
        part.flush()
        copy = AudioFacts(sha256_of_file(part_path), sample_rate_hz, writer.frames, channels=1, repairs=())
    return Resampled(AudioFacts.after(found, source), copy, writer.clipped_samples)


@contextmanager
def _whole_file(target: Path) -> Iterator[tuple[Path, BinaryIO]]:
    """`<target>.part`, synced to disk and renamed when the block ends well, and removed when it does not.

    The folder is not synced, unlike in `write_atomic`: a rename that is lost with the mains is a copy to make again.
    """
    part_path = target.with_name(target.name + ".part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with part_path.open("w+b") as part:
            yield part_path, part
            part.flush()
            os.fsync(part.fileno())
        part_path.replace(target)
    except BaseException as error:
        with suppress(OSError):
            part_path.unlink()
        if isinstance(error, OSError):
            raise as_resource_error(error, target) from error
        raise
