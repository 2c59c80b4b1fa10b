"""`atrkit import`: your own folder or table of captions as a dataset; audio stays where it is."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from atrkit.datasets.folder import check_dataset_name, import_folder
from atrkit.datasets.manifest import DATASET_NAME, Dataset, save_dataset
from atrkit.datasets.missing import MISSING_NAME
from atrkit.files import single_writer
from atrkit.workflows.session import Advance, Session


@dataclass(frozen=True)
class CsvOptions:
    """How to read a table of captions that is not in Clotho's layout."""

    audio_folder: Path | None = None
    file_column: str = "file_name"
    caption_column: str | None = None
    delimiter: str = ","
    split_column: str | None = None


def import_recordings(
    session: Session,
    source: Path,
    name: str,
    *,
    csv: CsvOptions,
    split: str | None,
    seed: int,
    strict: bool,
) -> Dataset:
    """Take a folder or a table of captions in as a dataset; audio stays where it is."""
    check_dataset_name(name)
    folder = session.workspace.dataset_folder(name)
    if (folder / DATASET_NAME).is_file():
        session.say(f"dataset {name!r} is there already: its manifest is replaced (no audio is touched)")
    with single_writer(folder), _counted_progress(session, f"reading {source}", "files") as on_progress:
        dataset = import_folder(
            source,
            name,
            folder,
            audio_folder=csv.audio_folder,
            file_column=csv.file_column,
            caption_column=csv.caption_column,
            delimiter=csv.delimiter,
            split=split,
            split_column=csv.split_column,
            seed=seed,
            strict=strict,
            on_progress=on_progress,
        )
        (folder / MISSING_NAME).unlink(missing_ok=True)  # of a download that this replaces
        save_dataset(dataset)
    return dataset


@contextmanager
def _counted_progress(session: Session, description: str, unit: str) -> Iterator[Callable[[int, int], None]]:
    """A progress display for work that finds out its total on the way: called with (done, total)."""
    with ExitStack() as stack:
        opened: list[Advance] = []

        def on_progress(done: int, total: int) -> None:
            if not opened:
                opened.append(stack.enter_context(session.open_progress(description, total, unit)))
            opened[0](1)

        yield on_progress
