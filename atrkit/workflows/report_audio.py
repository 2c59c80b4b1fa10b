"""Clips as a page can play them: mono, compressed, in memory; or the reason why not."""

import contextlib
import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import soundfile

from atrkit.audio.decode import Float32Array, UnusableAudioError
from atrkit.audio.mono import read_mono
from atrkit.datasets.manifest import Clip, Dataset
from atrkit.reports.page.content import Sound
from atrkit.workflows.session import Session

LONGEST_S = 30.0
_RATES_HZ = (32_000, 24_000, 16_000)  # of MP3, and enough to tell events apart; higher ones only make the page larger
_WAV_RATE_HZ = 16_000
_QUALITY = 0.5  # of libsndfile's scale from 0 (large) to 1: about 40 kbit/s for mono
_AUDIBLE = 1e-3  # 60 dB below full scale
Encoded = tuple[bytes, str]


def sounds_of(session: Session, wanted: Mapping[str, tuple[Dataset, Clip]]) -> dict[str, Sound]:
    """Encode clips, one after the other, with a progress display.

    Args:
        session: where to speak.
        wanted: the clips, by the key that the page calls them by.

    Returns:
        All of them; a clip whose audio cannot be had says why.
    """
    sounds = {}
    with session.open_progress("audio for the page", len(wanted), "clips") as advance:
        for key, (dataset, clip) in wanted.items():
            sounds[key] = sound_of(dataset, clip)
            advance(1, audio_s=min(clip.duration_s, LONGEST_S))
    gone = [sound for sound in sounds.values() if sound.data is None]
    if gone:
        session.say(
            f"{len(gone)} of {len(sounds)} clips have no player, the first {gone[0].clip_id}: {gone[0].why_not}"
        )
    cut = sum(sound.cut_to_s is not None for sound in sounds.values())
    if cut:
        session.say(f"{cut} of {len(sounds)} clips are longer than {LONGEST_S:.0f} s: their beginning is in the page")
    return sounds


def sound_of(dataset: Dataset, clip: Clip, *, longest_s: float = LONGEST_S) -> Sound:
    """One clip, from its own file or one of its resampled copies.

    Args:
        dataset: that it is of.
        clip: the clip.
        longest_s: what is beyond is cut off, and said.
    """
    there = [path for path in map(dataset.audio_path, clip.files) if path.is_file()]
    if not there:
        return Sound(clip.id, clip.duration_s, why_not=f"its file is gone: {dataset.audio_path(clip)}")
    as_mp3 = "MP3" in soundfile.available_formats()
    rates_hz = _RATES_HZ if as_mp3 else (_WAV_RATE_HZ,)
    rate_hz = next((rate for rate in rates_hz if rate <= clip.sample_rate_hz), rates_hz[-1])
    try:
        samples, is_cut = _beginning(there[0], rate_hz, longest_s)
        data, media_type = encode(samples, rate_hz, as_mp3=as_mp3)
    except UnusableAudioError as error:
        return Sound(clip.id, clip.duration_s, why_not=f"{there[0]} {error}")
    return Sound(clip.id, clip.duration_s, data, media_type, longest_s if is_cut else None)


def encode(samples: Float32Array, sample_rate_hz: int, *, as_mp3: bool) -> Encoded:
    """Audio that every browser plays: MP3, which libsndfile writes from version 1.1 on, or WAV with 16 bits.

    The same samples give the same bytes, with the same libsndfile.

    Args:
        samples: (n,) float32, one channel; what is over full scale is clipped.
        sample_rate_hz: of the samples; 32, 24 or 16 kHz.
        as_mp3: a third of the size or less; else WAV.

    Returns:
        The data and its media type.

    Example:
        >>> data, media_type = encode(np.zeros(1600, dtype=np.float32), 16000, as_mp3=False)
        >>> len(data), media_type, data[:4]
        (3244, 'audio/wav', b'RIFF')
    """
    samples = np.clip(samples, -1.0, 1.0)
    file = io.BytesIO()
    if as_mp3:
        how = {"subtype": "MPEG_LAYER_III", "bitrate_mode": "VARIABLE", "compression_level": _QUALITY}
        soundfile.write(file, samples, sample_rate_hz, format="MP3", **how)
        return file.getvalue(), "audio/mpeg"
    soundfile.write(file, samples, sample_rate_hz, format="WAV", subtype="PCM_16")
    return file.getvalue(), "audio/wav"


class _EnoughRead(Exception):  # noqa: N818 - no error
    """The rest of a long recording is not wanted."""


def _beginning(path: Path, sample_rate_hz: int, longest_s: float) -> tuple[Float32Array, bool]:
    """The first seconds as one channel, and whether there is more; a long recording is not read to its end."""
    wanted = round(longest_s * sample_rate_hz)
    blocks: list[Float32Array] = []
    count = 0

    def start_over() -> None:
        nonlocal count
        blocks.clear()
        count = 0

    def take(mono: Float32Array) -> None:
        nonlocal count
        if count <= wanted:  # one sample more tells that there is more
            blocks.append(np.array(mono[: wanted + 1 - count]))
            count += len(blocks[-1])
        # (near) silence so far may be channels that cancel, which only the whole pass can tell
        if count > wanted and max(np.abs(block).max(initial=0.0) for block in blocks) > _AUDIBLE:
            raise _EnoughRead

    with contextlib.suppress(_EnoughRead):
        read_mono(path, take, start_over, sample_rate_hz)
    samples = np.concatenate(blocks)
    return samples[:wanted], len(samples) > wanted
