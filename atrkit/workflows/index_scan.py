"""What lies below the folders of an index, or in its dataset: which files can be found, and why others cannot."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from atrkit.datasets.folder_files import FolderListing, list_folder
from atrkit.datasets.manifest import Clip, Dataset, Problem
from atrkit.datasets.prepared import AudioJob, Prepared, Unusable, prepare_audio
from atrkit.datasets.prepared_journal import FileState, Journal
from atrkit.errors import IntegrityError, MissingPrerequisiteError, ResourceError, UsageError
from atrkit.processes import available_cores
from atrkit.reports.counting import counted
from atrkit.search.changes import FoundFile, is_same_state
from atrkit.search.index_files import IndexedFile, file_id
from atrkit.workflows.index_captions import CaptionTables, captions_of_folders
from atrkit.workflows.index_unreachable import say_unreachable, unreachable_files, without_moved
from atrkit.workflows.session import Session

# our choice: processes take a second to start, in which one reads so many files of ten seconds
_WORTH_PROCESSES_FILES = 64
_NO_TABLES = CaptionTables()


@dataclass(frozen=True)
class Scan:
    """What is there.

    Args:
        files: that can be read, in order of root and path.
        problems: what cannot, and what was repaired; by the names that `item_of` gives.
        skipped: ids of the files that cannot be read.
        unreachable: files that were indexed, and may be there still; they are listed among the problems, too.
    """

    files: tuple[FoundFile, ...]
    problems: tuple[Problem, ...]
    skipped: frozenset[str]
    unreachable: tuple[IndexedFile, ...] = ()


def item_of(path: str, root: str, roots: Sequence[str]) -> str:
    """What lists of problems call a file: its path below the one root, or the whole path.

    >>> item_of("rain.wav", "/sounds", ["/sounds"]), item_of("rain.wav", "/sounds", ["/sounds", "/more"])
    ('rain.wav', '/sounds/rain.wav')
    """
    return path if len(roots) == 1 else str(Path(root, path))


def scan_folders(
    session: Session,
    roots: Sequence[str],
    before: Sequence[IndexedFile],
    journal: Path,
    tables: CaptionTables = _NO_TABLES,
) -> Scan:
    """List folders, and read every file from end to end that is new or was written since.

    Args:
        session: where to speak.
        roots: the folders, absolute.
        before: what was indexed.
        journal: remembers what was read, and what came of it.
        tables: of captions, that the user named.

    Raises:
        UsageError: there is no sound file, or a table that was named cannot be read.
        MissingPrerequisiteError: a folder is empty in which files were indexed.
        IntegrityError: none of the files can be used.
        ResourceError: a folder cannot be read, or the journal cannot be written.
    """
    files: list[FoundFile] = []
    problems: list[Problem] = []
    skipped: set[str] = set()
    jobs: list[AudioJob] = []
    found: dict[str, tuple[str, str, FileState]] = {}
    names: dict[str, list[str]] = {}
    for number, root in enumerate(roots):
        listing = list_folder(Path(root))
        if not listing.is_readable:
            raise ResourceError(f"{root} cannot be read: change the permissions of this folder")
        _refuse_an_empty_folder(listing, root, before)
        _say_what_is_left_out(session, listing, root)
        for name in listing.refused_sounds():
            problems.append(Problem(item_of(name, root, roots), "skipped", _in_words(listing.refused[name])))
            skipped.add(file_id(name, number))
        names[root] = listing.sounds()
        for name in names[root]:
            state = FileState.of(listing.files[name])  # before it is read: who writes it meanwhile is noticed next time
            if state is not None:
                found[file_id(name, number)] = (name, root, state)
                jobs.append(AudioJob(file_id(name, number), Path(root, name), None))
    if not jobs and not problems:
        raise UsageError(f"no sound files in {' or '.join(roots)} or below")
    captions = captions_of_folders(session, names, tables)
    unreachable = unreachable_files(roots, before, {*found, *skipped})
    _forget_what_is_gone(journal, before, {*found, *(each.file.id for each in unreachable)})
    outcomes = _read(session, jobs, found, before, journal)
    for clip_id, (name, root, state) in found.items():
        outcome, item = outcomes[clip_id], item_of(name, root, roots)
        if isinstance(outcome, Unusable):
            problems.append(Problem(item, "skipped", outcome.reason))
            skipped.add(clip_id)
            continue
        if outcome.repairs:
            problems.append(Problem(item, "repaired", "; ".join(outcome.repairs)))
        original = outcome.original
        facts = (original.sha256, original.sample_rate_hz, original.frames, captions.get((root, name), ()))
        files.append(FoundFile(clip_id, name, root, state.size_bytes, state.mtime_ns, *facts))
    unreachable = without_moved(unreachable, before, files)
    say_unreachable(session, unreachable)
    for each in unreachable:
        problems.append(Problem(item_of(each.file.path, each.file.root, roots), "unreachable", each.reason))
    if not files and not unreachable:
        raise _none_usable(problems)
    return Scan(tuple(files), tuple(problems), frozenset(skipped), tuple(each.file for each in unreachable))


def scan_dataset(dataset: Dataset, split: str | None, sample_rate_hz: int) -> Scan:
    """The clips of a dataset, as its manifest describes them; what is found is the file that is encoded.

    Args:
        dataset: that was downloaded or imported.
        split: of it; None: all of it.
        sample_rate_hz: wanted: the best file of each clip for this rate is taken.

    Raises:
        IntegrityError: not one of the recordings is where it was.
    """
    root = str(dataset.folder.absolute())
    files: list[FoundFile] = []
    problems: list[Problem] = []
    skipped: set[str] = set()
    clips: Sequence[Clip] = dataset.clips if split is None else dataset.split(split)
    for clip in clips:
        file = clip.best_file(sample_rate_hz)
        state = FileState.of(dataset.audio_path(file))
        clip_id = file_id(file.path, 0)
        if state is None:
            problems.append(Problem(file.path, "skipped", "there is no such file"))
            skipped.add(clip_id)
            continue
        facts = (file.sha256, file.sample_rate_hz, file.frames, tuple(caption.text for caption in clip.captions))
        files.append(FoundFile(clip_id, file.path, root, state.size_bytes, state.mtime_ns, *facts))
    if not files:
        raise _none_usable(problems)
    return Scan(tuple(sorted(files, key=lambda found: found.path)), tuple(problems), frozenset(skipped))


def _read(
    session: Session,
    jobs: Sequence[AudioJob],
    found: Mapping[str, tuple[str, str, FileState]],
    before: Sequence[IndexedFile],
    journal: Path,
) -> dict[str, Prepared | Unusable]:
    known = {file.id: file for file in before}
    is_known = (
        clip_id in known and is_same_state(known[clip_id], state.size_bytes, state.mtime_ns)
        for clip_id, (_, _, state) in found.items()
    )
    to_read = len(jobs) - sum(is_known)
    workers = available_cores() if to_read > _WORTH_PROCESSES_FILES else 1
    with session.open_progress("looking through", len(jobs), "files") as advance:
        return prepare_audio(jobs, sample_rate_hz=None, journal=journal, workers=workers, on_progress=advance)


def _forget_what_is_gone(journal: Path, before: Sequence[IndexedFile], found: Container[str]) -> None:
    """A journal that remembers every name that ever was would grow for ever."""
    if all(file.id in found for file in before):
        return
    log = Journal.open(journal)
    for key in [key for key in log.entries if key[0] not in found]:
        del log.entries[key]
        log.is_compact = False
    with log.appending():
        pass  # at its end the file is written anew, when it has to be


def _refuse_an_empty_folder(listing: FolderListing, root: str, before: Sequence[IndexedFile]) -> None:
    """Where a disk is mounted there is an empty folder while it is not."""
    count = sum(file.root == root for file in before)
    if count and not listing.sounds() and not listing.refused_sounds():
        raise MissingPrerequisiteError(
            f"{root} holds no sound file any more, and {count:,} were indexed: mount its disk or bring them back; if "
            "they are really gone, make the index anew with --overwrite, naming the folders that are left"
        )


def _say_what_is_left_out(session: Session, listing: FolderListing, root: str) -> None:
    if listing.hidden:
        session.say(f"{counted(listing.hidden, 'hidden file')} in {root}: left out")
    if listing.datasets:
        shown = ", ".join(listing.datasets[:3]) + (", ..." if len(listing.datasets) > 3 else "")
        session.say(f"{counted(len(listing.datasets), 'dataset')} in {root} ({shown}): left out, see --dataset")


def _in_words(reason: str) -> str:
    """Why a link is not followed, with the way out of this command: the other one is an import's."""
    what, _, way_out = reason.partition(": ")
    return f"{what}: name the folder it leads to as well" if "--audio-dir" in way_out else reason


def _none_usable(problems: Sequence[Problem]) -> IntegrityError:
    first = problems[0]
    return IntegrityError(
        f"none of {counted(len(problems), 'file')} can be used; the first is {first.item!r}: {first.reason}"
    )
