"""What a dataset is made of: clips, the files that hold them, and their captions."""

from dataclasses import dataclass
from typing import Any, Literal

from atrkit.text.normalise import normalise_caption


@dataclass(frozen=True)
class Caption:
    """One caption: as it was written, and the one form in which everything uses it.

    Args:
        id: unique within the dataset.
        text: as it was written.
    """

    id: str
    text: str

    @property
    def normalised(self) -> str:
        """Lower case, no punctuation (paper 004, section 3.1); written into the manifest beside the text."""
        return normalise_caption(self.text)


@dataclass(frozen=True)
class Twin:
    """Membership in a group of clips made of the same events, told apart by their relation only.

    Args:
        group: the group's id.
        relation: how this clip plays the group's events A and B: "a_then_b", "b_then_a" or "a_with_b".
    """

    group: str
    relation: Literal["a_then_b", "b_then_a", "a_with_b"]


@dataclass(frozen=True)
class AudioFile:
    """One file of a recording.

    Args:
        path: absolute or relative to the dataset's folder.
        sha256: of the file's bytes.
        sample_rate_hz: of the file.
        frames: samples per channel that can be read (not what the header promises).
        channels: of the file.
    """

    path: str
    sha256: str
    sample_rate_hz: int
    frames: int
    channels: int


@dataclass(frozen=True)
class Clip:
    """One recording.

    Args:
        id: unique within the dataset; for files the path below the audio folder, with `/`.
        path: the audio file, absolute or relative to the dataset's folder: the original where it was kept.
        sha256: of the audio file's bytes.
        sample_rate_hz: of the file.
        frames: samples per channel that can be read (not what the header promises).
        channels: of the file.
        split: for example dev, val, eval, or all.
        captions: any number, also none.
        twin: only in datasets with twin groups.
        copies: the same recording resampled, in other files.
        metadata: what else the publisher says of it: keywords, source, licence.
    """

    id: str
    path: str
    sha256: str
    sample_rate_hz: int
    frames: int
    channels: int
    split: str
    captions: tuple[Caption, ...] = ()
    twin: Twin | None = None
    copies: tuple[AudioFile, ...] = ()
    metadata: dict[str, Any] | None = None

    @property
    def files(self) -> tuple[AudioFile, ...]:
        """The audio file and its resampled copies."""
        own = AudioFile(self.path, self.sha256, self.sample_rate_hz, self.frames, self.channels)
        return (own, *self.copies)

    def best_file(self, sample_rate_hz: int) -> AudioFile:
        """The file to read when audio is wanted at a rate.

        One that has the rate needs no resampling; of the others the one with the highest rate has lost least.

        >>> original = {"sample_rate_hz": 44100, "frames": 441, "channels": 2}
        >>> copy = AudioFile("rain.flac", "9f..", sample_rate_hz=32000, frames=320, channels=1)
        >>> rain = Clip("rain", "rain.wav", "5e..", split="dev", copies=(copy,), **original)
        >>> [rain.best_file(rate).path for rate in (32000, 16000, 48000)]
        ['rain.flac', 'rain.wav', 'rain.wav']
        """
        exact = [file for file in self.files if file.sample_rate_hz == sample_rate_hz]
        return exact[0] if exact else max(self.files, key=lambda file: file.sample_rate_hz)

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.frames / self.sample_rate_hz
