"""`atrkit info`: what a dataset holds, and whether its files are still those that the manifest describes."""

import shlex
from dataclasses import dataclass

from atrkit.datasets.manifest import DOWNLOADABLE, Dataset, command_that_makes
from atrkit.datasets.missing import MissingClip, load_missing
from atrkit.datasets.relevance import QRELS_FOLDER, KeptQrels, kept_qrels
from atrkit.datasets.verify import Verification, stated_files, verify_files
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
    if not count:
        return
    command = command_that_makes(dataset.name, dataset.about)
    if any(change.path.parent.name == QRELS_FOLDER for change in verification.changes):
        command += " --relevance PATH"
    raise IntegrityError(
        f"{count:,} of {verification.files:,} files are not as the manifest of {dataset.name} says: "
        f"{_way_out(dataset, command)}"
    )


def _way_out(dataset: Dataset, command: str) -> str:
    """What was downloaded can be deleted and fetched again; the user's own files cannot."""
    copy = dataset.about.get("copy")
    if copy is not None:
        return f"put back what they were, or describe them anew: {command} --from {shlex.quote(str(copy))}"
    if command.split()[2] in DOWNLOADABLE:
        return f"delete those that changed, then run: {command}"
    return f"put back what they were, or describe them anew: {command}"
