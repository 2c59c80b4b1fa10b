"""The manifest: the one description of a dataset that every later step reads.

A dataset is a folder `data/<name>/`:

- `manifest.jsonl`: one clip per line, sorted by split and id. Keys: `id`, `path` (absolute, or relative to the folder),
  `sha256` (of the file), `sample_rate_hz`, `frames` (samples per channel that can be read), `channels`, `split`,
  `captions` (each with `id`, `text` as it was written, and `normalised`) and, where a clip has them, `twin` (`group`,
  `relation`), `copies` (the same recording resampled; each with `path` .. `channels`) and `metadata` (the publisher's).
- `problems.jsonl`: what was skipped or repaired (`item`, `action`, `reason`).
- `dataset.json`: `name`, the sha256 of the files above and of `missing.csv` where there is one, `pool_ids` per split,
  `about` (source, licence, ceilings), and `sha256`, of all of this but the name. It is written last: a dataset without
  it is not finished.

Equal clips give equal bytes, in whatever order they come. Audio lies in the same folder or, for your own recordings,
where it always was; beside the manifest there may be `missing.csv` and `qrels/`.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from atrkit.datasets.clip import AudioFile, Caption, Clip, Twin
from atrkit.datasets.commands import DOWNLOADABLE, command_that_makes
from atrkit.datasets.manifest_lines import clip_from, clip_line
from atrkit.datasets.missing import MISSING_NAME
from atrkit.errors import IntegrityError, MissingPrerequisiteError, ResourceError, UsageError
from atrkit.files import sha256_of_file, write_atomic
from atrkit.score_matrix import pool_id_of

__all__ = [
    "DATASET_NAME", "DOWNLOADABLE", "MANIFEST_NAME", "PROBLEMS_NAME",
    "AudioFile", "Caption", "Clip", "Dataset", "Problem", "Twin",
    "command_that_makes", "load_dataset", "pool_id_of_clips", "save_dataset", "stated_header", "stated_sha256",
]  # fmt: skip

MANIFEST_NAME = "manifest.jsonl"
DATASET_NAME = "dataset.json"
PROBLEMS_NAME = "problems.jsonl"


@dataclass(frozen=True)
class Problem:
    """Something that was not as it should be, what was done about it, and what the user can do.

    Args:
        item: the file or clip.
        action: "skipped" (it is not in the output), "repaired" or "padded" (it is, altered), "unreachable" (it is, as
            it was when it could be read).
        reason: one line.
    """

    item: str
    action: Literal["skipped", "repaired", "padded", "unreachable"]
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
        UsageError: duplicate clip or caption ids, or a name that cannot be written as UTF-8.
        ResourceError: the folder cannot be written.
    """
    folder = dataset.folder
    clips = sorted(dataset.clips, key=lambda clip: (clip.split, clip.id))
    _refuse_duplicates([clip.id for clip in clips], "clip")
    _refuse_duplicates([caption.id for clip in clips for caption in clip.captions], "caption")
    manifest = _encoded([clip_line(clip) for clip in clips])
    problems = _encoded([_problem_line(problem) for problem in dataset.problems])
    files = {MANIFEST_NAME: _sha256(manifest), PROBLEMS_NAME: _sha256(problems)}
    if (folder / MISSING_NAME).is_file():
        files[MISSING_NAME] = sha256_of_file(folder / MISSING_NAME)
    header = {
        "name": dataset.name,
        "files": files,
        "pool_ids": {split: pool_id_of_clips(dataset.split(split)) for split in dataset.splits},
        "about": dataset.about,
    }
    sealed = {**header, "sha256": _seal(header)}
    header_file = _encoded([json.dumps(sealed, indent=2, ensure_ascii=False, allow_nan=False)])
    (folder / DATASET_NAME).unlink(missing_ok=True)
    write_atomic(folder / MANIFEST_NAME, manifest)
    write_atomic(folder / PROBLEMS_NAME, problems)
    write_atomic(folder / DATASET_NAME, header_file)


def pool_id_of_clips(clips: Sequence[Clip]) -> str:
    """The pool id that score matrices over all of these clips and captions have (PROTOCOL.md, "Pools")."""
    return pool_id_of([clip.id for clip in clips], [caption.id for clip in clips for caption in clip.captions])


def _refuse_duplicates(ids: Sequence[str], kind: str) -> None:
    seen: set[str] = set()
    for item_id in ids:
        if item_id in seen:
            raise UsageError(f"{kind} id {item_id!r} occurs more than once in the dataset: ids must be unique")
        seen.add(item_id)


