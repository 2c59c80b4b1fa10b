"""`atrkit download` and `atrkit import`: a dataset with a manifest, from the generator or from your own folder."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from atrkit.datasets.folder import check_dataset_name, import_folder
from atrkit.datasets.manifest import DATASET_NAME, Dataset, save_dataset
from atrkit.datasets.synthetic import generate, sizes_for
from atrkit.errors import UsageError
from atrkit.files import require_free_space, single_writer
from atrkit.workflows.session import Advance, Session

# 16 kHz, 16 bit, 3.9 s on average (METHODS.md); a fifth on top
BYTES_PER_SYNTHETIC_CLIP = 150_000
NOT_YET = {
    "clotho": "atrkit import CAPTIONS.csv --audio-dir DIR --name clotho",
    "audiocaps": "atrkit import CAPTIONS.csv --audio-dir DIR --name audiocaps",
}


@dataclass(frozen=True)
class CsvOptions:
    """How to read a table of captions that is not in Clotho's layout."""

    audio_folder: Path | None = None
    file_column: str = "file_name"
    caption_column: str | None = None
    delimiter: str = ","
    split_column: str | None = None


def download(session: Session, name: str, *, clips: int, seed: int, workers: int) -> Dataset:
    """Make or fetch a dataset by name.

    Raises:
        UsageError: this version cannot get it, or there is no such dataset; says what can be done.
    """
    if name in NOT_YET:
        raise UsageError(
            f"{name}: this version of atrkit cannot download it yet; import the copy you have: {NOT_YET[name]}"
        )
    if name != "synthetic":
        raise UsageError(
            f"no dataset is called {name!r}; this version makes: synthetic "
            "(your own recordings: atrkit import DIR_OR_CSV --name NAME)"
        )
    sizes = sizes_for(clips)
    folder = session.workspace.dataset_folder(name)
    total = sizes.dev + sizes.val + sizes.eval
    require_free_space(folder, total * BYTES_PER_SYNTHETIC_CLIP, f"rendering {total} clips")
    with single_writer(folder):
        (folder / DATASET_NAME).unlink(missing_ok=True)  # first: a kill must not leave a dataset without its audio
        shutil.rmtree(folder, ignore_errors=True)
        with session.open_progress(f"rendering {name}", total, "clips") as advance:
            dataset = generate(folder, sizes, seed, workers, advance)
        save_dataset(dataset)
    return dataset


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
