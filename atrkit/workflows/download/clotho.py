"""`atrkit download clotho`: from Zenodo, or from copies on this machine, to a verified dataset with a manifest."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from atrkit.datasets.aac_tables import ROOT_VARIABLE, clotho_subset
from atrkit.datasets.clotho.clips import find_clips
from atrkit.datasets.clotho.layout import ClothoCopy, ClothoFolder, clip_id, find_copy, subsets_of
from atrkit.datasets.clotho.tables import ClothoRow
from atrkit.datasets.manifest import Caption, Dataset
from atrkit.errors import MissingPrerequisiteError, NetworkError, UsageError
from atrkit.workflows.download.clotho_files import (
    ClothoPlaces,
    bring_audio,
    bring_table,
    copy_name,
    say_what_to_fetch,
)
from atrkit.workflows.download.finish import finish_dataset
from atrkit.workflows.download.recordings import CopyFolders, Recording
from atrkit.workflows.download.steps import (
    AudioOptions,
    Target,
    choose_subsets,
    require_readable,
    writing_dataset,
)
from atrkit.workflows.session import Session

LICENCE = (
    "captions: Tampere University, for academic and non-commercial use with attribution; "
    "audio: each clip's own Creative Commons licence"
)


@dataclass(frozen=True)
class ClothoOptions:
    """What the user asked for.

    Args:
        version: "v1", "v2" or "v2.1".
        subsets: of dev, val, eval; None means all that there are.
        source: a copy to use where it lies; None looks at $AAC_DATASETS_ROOT, else downloads.
        keep_archives: leave the 7z files when they are unpacked.
        relevance: published relevance judgements to keep beside the manifest.
        name: of the dataset.
        audio: what becomes of the recordings.
    """

    version: str = "v2.1"
    subsets: Sequence[str] | None = None
    source: Path | None = None
    keep_archives: bool = False
    relevance: tuple[Path, ...] = ()
    name: str = "clotho"
    audio: AudioOptions = field(default_factory=AudioOptions)


def download_clotho(session: Session, options: ClothoOptions) -> Dataset:
    """Get Clotho: what is there is verified and used, what is missing is transferred, and all of it is described.

    Raises:
        UsageError: options that do not go together, or another version under the same name (exit code 2).
        MissingPrerequisiteError: `source` is no copy of this version (exit code 3).
        IntegrityError: a table, archive or, with --strict, a recording is not what it should be (exit code 5).
        NetworkError: Zenodo cannot be reached; says what is needed and where to put it (exit code 6).
    """
    require_readable("--relevance", options.relevance)
    with writing_dataset(session, options.name, "Clotho", options.version) as target:
        copies = _copies_on_this_machine(session, options, target)
        asked = choose_subsets(options.subsets, subsets_of(options.version), ())
        if options.source is not None:
            asked = _subsets_in_copy(session, copies[0], asked, is_explicit=options.subsets is not None)
        subsets = choose_subsets(asked, subsets_of(options.version), target.subsets)
        places = ClothoPlaces(
            ClothoFolder(target.folder, options.version),
            copies,
            CopyFolders(target.folder, options.audio.sample_rate_hz),
            target.dropped,
        )
        in_place = [subset for subset in subsets if places.audio_copy(subset) is not None]
        if in_place and not options.audio.keep_original:
            raise UsageError(
                f"--drop-original would delete the recordings of {', '.join(in_place)}, which are yours: leave it out"
            )
        try:
            recordings = [r for subset in subsets for r in _recordings_of(session, places, subset, options)]
        except NetworkError:
            say_what_to_fetch(session, places, subsets)
            raise
        dropped = [s for s in subsets if s not in in_place and (s in target.dropped or not options.audio.keep_original)]
        used = {copy.folder for subset in in_place if (copy := places.audio_copy(subset)) is not None}
        about = {
            "source": {"name": "Clotho", "version": options.version, "record": _record_url(options.version)},
            "licence": LICENCE,
            "subsets": list(subsets),
            "copies": [str(copy.folder) for copy in copies if copy.folder in used],
            "dropped": [subset for subset in dropped if not _has_originals(places, subset, options)],
        }
        return finish_dataset(session, target, recordings, options.audio, about, options.relevance)


def _copies_on_this_machine(session: Session, options: ClothoOptions, target: Target) -> list[ClothoCopy]:
    """The copy that --from names, those that earlier calls used, and the one below aac-datasets' root."""
    copies: list[ClothoCopy] = []
    if options.source is not None:
        copy = find_copy(options.source.resolve(), options.version)
        if copy is None:
            raise MissingPrerequisiteError(
                f"--from {options.source}: nothing of Clotho {options.version} there; name the folder that holds "
                f"CLOTHO_{options.version}, the folders development, validation and evaluation, or the archives"
            )
        copies.append(copy)
    for folder in target.copies:
        copy = find_copy(folder, options.version)
        if copy is None:
            session.say(f"{folder}, which an earlier call took recordings from, is gone")
        else:
            copies.append(copy)
    root = os.environ.get(ROOT_VARIABLE)
    copy = find_copy(Path(root).resolve(), options.version) if root else None
    if copy is not None:
        session.say(f"{ROOT_VARIABLE}: the copy of Clotho {options.version} in {copy.folder} is used where it is")
        copies.append(copy)
    elif root:
        session.say(f"{ROOT_VARIABLE}: nothing of Clotho {options.version} in {root}")
    return list({copy.folder: copy for copy in copies}.values())


