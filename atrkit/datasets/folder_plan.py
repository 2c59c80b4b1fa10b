"""Which clips an import is to take, decided before any audio is opened: table, audio folder, missing files."""

import os.path
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from atrkit.datasets.captions_csv import CaptionRow
from atrkit.datasets.folder_files import FolderListing, SimilarNames, has_audio_suffix, list_folder
from atrkit.datasets.folder_table import TableOptions, choose_table, read_table
from atrkit.datasets.manifest import Problem
from atrkit.errors import UsageError

_AUDIO_FOLDER = "audio"


@dataclass(frozen=True)
class PlannedClip:
    """A file to be inspected, and what is known about it."""

    id: str
    path: Path
    captions: tuple[str, ...] = ()
    split: str | None = None


@dataclass(frozen=True)
class ImportPlan:
    """What an import will take.

    Args:
        clips: in the order of the table, or by name.
        audio_folder: clip ids are relative to it.
        table: the captions' file, if there is one.
        problems: what was named or lies there and cannot be taken.
        notes: what was decided or left aside.
    """

    clips: tuple[PlannedClip, ...]
    audio_folder: Path
    table: Path | None
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]


def plan_import(source: Path, audio_folder: Path | None, options: TableOptions) -> ImportPlan:
    """Decide what to import.

    Args:
        source: a table of captions, or a folder with audio and, perhaps, a table.
        audio_folder: where the audio lies; None looks beside the table and in `audio/` there.
        options: layout of the table.

    Raises:
        UsageError: nothing is there, the table has a fault, several tables could be meant, or none of the files that
            the table names is found.
    """
    if audio_folder is not None and not audio_folder.is_dir():
        raise UsageError(f"--audio-dir {audio_folder} is not a folder")
    if source.is_dir():
        table, notes = choose_table(source, options)
        if table is None:
            return _plan_without_captions(audio_folder or source, notes)
        return _plan_with_captions(table, audio_folder, options, notes)
    if not source.exists():
        raise UsageError(f"{source} is not there: name a folder of sound files, or a table of captions (CSV)")
    if has_audio_suffix(source.name):
        raise UsageError(f"{source} is a single sound file: name its folder, or a table of captions (CSV)")
    return _plan_with_captions(source, audio_folder, options, [])


def _plan_without_captions(audio_folder: Path, notes: Sequence[str]) -> ImportPlan:
    listing = list_folder(audio_folder)
    names = listing.sounds()
    problems = [_skipped(name, listing.refused[name]) for name in listing.refused_sounds()]
    if not names and not problems:
        raise UsageError(f"no sound files in {listing.root} or below it")
    clips = tuple(PlannedClip(name, listing.files[name]) for name in names)
    said = [*notes, "no table of captions was found: the clips have none", *_left_out(listing)]
    return ImportPlan(clips, listing.root, None, tuple(problems), tuple(said))


def _plan_with_captions(
    path: Path, audio_folder: Path | None, options: TableOptions, notes: Sequence[str]
) -> ImportPlan:
    table, split_note = read_table(path, options)
    root = _choose_audio_folder(path, table.rows, audio_folder)
    listing = list_folder(root)
    clips, problems, found_notes = _match(table.rows, listing)
    if not clips and not any(listing.refusal(problem.item) for problem in problems):
        looked_in = [str(folder) for folder in _candidate_folders(path, audio_folder)]
        raise UsageError(
            f"none of the {len(table.rows)} files that {path} names is in {' or '.join(looked_in)} "
            f"(the first is {table.rows[0].file_name!r}): name their folder with --audio-dir"
        )
    unnamed = len(set(listing.sounds()) - {clip.id for clip in clips})
    unnamed_note = (
        [f"{unnamed} sound files in {listing.root} are not in the table and were left out"] if unnamed else []
    )
    said = [*notes, *table.notes, *split_note, *found_notes, *unnamed_note, *_left_out(listing)]
    return ImportPlan(clips, listing.root, path, tuple(problems), tuple(said))


def _candidate_folders(table: Path, audio_folder: Path | None) -> list[Path]:
    return [audio_folder] if audio_folder is not None else [table.parent, table.parent / _AUDIO_FOLDER]


def _choose_audio_folder(table: Path, rows: Iterable[CaptionRow], audio_folder: Path | None) -> Path:
    """The folder where most of the named files are; the first of equals."""
    names = [row.file_name for row in rows]
    folders = [folder for folder in _candidate_folders(table, audio_folder) if folder.is_dir()]
    # unlike Path.exists, os.path.exists is False also for names that no file can have
    return max(folders, key=lambda folder: sum(os.path.exists(folder / name) for name in names))  # noqa: PTH110


def _match(
    rows: Sequence[CaptionRow], listing: FolderListing
) -> tuple[tuple[PlannedClip, ...], list[Problem], list[str]]:
    clips: list[PlannedClip] = []
    problems: list[Problem] = []
    named = {row.file_name for row in rows}
    similar = SimilarNames(listing.files)
    respelled = 0
    for row in rows:
        name = row.file_name
        if name not in listing.files:
            same = similar.same_text(name)
            if same is None or same in named:
                problems.append(_skipped(name, _why_not_there(name, listing, similar)))
                continue
            named.add(same)
            name = same
            respelled += 1
        clips.append(PlannedClip(name, listing.files[name], row.captions, row.split))
    notes = [f"{respelled} file names were matched in another Unicode form"] if respelled else []
    return tuple(clips), problems, notes


def _why_not_there(name: str, listing: FolderListing, similar: SimilarNames) -> str:
    refusal = listing.refusal(name)
    if refusal:
        return refusal
    nearly = similar.nearly(name)
    hint = f"; there is {nearly!r}" if nearly else ""
    return f"not found in {listing.root}{hint}"


def _skipped(item: str, reason: str) -> Problem:
    return Problem(item, "skipped", reason)


def _left_out(listing: FolderListing) -> list[str]:
    notes = []
    if listing.hidden:
        notes.append(f"{listing.hidden} hidden sound files (the name begins with a dot) were left out")
    if listing.datasets:
        notes.append(f"datasets of atrkit below {listing.root} were left out: {', '.join(listing.datasets)}")
    return notes
