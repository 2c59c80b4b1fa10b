"""From recordings on disk to what the manifest, missing.csv and problems.jsonl say of them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from atrkit.datasets.manifest import AudioFile, Caption, Clip, Problem
from atrkit.datasets.missing import MissingClip
from atrkit.datasets.prepared import AudioJob, Prepared, Unusable, manifest_files

_COPIES = re.compile(r"audio_(\d+)Hz")


@dataclass(frozen=True)
class CopyFolders:
    """Where resampled copies lie: a folder for each rate.

    Args:
        root: the folder that holds them.
        sample_rate_hz: that is wanted; None wants none.
    """

    root: Path
    sample_rate_hz: int | None

    def wanted(self, below: str) -> Path | None:
        """Where a copy at the wanted rate is or will be."""
        return None if self.sample_rate_hz is None else self.root / f"audio_{self.sample_rate_hz}Hz" / below

    def best(self, below: str) -> Path | None:
        """The copy with the highest rate that is there: what is left of a recording whose original was dropped."""
        there = [folder / below for folder in self._folders_highest_first if (folder / below).is_file()]
        return there[0] if there else None

    @cached_property
    def _folders_highest_first(self) -> list[Path]:
        rates = {folder: _COPIES.fullmatch(folder.name) for folder in self.root.glob("audio_*Hz")}
        found = [(int(match[1]), folder) for folder, match in rates.items() if match]
        return [folder for _, folder in sorted(found, reverse=True)]


@dataclass(frozen=True)
class Recording:
    """A clip that the dataset should have.

    Args:
        clip_id: unique.
        split: that it belongs to.
        source: what missing.csv calls it: a file name, or where it was published.
        original: its audio file, which may not be there.
        copy: its resampled copy, which may not be there; None when none is wanted.
        captions: of the clip.
        metadata: what the publisher says of it.
        lost: why it is known not to be had; None when nobody knows yet.
        lost_for_good: asking again would not help.
        longest_s: a longer file is not this clip but what it was taken from; None sets no bound.
    """

    clip_id: str
    split: str
    source: str
    original: Path
    copy: Path | None
    captions: tuple[Caption, ...]
    metadata: dict[str, Any] | None = None
    lost: str | None = None
    lost_for_good: bool = False
    longest_s: float | None = None

    @property
    def job(self) -> AudioJob:
        """How it is prepared."""
        return AudioJob(self.clip_id, self.original, self.copy)


@dataclass(frozen=True)
class Described:
    """Every recording is in `clips` or in `missing`, and what is not as it should be in `problems`.

    Args:
        clips: that are there.
        missing: that are not.
        problems: what was worked around.
        originals: clips whose file as it was published is kept.
        clipped_samples: samples of copies that were beyond full scale.
        clipped_clips: copies that have such samples.
    """

    clips: tuple[Clip, ...]
    missing: tuple[MissingClip, ...]
    problems: tuple[Problem, ...]
    originals: int
    clipped_samples: int
    clipped_clips: int


def describe_recordings(
    recordings: Sequence[Recording],
    prepared: Mapping[str, Prepared | Unusable],
    folder: Path,
    *,
    keep_original: bool,
    further_copies: Mapping[str, Sequence[AudioFile]],
) -> Described:
    """Sort recordings into those that are there and those that are missing, each with its reason.

    Args:
        recordings: that the dataset should have.
        prepared: what came of each.
        folder: of the dataset.
        keep_original: False when originals are to be deleted.
        further_copies: copies that earlier calls made at other rates, by clip id, with absolute paths.
    """
    clips: list[Clip] = []
    missing: list[MissingClip] = []
    problems: list[Problem] = []
    originals, clipped = 0, []
    for recording in recordings:
        found = prepared.get(recording.clip_id)
        why_not = _why_not(recording, found)
        if why_not is not None or not isinstance(found, Prepared):
            reason = why_not or "not there"
            missing.append(
                MissingClip(recording.split, recording.clip_id, recording.source, reason, recording.lost_for_good)
            )
            continue
        problems.extend(Problem(recording.clip_id, "repaired", repair) for repair in found.repairs)
        originals += keep_original and found.is_original_there
        if found.clipped_samples:
            clipped.append(found.clipped_samples)
        clips.append(
            _clip(recording, found, folder, further_copies.get(recording.clip_id, ()), keep_original=keep_original)
        )
    return Described(tuple(clips), tuple(missing), tuple(problems), originals, sum(clipped), len(clipped))


def _why_not(recording: Recording, found: Prepared | Unusable | None) -> str | None:
    match found:
        case _ if recording.lost is not None:
            return recording.lost
        case Unusable(reason):
            return reason
        case Prepared(original) if (
            recording.longest_s and original.frames > recording.longest_s * original.sample_rate_hz
        ):
            return f"longer than {recording.longest_s:g} s: not the clip, perhaps the whole video"
    return None


def _clip(
    recording: Recording, found: Prepared, folder: Path, further: Sequence[AudioFile], *, keep_original: bool
) -> Clip:
    first, made = manifest_files(found, folder, keep_original=keep_original)
    below = f"{folder.absolute()}/"
    others = [replace(copy, path=copy.path.removeprefix(below)) for copy in further]
    copies = {copy.path: copy for copy in (first, *made, *others)}
    if found.is_original_there and keep_original:
        del copies[first.path]
    ordered = sorted(copies.values(), key=lambda copy: -copy.sample_rate_hz)
    # where the original is gone, what is left of it is the copy with the highest rate
    file = first if found.is_original_there and keep_original else ordered.pop(0)
    return Clip(
        id=recording.clip_id,
        path=file.path,
        sha256=file.sha256,
        sample_rate_hz=file.sample_rate_hz,
        frames=file.frames,
        channels=file.channels,
        split=recording.split,
        captions=recording.captions,
        copies=tuple(ordered),
        metadata=recording.metadata,
    )
