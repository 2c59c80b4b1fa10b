"""`atrkit download clotho`: from Zenodo, or from a copy on this machine, to a verified dataset with a manifest."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from atrkit.datasets.aac_tables import ROOT_VARIABLE, PublishedFile, clotho_subset
from atrkit.datasets.archives import (
    ExtractionRecord,
    extract_archive,
    load_record,
    missing_or_changed,
    record_path,
    save_record,
    scan_archive,
)
from atrkit.datasets.clotho.clips import find_clips
from atrkit.datasets.clotho.layout import ClothoCopy, ClothoFolder, clip_id, find_copy, subsets_of
from atrkit.datasets.clotho.tables import ClothoTable, read_clotho
from atrkit.datasets.manifest import Caption, Dataset
from atrkit.errors import IntegrityError, MissingPrerequisiteError, UsageError
from atrkit.files import md5_of_file
from atrkit.workflows.download.recordings import Recording
from atrkit.workflows.download.steps import (
    AudioOptions,
    byte_progress,
    choose_subsets,
    copies_folder,
    fetch_file,
    finish_dataset,
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
    copy = _copy_on_this_machine(session, options)
    if copy is not None and not options.audio.keep_original:
        raise UsageError(f"--drop-original would delete recordings in {copy.folder}, which are yours: leave it out")
    with writing_dataset(session, options.name, "Clotho", options.version) as target:
        subsets = choose_subsets(options.subsets, subsets_of(options.version), target.subsets)
        if options.source is not None and copy is not None:
            subsets = _subsets_in_copy(session, copy, subsets, options)
        own = ClothoFolder(target.folder, options.version)
        recordings = [
            recording for subset in subsets for recording in _recordings_of(session, own, copy, subset, options)
        ]
        about = {
            "source": {"name": "Clotho", "version": options.version, "record": _record_url(options.version)},
            "licence": LICENCE,
            "subsets": list(subsets),
            **({"copy": str(copy.folder)} if copy is not None else {}),
        }
        return finish_dataset(session, target, recordings, options.audio, about, options.relevance)


def _copy_on_this_machine(session: Session, options: ClothoOptions) -> ClothoCopy | None:
    """The copy that --from names, else one below aac-datasets' root."""
    if options.source is not None:
        copy = find_copy(options.source, options.version)
        if copy is None:
            raise MissingPrerequisiteError(
                f"--from {options.source}: no audio of Clotho {options.version} there; name the folder that holds "
                f"CLOTHO_{options.version}, or the folders development, validation and evaluation"
            )
        return copy
    root = os.environ.get(ROOT_VARIABLE)
    copy = find_copy(Path(root), options.version) if root else None
    if copy is not None:
        session.say(f"{ROOT_VARIABLE}: the copy of Clotho {options.version} in {copy.folder} is used where it is")
    return copy


def _subsets_in_copy(
    session: Session, copy: ClothoCopy, subsets: Sequence[str], options: ClothoOptions
) -> tuple[str, ...]:
    """With --from nothing is downloaded: subsets that were asked for must be there, others may be left out."""
    absent = [subset for subset in subsets if copy.audio_folder(subset) is None]
    if absent and options.subsets is not None:
        raise MissingPrerequisiteError(
            f"{copy.folder} has no audio of {', '.join(absent)}: it has {', '.join(copy.subsets)}; "
            "change --subset, or leave --from out to download"
        )
    if absent:
        session.say(f"{copy.folder} has no audio of {', '.join(absent)}: left out")
    return tuple(subset for subset in subsets if subset not in absent)


def _record_url(version: str) -> str:
    return clotho_subset(version, "eval").archive.url.partition("/files/")[0]


