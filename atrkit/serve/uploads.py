"""A sound that somebody searches by: received and decoded within bounds, whatever it says of itself."""

from collections.abc import AsyncIterator
from pathlib import Path

import soundfile

from atrkit.audio.decode import BlockReader, UnusableAudioError
from atrkit.errors import UsageError

LONGEST_S = 120.0  # our choice: twelve windows; more would say less of what is meant
_MOST_SAMPLES = 50_000_000  # of all channels: 200 MB on the disk for as long as the search takes


class UploadTooLargeError(Exception):
    """More came than is taken (413)."""


async def receive(stream: AsyncIterator[bytes], path: Path, most_bytes: int) -> None:
    """Write a request's body to a file.

    Raises:
        UploadTooLargeError: there is more of it; the rest is not read.
        UsageError: there is nothing.
    """
    count = 0
    with path.open("wb") as file:
        async for chunk in stream:
            count += len(chunk)
            if count > most_bytes:
                raise UploadTooLargeError
            file.write(chunk)
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
    """
    try:
        reader = BlockReader(path)
        most = min(round(LONGEST_S * reader.sample_rate_hz), _MOST_SAMPLES // reader.channels)
        left = most
        with soundfile.SoundFile(out, "w", reader.sample_rate_hz, reader.channels, "FLOAT", format="WAV") as kept:
            for block in reader.blocks():
                if not left:
                    return True
                kept.write(block[:left])
                left -= len(block[:left])
    except UnusableAudioError as error:
        raise UsageError(f"this file cannot be searched by: {error}") from error
    except soundfile.LibsndfileError as error:
        raise UsageError("this file cannot be searched by: its rate or channels are unusual") from error
    return False