def _subsets_in_copy(session: Session, copy: ClothoCopy, asked: Sequence[str], *, is_explicit: bool) -> tuple[str, ...]:
    """With --from no audio is downloaded: subsets that were named must be there, others may be left out."""
    absent = [subset for subset in asked if subset not in copy.subsets]
    if absent and is_explicit:
        raise MissingPrerequisiteError(
            f"{copy.folder} has no audio of {', '.join(absent)}: it has {', '.join(copy.subsets)}; "
            "change --subset, or leave --from out to download"
        )
    if absent:
        session.say(f"{copy.folder} has no audio of {', '.join(absent)}: left out")
    return tuple(subset for subset in asked if subset not in absent)


def _record_url(version: str) -> str:
    return clotho_subset(version, "eval").archive.url.partition("/files/")[0]


def _has_originals(places: ClothoPlaces, subset: str, options: ClothoOptions) -> bool:
    """Whether originals that were once dropped are back, and stay."""
    folder = places.own.audio_folder(subset)
    return options.audio.keep_original and folder.is_dir() and any(folder.iterdir())


def _recordings_of(session: Session, places: ClothoPlaces, subset: str, options: ClothoOptions) -> list[Recording]:
    """Bring one subset to the disk, and say where each of its clips lies."""
    table = bring_table(session, places, subset)
    folder = bring_audio(session, places, subset, table, keep_archive=options.keep_archives)
    clips = find_clips(table.rows, folder)
    for what, names in (("files that no row names", clips.extra), ("names in another Unicode form", clips.respelled)):
        if names:
            session.say(f"{folder}: {len(names)} {what}, {next(iter(names))!r} the first")
    return [
        _recording(places, subset, row, clips.paths.get(row.file_name, folder / row.file_name)) for row in table.rows
    ]


def _recording(places: ClothoPlaces, subset: str, row: ClothoRow, original: Path) -> Recording:
    own_id = clip_id(places.own.version, subset, row.file_name)
    below = copy_name(clotho_subset(places.own.version, subset).folder, row.file_name)
    copy = places.resampled.wanted(below)
    if not original.is_file() and (copy is None or not copy.is_file()):
        # dropped, and wanted at another rate: what is left of it is the copy with the highest
        original = places.resampled.best(below) or original
    return Recording(
        clip_id=own_id,
        split=subset,
        source=row.file_name,
        original=original,
        copy=copy,
        captions=tuple(Caption(f"{own_id}#{number}", text) for number, text in enumerate(row.captions, start=1)),
        metadata=row.metadata,
    )