def _recordings_of(
    session: Session, own: ClothoFolder, copy: ClothoCopy | None, subset: str, options: ClothoOptions
) -> list[Recording]:
    """Bring one subset to the disk, and say where each of its clips lies."""
    files = clotho_subset(own.version, subset)
    captions_path = _table(
        session, files.captions, copy.captions_path(subset) if copy else None, own.captions_path(subset)
    )
    metadata_path = _table(
        session, files.metadata, copy.metadata_path(subset) if copy else None, own.metadata_path(subset)
    )
    table = read_clotho(captions_path, metadata_path)
    _say_what_tables_lack(session, subset, table)
    copies = copies_folder(own.root, options.audio)
    audio_folder = copy.audio_folder(subset) if copy else None
    if audio_folder is None:
        audio_folder = own.audio_folder(subset)
        _bring_audio(session, own, subset, table, copies, keep_archive=options.keep_archives)
    clips = find_clips(table.rows, audio_folder)
    for what, names in (("files that no row names", clips.extra), ("names in another Unicode form", clips.respelled)):
        if names:
            session.say(f"{audio_folder}: {len(names)} {what}, {next(iter(names))!r} the first")
    recordings = []
    for row in table.rows:
        path = f"{files.folder}/{row.file_name}"
        recordings.append(
            Recording(
                clip_id=clip_id(own.version, subset, row.file_name),
                split=subset,
                source=row.file_name,
                original=clips.paths.get(row.file_name, audio_folder / row.file_name),
                copy=(copies / path).with_suffix(".flac") if copies else None,
                captions=tuple(Caption(f"{path}#{number}", text) for number, text in enumerate(row.captions, start=1)),
                metadata=row.metadata,
            )
        )
    return recordings


def _table(session: Session, file: PublishedFile, in_copy: Path | None, own: Path) -> Path:
    """A table, from the copy if it is the published one to the bit, else from our folder or the network."""
    if in_copy is None:
        return fetch_file(session, file, own).path
    digest = md5_of_file(in_copy)
    if digest != file.md5:
        raise IntegrityError(
            f"{in_copy} is not the published table (md5 {digest} instead of {file.md5}): is it another --version? "
            "Or remove it, and the published one is downloaded"
        )
    return in_copy


def _say_what_tables_lack(session: Session, subset: str, table: ClothoTable) -> None:
    for note in table.notes:
        session.say(f"{subset}: {note}")
    for names, what in (
        (table.without_metadata, "clips have no metadata"),
        (table.metadata_only, "rows of metadata belong to no clip"),
    ):
        if names:
            session.say(f"{subset}: {len(names)} {what}, {names[0]!r} the first")


def _bring_audio(
    session: Session,
    own: ClothoFolder,
    subset: str,
    table: ClothoTable,
    copies: Path | None,
    *,
    keep_archive: bool,
) -> None:
    """Download and unpack what is not there yet; the archive goes when its files are in place.

    Until then it has another name: a kill could leave all files in place, and nothing else would tell an archive that
    is to go from one that the user keeps.
    """
    archive, folder = own.archive_path(subset), own.audio_folder(subset)
    unpacking = archive.with_name(f"{archive.name}.unpacking")
    names = {row.file_name for row in table.rows}
    lacking = _lacking(own, subset, names, copies)
    if not lacking and not unpacking.is_file():
        return
    if 0 < len(lacking) < len(names):
        session.say(f"{folder}: {len(lacking)} files are missing or changed, {lacking[0]!r} the first: unpacked again")
    file = clotho_subset(own.version, subset).archive
    fetched = fetch_file(session, file, unpacking if unpacking.is_file() else archive)
    fetched.path.replace(unpacking)
    listing = scan_archive(unpacking, expected_names=names)
    with byte_progress(session, f"unpacking {file.name}") as on_progress:
        extract_archive(unpacking, folder, listing, on_progress=on_progress)
    save_record(record_path(archive), ExtractionRecord(file.name, file.md5 or "", listing.members))
    if keep_archive:
        unpacking.replace(archive)
    else:
        unpacking.unlink()


def _lacking(own: ClothoFolder, subset: str, names: set[str], copies: Path | None) -> list[str]:
    """Files that are neither there as they were unpacked nor, the original having been dropped, as a copy."""
    folder = own.audio_folder(subset)
    record = load_record(record_path(own.archive_path(subset)))
    if record is None:
        suspect = sorted(name for name in names if not (folder / name).is_file())
    else:
        suspect = missing_or_changed(record, folder)
    dropped = copies / folder.name if copies is not None else None
    return [name for name in suspect if (folder / name).is_file() or not _has_copy(dropped, name)]


def _has_copy(folder: Path | None, name: str) -> bool:
    return folder is not None and (folder / name).with_suffix(".flac").is_file()