def _encoded(lines: Sequence[str]) -> bytes:
    for line in lines:
        try:
            line.encode()
        except UnicodeEncodeError as error:
            around = line[max(error.start - 40, 0) : error.end + 40]
            raise UsageError(f"{around!a} cannot be written as UTF-8: rename the file, or mend the text") from None
    return "".join(f"{line}\n" for line in lines).encode()


def _problem_line(problem: Problem) -> str:
    record = {"item": problem.item, "action": problem.action, "reason": problem.reason}
    return json.dumps(record, ensure_ascii=False)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _seal(header: dict[str, Any]) -> str:
    """Sha256 of what dataset.json says, but for the name: who renames the folder may write the new one there."""
    sealed = {key: value for key, value in header.items() if key not in ("name", "sha256")}
    return _sha256(json.dumps(sealed, sort_keys=True).encode())


def load_dataset(folder: Path) -> Dataset:
    """Read a dataset and check that its manifest is the one that was written.

    Raises:
        MissingPrerequisiteError: there is no dataset; names the commands that make one.
        IntegrityError: manifest, problems or dataset.json is not what was written; names the file and the command
            that makes it again.
    """
    header = stated_header(folder)
    about, files = header["about"], header["files"]
    lines = {}
    for name in (MANIFEST_NAME, PROBLEMS_NAME):
        data = _read(folder / name, about)
        if _sha256(data) != files[name]:
            raise _damaged(folder / name, f"its sha256 is not the one in {DATASET_NAME}", about)
        # not splitlines(): captions may hold U+2028 and its kin, which JSON leaves as they are
        lines[name] = [line for line in data.decode().split("\n") if line]
    clips = []
    for number, line in enumerate(lines[MANIFEST_NAME], start=1):
        try:
            clips.append(clip_from(line))
        except ValueError as error:
            raise _damaged(folder / MANIFEST_NAME, f"line {number}: {error}", about) from error
    try:
        problems = tuple(Problem(**json.loads(line)) for line in lines[PROBLEMS_NAME])
    except (ValueError, TypeError) as error:
        raise _damaged(folder / PROBLEMS_NAME, str(error), about) from error
    return Dataset(header["name"], tuple(clips), folder, about, problems)


def stated_sha256(folder: Path) -> dict[str, str]:
    """The sha256 that dataset.json states of the files beside it, by name.

    Raises:
        MissingPrerequisiteError, IntegrityError: as `load_dataset`.
    """
    files: dict[str, str] = stated_header(folder)["files"]
    return files


def stated_header(folder: Path) -> dict[str, Any]:
    """What dataset.json says: "name", "files" with their sha256, "pool_ids", "about".

    Raises:
        MissingPrerequisiteError, IntegrityError: as `load_dataset`.
    """
    path = folder / DATASET_NAME
    try:
        header: dict[str, Any] = json.loads(_read(path))
        seal, sealed = header["sha256"], _seal(header)
        name, is_whole = header["name"], {MANIFEST_NAME, PROBLEMS_NAME} <= header["files"].keys() and "about" in header
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _damaged(path, f"{type(error).__name__}: {error}") from error
    if seal != sealed or not is_whole:
        raise _damaged(path, "it is not what atrkit wrote")
    if name != folder.name:
        raise IntegrityError(
            f"{path} is of a dataset called {name!r}, and its folder is called {folder.name!r}: "
            "give the folder that name, or write the folder's name there"
        )
    return header


def _read(path: Path, about: Mapping[str, Any] | None = None) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        folder = path.parent
        raise MissingPrerequisiteError(
            f"no dataset {folder.name!r} in {folder.parent} ({path.name} is missing); "
            f"make it: {command_that_makes(folder.name, about)}"
        ) from None
    except OSError as error:
        raise ResourceError(f"cannot read {path}: {error.strerror or error}") from error


def _damaged(path: Path, why: str, about: Mapping[str, Any] | None = None) -> IntegrityError:
    """What makes the dataset again; without `about`, dataset.json itself is lost and with it the command's options."""
    name = path.parent.name
    if about is not None:
        way_out = f"make the dataset again: {command_that_makes(name, about)}"
    elif name in DOWNLOADABLE:
        way_out = f"make the dataset again: {command_that_makes(name)}, with the options that it was made with"
    else:
        way_out = (
            f"run again the command that made it: {command_that_makes(name)}, or atrkit download, with its options"
        )
    return IntegrityError(f"{path} is damaged ({why}); {way_out}")
