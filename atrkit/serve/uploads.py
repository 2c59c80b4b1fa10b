"""A sound that somebody searches by: received and decoded within bounds, whatever it says of itself."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import soundfile

from atrkit.audio.decode import BlockReader, UnreachableAudioError, UnusableAudioError
from atrkit.errors import ResourceError, UsageError

LONGEST_S = 120.0  # our choice: twelve windows; more would say less of what is meant
_MOST_SAMPLES = 50_000_000  # of all channels: 200 MB on the disk for as long as the search takes
_SYSTEM_ERROR = 2  # of libsndfile: a full disk, or one that may not be written; it does not say which


class UploadTooLargeError(Exception):
    """More came than is taken (413)."""


@contextmanager
def room_for_upload() -> Iterator[Path]:
    """A folder for a sound and what is decoded of it; it goes with all that is in it.

    Raises:
        ResourceError: it cannot be made.
    """
    try:
        folder = tempfile.TemporaryDirectory(prefix="atrkit-", ignore_cleanup_errors=True)
    except OSError as error:
        raise _not_kept(error.strerror or error) from error
    with folder as path:
        yield Path(path)


async def receive(stream: AsyncIterator[bytes], path: Path, most_bytes: int) -> None:
    """Write a request's body to a file.

    Raises:
        UploadTooLargeError: there is more of it; the rest is not read.
        UsageError: there is nothing.
        ResourceError: it cannot be written.
    """
    count = 0
    try:
        with path.open("wb") as file:
            async for chunk in stream:
                count += len(chunk)
                if count > most_bytes:
                    raise UploadTooLargeError
                file.write(chunk)
    except OSError as error:
        raise _not_kept(error.strerror or error) from error
    if not count:
        raise UsageError("the sound file is empty")


def keep_beginning(path: Path, out: Path) -> bool:
    """Decode the first two minutes of a sound, so that a small file cannot hold days of silence.

    Args:
        path: a file of any kind.
        out: WAV of floats with the same channels and rate.

    Returns:
        Whether something was cut off.

    Raises:
        UsageError: it is no sound; says why, without the path.
        ResourceError: it cannot be read or written.
    """
    try:
        reader = BlockReader(path)
        left = min(round(LONGEST_S * reader.sample_rate_hz), _MOST_SAMPLES // reader.channels)
        with soundfile.SoundFile(out, "w", reader.sample_rate_hz, reader.channels, "FLOAT", format="WAV") as kept:
            for block in reader.blocks():
                kept.write(block[:left])
                if len(block) > left:
                    return True
                left -= len(block)
    except UnreachableAudioError as error:
        raise _not_kept(error) from error
    except UnusableAudioError as error:
        raise UsageError(f"this file cannot be searched by: {error}") from error
    except soundfile.LibsndfileError as error:
        if error.code == _SYSTEM_ERROR:
            raise _not_kept("the disk is full, or may not be written") from error
        raise UsageError("this file cannot be searched by: its rate or channels are unusual") from error
    return False


def _not_kept(why: object) -> ResourceError:
    return ResourceError(
        f"a sound to search by cannot be kept on the disk ({why}): make room in the folder of temporary files, "
        "or set TMPDIR to another folder and start again"
    )
