"""Steps that both datasets share: transfers with a display, resampling, and writing the manifest."""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atrkit.datasets.aac_tables import PublishedFile
from atrkit.datasets.folder import check_dataset_name
from atrkit.datasets.manifest import DATASET_NAME
from atrkit.errors import UsageError
from atrkit.files import single_writer
from atrkit.network import Fetched, fetch
from atrkit.workflows.byte_progress import byte_progress
from atrkit.workflows.session import Session

REPLACED_NAME = f".{DATASET_NAME}.replaced"


@dataclass(frozen=True)
class AudioOptions:
    """What becomes of the recordings.

    Args:
        sample_rate_hz: of the copies; None makes none.
        keep_original: False deletes what was downloaded once its copy is there.
        workers: processes that decode and resample.
        strict: a recording that is missing, unusable or cut short is an error.
    """

    sample_rate_hz: int | None = 32_000
    keep_original: bool = True
    workers: int = 2
    strict: bool = False

    def __post_init__(self) -> None:
        """Refuse to delete originals that have no copy."""
        if self.sample_rate_hz is None and not self.keep_original:
            raise UsageError("--drop-original needs copies to keep: give a --sample-rate other than 0")


@dataclass(frozen=True)
class Target:
    """The dataset that is being written.

    Args:
        name: of the dataset.
        folder: of the dataset.
        about: what an earlier call wrote of it; empty when this is the first.
    """

    name: str
    folder: Path
    about: dict[str, Any]

    @property
    def subsets(self) -> tuple[str, ...]:
        """What earlier calls have brought already, and this one keeps."""
        return tuple(self.about.get("subsets", ()))

    @property
    def copies(self) -> tuple[Path, ...]:
        """Folders of the user's from which earlier calls took recordings, and this one takes them again."""
        return tuple(map(Path, self.about.get("copies", ())))

    @property
    def dropped(self) -> tuple[str, ...]:
        """Subsets whose originals were deleted on purpose."""
        return tuple(self.about.get("dropped", ()))


@contextmanager
def writing_dataset(session: Session, name: str, published: str, version: str) -> Iterator[Target]:
    """Be the only one to write the dataset, and never mix two versions under one name.

    Raises:
        UsageError: no name for a dataset, or the folder holds something else (exit code 2).
        MissingPrerequisiteError: another process writes it (exit code 3).
    """
    check_dataset_name(name)
    folder = session.workspace.dataset_folder(name)
    with single_writer(folder):
        about = _what_is_there(session, folder)
        there = about.get("source")
        if about and (not isinstance(there, dict) or (there.get("name"), there.get("version")) != (published, version)):
            held = f"{there.get('name')} {there.get('version')}" if isinstance(there, dict) else "another dataset"
            raise UsageError(
                f"{folder} holds {held}: give {published} {version} a name of its own, "
                f"--name {published.lower()}-{version}"
            )
        yield Target(name, folder, about)


def _what_is_there(session: Session, folder: Path) -> dict[str, Any]:
    """What an earlier call wrote of the dataset, also when it was killed while it replaced one.

    This is the command that mends a damaged dataset: it takes what it can read, and describes the rest anew.
    """
    for path in (folder / DATASET_NAME, folder / REPLACED_NAME):
        try:
            about = json.loads(path.read_bytes())["about"]
        except FileNotFoundError:
            continue
        except (ValueError, KeyError, TypeError):
            session.say(f"{path} is damaged: the dataset is described anew, with what this command says")
            continue
        if isinstance(about, dict):
            return about
    return {}


def require_readable(option: str, paths: Iterable[Path]) -> None:
    """Find out that a named file is not there before hours of work, not after.

    Raises:
        UsageError: names it.
    """
    for path in paths:
        if not path.exists():
            raise UsageError(f"{option} {path}: there is no such file or folder")


def choose_subsets(wanted: Sequence[str] | None, known: Sequence[str], there: Sequence[str]) -> tuple[str, ...]:
    """What the user asked for and what earlier calls have brought, in the publisher's order.

    Raises:
        UsageError: there is no such subset; lists those there are.
    """
    unknown = [subset for subset in wanted or () if subset not in known]
    if unknown or (wanted is not None and not wanted):
        named = f"there is no {', '.join(unknown)}" if unknown else "name at least one"
        raise UsageError(f"--subset: {named}; this version has {', '.join(known)}")
    chosen = set(known if wanted is None else wanted) | set(there)
    return tuple(subset for subset in known if subset in chosen)


def fetch_file(session: Session, file: PublishedFile, path: Path) -> Fetched:
    """Transfer a published file with a display; nothing is requested when it is there and right."""
    with byte_progress(session, f"downloading {file.name}") as on_progress:
        return fetch(file.url, path, what=file.name, md5=file.md5, on_progress=on_progress, on_remark=session.say)
