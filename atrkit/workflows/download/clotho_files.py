"""Brings the files of one subset of Clotho to the disk: from copies that there are, else from the network."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from atrkit.datasets.aac_tables import PublishedFile, clotho_subset
from atrkit.datasets.archives import (
    ExtractionRecord,
    extract_archive,
    load_record,
    missing_or_changed,
    record_path,
    save_record,
    scan_archive,
)
from atrkit.datasets.clotho.layout import ClothoCopy, ClothoFolder, version_of_table
from atrkit.datasets.clotho.tables import ClothoTable, read_clotho
from atrkit.errors import IntegrityError
from atrkit.files import md5_of_file
from atrkit.workflows.byte_progress import byte_progress
from atrkit.workflows.download.recordings import CopyFolders
from atrkit.workflows.download.steps import fetch_file
from atrkit.workflows.session import Session


@dataclass(frozen=True)
class ClothoPlaces:
    """Where the files of a version may be.

    Args:
        own: our folder, which everything that is transferred or unpacked goes to.
        copies: the user's, in the order in which they are asked; nothing in them is written.
        resampled: where copies at other rates lie.
        dropped: subsets whose originals were deleted on purpose.
    """

    own: ClothoFolder
    copies: Sequence[ClothoCopy]
    resampled: CopyFolders
    dropped: Collection[str]

    def audio_copy(self, subset: str) -> ClothoCopy | None:
        """The first copy that has the audio of a subset."""
        return next((copy for copy in self.copies if copy.audio_folder(subset) is not None), None)

    def archive_in_copies(self, subset: str) -> Path | None:
        """An archive of the subset that somebody has downloaded already."""
        return next((path for copy in self.copies if (path := copy.archive_path(subset)) is not None), None)


def bring_table(session: Session, places: ClothoPlaces, subset: str) -> ClothoTable:
    """Read the tables of a subset, which are the published ones to the bit.

    Raises:
        IntegrityError: a copy's table is another one; says of which version it is.
        NetworkError: it is in no copy, and cannot be transferred.
    """
    files = clotho_subset(places.own.version, subset)
    in_copies = [copy.captions_path(subset) for copy in places.copies]
    captions_path = _checked(files.captions, in_copies)
    if captions_path is None:
        captions_path = fetch_file(session, files.captions, places.own.captions_path(subset)).path
    metadata_path = _checked(files.metadata, [copy.metadata_path(subset) for copy in places.copies])
    own_metadata_path = places.own.metadata_path(subset)
    if metadata_path is None and (places.audio_copy(subset) is None or own_metadata_path.is_file()):
        metadata_path = fetch_file(session, files.metadata, own_metadata_path).path
    if metadata_path is None:
        session.say(
            f"{subset}: {files.metadata.name} is not in the copy: clips have no keywords and licences "
            f"(put it at {own_metadata_path} to have them)"
        )
    table = read_clotho(captions_path, metadata_path)
    _say_what_tables_lack(session, subset, table)
    return table


def _checked(file: PublishedFile, candidates: Iterable[Path | None]) -> Path | None:
    """The first table that a copy has, if it is the published one."""
    path = next((path for path in candidates if path is not None), None)
    if path is None:
        return None
    digest = md5_of_file(path)
    if digest != file.md5:
        known = version_of_table(digest)
        raise IntegrityError(
            f"{path} is not the published table (md5 {digest} instead of {file.md5})"
            + (f": it is {known}; give that --version" if known else ": it was edited or cut; fetch it again")
        )
    return path


def _say_what_tables_lack(session: Session, subset: str, table: ClothoTable) -> None:
    for note in table.notes:
        session.say(f"{subset}: {note}")
    for names, what in (
        (table.without_metadata, "clips have no metadata"),
        (table.metadata_only, "rows of metadata belong to no clip"),
    ):
        if names:
            session.say(f"{subset}: {len(names)} {what}, {names[0]!r} the first")


def bring_audio(session: Session, places: ClothoPlaces, subset: str, table: ClothoTable, *, keep_archive: bool) -> Path:
    """The folder with the audio of a subset; what is not there yet is transferred and unpacked.

    Raises:
        IntegrityError: an archive is not the published one, or is refused.
        NetworkError: it cannot be transferred.
    """
    copy = places.audio_copy(subset)
    if copy is not None and (folder := copy.audio_folder(subset)) is not None:
        return folder
    folder = places.own.audio_folder(subset)
    names = {row.file_name for row in table.rows}
    lacking = _lacking(places, subset, names)
    if 0 < len(lacking) < len(names):
        session.say(f"{folder}: {len(lacking)} files are missing or changed, {lacking[0]!r} the first: unpacked again")
    unpacking = _unpacking_path(places.own.archive_path(subset))
    if lacking or unpacking.is_file():
        _bring_archive_and_unpack(session, places, subset, names, keep_archive=keep_archive)
    return folder


def _lacking(places: ClothoPlaces, subset: str, names: set[str]) -> list[str]:
    """Files that are neither there as they were unpacked nor, the original having been dropped, as a copy."""
    folder = places.own.audio_folder(subset)
    record = load_record(record_path(places.own.archive_path(subset)))
    if record is None:
        suspect = sorted(name for name in names if not (folder / name).is_file())
    else:
        suspect = missing_or_changed(record, folder)
    if subset not in places.dropped:
        return suspect
    return [name for name in suspect if places.resampled.best(copy_name(folder.name, name)) is None]


def copy_name(folder: str, file_name: str) -> str:
    """Where the copy of a recording lies below the folder of its rate.

    >>> copy_name("development", "Rain.01.wav")
    'development/Rain.01.flac'
    """
    return f"{folder}/{Path(file_name).stem}.flac"


def _unpacking_path(archive: Path) -> Path:
    """The archive's name while it is unpacked and until it goes.

    A kill could leave all files in place, and nothing else would tell an archive that is to go from one that the user
    keeps.
    """
    return archive.with_name(f"{archive.name}.unpacking")


def _bring_archive_and_unpack(
    session: Session, places: ClothoPlaces, subset: str, names: set[str], *, keep_archive: bool
) -> None:
    own, file = places.own.archive_path(subset), clotho_subset(places.own.version, subset).archive
    unpacking = _unpacking_path(own)
    theirs = None if own.is_file() or unpacking.is_file() else places.archive_in_copies(subset)
    if theirs is not None:
        session.say(f"{theirs} is verified and unpacked; it stays where it is")
        if (digest := md5_of_file(theirs)) != file.md5:
            raise IntegrityError(f"{theirs} is not the published archive (md5 {digest} instead of {file.md5})")
        archive = theirs
    else:
        fetched = fetch_file(session, file, unpacking if unpacking.is_file() else own)
        archive = fetched.path.replace(unpacking)
    listing = scan_archive(archive, expected_names=names)
    with byte_progress(session, f"unpacking {file.name}") as on_progress:
        extract_archive(archive, places.own.audio_folder(subset), listing, on_progress=on_progress)
    save_record(record_path(own), ExtractionRecord(file.name, file.md5 or "", listing.members))
    if archive is theirs:
        return
    if keep_archive:
        archive.replace(own)
    else:
        archive.unlink()


def say_what_to_fetch(session: Session, places: ClothoPlaces, subsets: Iterable[str]) -> None:
    """Without a network: everything that is still to be had, and where to put it, so that one trip is enough."""
    session.say("still to be had; fetch these elsewhere and put them there, then run the same command again:")
    for subset in subsets:
        files, own = clotho_subset(places.own.version, subset), places.own
        targets = [
            (files.captions, own.captions_path(subset), [copy.captions_path(subset) for copy in places.copies]),
            (files.metadata, own.metadata_path(subset), [copy.metadata_path(subset) for copy in places.copies]),
        ]
        if places.audio_copy(subset) is None and not own.audio_folder(subset).is_dir():
            targets.append((files.archive, own.archive_path(subset), [places.archive_in_copies(subset)]))
        for file, target, elsewhere in targets:
            if not target.is_file() and not any(elsewhere):
                session.say(f"  {file.url}  (md5 {file.md5})  ->  {target}")
