"""The manifest: the one description of a dataset that every later step reads.

A dataset is a folder `data/<name>/` with `manifest.jsonl` (one clip per line, sorted by split and id), `dataset.json`
(what holds for the whole set, and the manifest's sha256) and, where something was skipped or repaired,
`problems.jsonl`. Audio lies in `audio/` beside them or, for your own recordings, where it always was.
"""

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from atrkit.errors import IntegrityError, MissingPrerequisiteError, UsageError
from atrkit.files import write_atomic, write_json_atomic
from atrkit.score_matrix import pool_id_of
from atrkit.text.normalise import normalise_caption

MANIFEST_NAME = "manifest.jsonl"
DATASET_NAME = "dataset.json"
PROBLEMS_NAME = "problems.jsonl"
DOWNLOADABLE = ("synthetic", "clotho", "audiocaps")


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
        """Lower case, no punctuation (paper 004, section 3.2); written into the manifest beside the text."""
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


@dataclass(frozen=True)
class Problem:
    """Something that was not as it should be, what was done about it, and what the user can do.

    Args:
        item: the file or clip.
        action: "skipped" (it is not in the output), "repaired" or "padded" (it is, altered).
        reason: one line.
    """

    item: str
    action: Literal["skipped", "repaired", "padded"]
    reason: str


@dataclass(frozen=True)
class Dataset:
    """All clips of a dataset and what is known about the whole.

    Args:
        name: the folder's name below `data/`.
        clips: sorted by (split, id).
        folder: where it lies; relative clip paths start here.
        about: free facts for `dataset.json`: source, licence, seed, ceilings.
        problems: what was skipped or repaired when the dataset was made.
    """

    name: str
    clips: tuple[Clip, ...]
    folder: Path
    about: dict[str, Any] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits, sorted."""
        return tuple(sorted({clip.split for clip in self.clips}))

    def split(self, name: str) -> tuple[Clip, ...]:
        """Clips of one split, sorted by id.

        Raises:
            UsageError: there is no such split; the message lists those there are.
        """
        clips = tuple(clip for clip in self.clips if clip.split == name)
        if not clips:
            raise UsageError(f"dataset {self.name!r} has no split {name!r}; it has: {', '.join(self.splits)}")
        return clips

    def audio_path(self, file: Clip | AudioFile) -> Path:
        """Where the clip's audio, or one file of it, lies."""
        return self.folder / file.path


def save_dataset(dataset: Dataset) -> None:
    """Write manifest, problems and dataset.json, the last one last: a dataset without it is not finished.

    Raises:
        UsageError: duplicate clip or caption ids.
        ResourceError: the folder cannot be written.
    """
    _refuse_duplicates([clip.id for clip in dataset.clips], "clip")
    _refuse_duplicates([caption.id for clip in dataset.clips for caption in clip.captions], "caption")
    clips = sorted(dataset.clips, key=lambda clip: (clip.split, clip.id))
    manifest = "".join(_to_line(clip) for clip in clips).encode()
    (dataset.folder / DATASET_NAME).unlink(missing_ok=True)
    write_atomic(dataset.folder / MANIFEST_NAME, manifest)
    write_atomic(dataset.folder / PROBLEMS_NAME, "".join(_to_line(p) for p in dataset.problems).encode())
    write_json_atomic(
        dataset.folder / DATASET_NAME,
        {
            "name": dataset.name,
            "manifest_sha256": hashlib.sha256(manifest).hexdigest(),
            "pool_ids": {split: pool_id_of_clips(dataset.split(split)) for split in dataset.splits},
            "about": dataset.about,
        },
    )


def pool_id_of_clips(clips: Sequence[Clip]) -> str:
    """The pool id that score matrices over all of these clips and captions have (PROTOCOL.md, "Pools")."""
    return pool_id_of([clip.id for clip in clips], [caption.id for clip in clips for caption in clip.captions])


def _refuse_duplicates(ids: Sequence[str], kind: str) -> None:
    seen: set[str] = set()
    for item_id in ids:
        if item_id in seen:
            raise UsageError(f"{kind} id {item_id!r} occurs more than once in the dataset: ids must be unique")
        seen.add(item_id)


def _to_line(item: Clip | Problem) -> str:
    record = {key: value for key, value in dataclasses.asdict(item).items() if value is not None}
    if isinstance(item, Clip):
        record["captions"] = [{**dataclasses.asdict(c), "normalised": c.normalised} for c in item.captions]
        if not item.copies:
            del record["copies"]
    return json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n"


def load_dataset(folder: Path) -> Dataset:
    """Read a dataset and check that its manifest is the one that was written.

    Raises:
        MissingPrerequisiteError: there is no dataset; names the commands that make one.
        IntegrityError: the manifest does not have the sha256 that dataset.json states, or cannot be read.
    """
    try:
        about_bytes = (folder / DATASET_NAME).read_bytes()
        manifest = (folder / MANIFEST_NAME).read_bytes()
        problems = (folder / PROBLEMS_NAME).read_bytes()
    except FileNotFoundError as error:
        raise MissingPrerequisiteError(
            f"no dataset {folder.name!r} in {folder.parent} ({Path(error.filename).name} is missing); "
            f"make it: {command_that_makes(folder.name)}"
        ) from None
    try:
        header = json.loads(about_bytes)
        name, expected_sha256, about = header["name"], header["manifest_sha256"], header["about"]
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(folder, DATASET_NAME, str(error)) from error
    if hashlib.sha256(manifest).hexdigest() != expected_sha256:
        raise _damaged(folder, MANIFEST_NAME, "its sha256 is not the one in dataset.json")
    try:
        listed = tuple(Problem(**json.loads(line)) for line in _lines(problems))
    except (ValueError, TypeError) as error:
        raise _damaged(folder, PROBLEMS_NAME, str(error)) from error
    return Dataset(
        name=name,
        clips=tuple(_clip_from(json.loads(line)) for line in _lines(manifest)),
        folder=folder,
        about=about,
        problems=listed,
    )


def command_that_makes(dataset_name: str) -> str:
    """The command a user types to get this dataset.

    >>> command_that_makes("synthetic")
    'atrkit download synthetic'
    >>> command_that_makes("attic_tapes")
    'atrkit import DIR_OR_CSV --name attic_tapes'
    """
    if dataset_name in DOWNLOADABLE:
        return f"atrkit download {dataset_name}"
    return f"atrkit import DIR_OR_CSV --name {dataset_name}"


def _damaged(folder: Path, file_name: str, why: str) -> IntegrityError:
    return IntegrityError(
        f"{folder / file_name} is damaged ({why}); make the dataset again: {command_that_makes(folder.name)}"
    )


def _clip_from(record: dict[str, Any]) -> Clip:
    captions = tuple(Caption(caption["id"], caption["text"]) for caption in record.pop("captions"))
    copies = tuple(AudioFile(**copy) for copy in record.pop("copies", ()))
    twin = record.pop("twin", None)
    return Clip(**record, captions=captions, copies=copies, twin=Twin(**twin) if twin else None)


def _lines(data: bytes) -> list[str]:
    # not splitlines(): captions may hold U+2028 and its kin, which JSON leaves as they are
    return [line for line in data.decode().split("\n") if line]
