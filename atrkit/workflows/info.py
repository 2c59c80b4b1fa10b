"""`atrkit info`: what a dataset holds, and whether its files are still those that the manifest describes."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from atrkit.datasets.commands import command_that_makes, downloaded_dataset
from atrkit.datasets.manifest import Dataset
from atrkit.datasets.missing import MissingClip, load_missing
from atrkit.datasets.relevance import QRELS_FOLDER, KeptQrels, kept_qrels
from atrkit.datasets.verify import Change, Verification, folders_gone, stated_files, verify_files
from atrkit.errors import IntegrityError
from atrkit.workflows.session import Session


@dataclass(frozen=True)
class DatasetOnDisk:
    """A dataset and what is kept beside its manifest.

    Args:
        dataset: as loaded, its manifest's hash checked.
        missing: clips that it should have; None when that is not on record.
        qrels: judgements of relevance.
    """

    dataset: Dataset
    missing: tuple[MissingClip, ...] | None
    qrels: tuple[KeptQrels, ...]


def find_dataset(session: Session, name: str | None) -> DatasetOnDisk:
    """Load a dataset by name, or the one made last.

    Raises:
        MissingPrerequisiteError: there is none of that name, or none at all; says how to make one (exit code 3).
        IntegrityError: a file that describes it is damaged; says how to make it again (exit code 5).
    """
    dataset = session.workspace.load_dataset(name)
    if name is None:
        others = [other for other in session.workspace.dataset_names() if other != dataset.name]
        also = f"; there are also: {', '.join(others)}" if others else ""
        session.say(f"dataset: {dataset.name} (the one made last{also})")
    return DatasetOnDisk(dataset, load_missing(dataset.folder), kept_qrels(dataset.folder))


def verify(session: Session, found: DatasetOnDisk) -> Verification:
    """Read every file of a dataset again."""
    files = stated_files(found.dataset)
    with session.open_progress(f"verifying {found.dataset.name}", len(files), "files") as advance:
        return verify_files(files, on_progress=advance)


def refuse_changes(dataset: Dataset, verification: Verification) -> None:
    """Say how to get a dataset right again, when it is not.

    Raises:
        IntegrityError: files are changed, missing or unreadable (exit code 5).
    """
    count = len(verification.changes)
    if count:
        raise IntegrityError(
            f"{count:,} of {verification.files:,} files {_is_or_are(count)} not as the manifest of {dataset.name} "
            f"says: {_way_out(dataset, verification.changes)}"
        )


def _way_out(dataset: Dataset, changes: Sequence[Change]) -> str:
    """What was downloaded can be deleted and fetched or made again; the user's own files cannot."""
    command = _command(dataset, changes)
    match downloaded_dataset(dataset.name, dataset.about):
        case None:
            return f"put back what they were{_on_which_disk(changes)}, or describe them anew: {command}"
        case "synthetic":
            return f"render it again: {command}"
    ours, theirs = _ours_and_theirs(dataset, changes)
    put_back = f"put back the {len(theirs):,} that {_is_or_are(len(theirs))} yours{_on_which_disk(theirs)}"
    if not ours:
        return f"{put_back}, or describe them anew: {command}"
    steps = [*_delete(dataset, ours), *([put_back] if theirs else [])]
    return f"{' and '.join(steps)}, then run: {command}" if steps else f"run: {command}"


def _command(dataset: Dataset, changes: Sequence[Change]) -> str:
    command = command_that_makes(dataset.name, dataset.about)
    judgements = any(change.path.parent == dataset.folder / QRELS_FOLDER for change in changes)
    takes_judgements = downloaded_dataset(dataset.name, dataset.about) == "clotho"
    return f"{command} --relevance PATH" if judgements and takes_judgements else command


def _ours_and_theirs(dataset: Dataset, changes: Sequence[Change]) -> tuple[list[Change], list[Change]]:
    """What lies below the dataset's folder, and recordings that `download` uses where the user has them."""
    root = _without_dots(dataset.folder)
    ours: list[Change] = []
    theirs: list[Change] = []
    for change in changes:
        (ours if _without_dots(change.path).is_relative_to(root) else theirs).append(change)
    return ours, theirs


def _without_dots(path: Path) -> Path:
    """Absolute, but through links: a download writes to what is linked into its folder as if it lay there."""
    return Path(os.path.normpath(path.absolute()))


def _delete(dataset: Dataset, ours: Sequence[Change]) -> Iterator[str]:
    """A download knows files by size and time, so that it would take a changed one that kept both for the old."""
    there = [change for change in ours if change.what != "missing"]
    if there:
        what = "changed" if all(change.what == "changed" for change in there) else "changed or unreadable"
        yield f"delete the {len(there):,} {what} {'file' if len(there) == 1 else 'files'} below {dataset.folder}"


def _on_which_disk(changes: Sequence[Change]) -> str:
    places = [
        f"{'all' if files == len(changes) else f'{files:,}'} below {folder}"
        for folder, files in folders_gone(changes).items()
    ]
    return f" ({', '.join(places)}: is the disk mounted, was it moved?)" if places else ""


def _is_or_are(count: int) -> str:
    return "is" if count == 1 else "are"
