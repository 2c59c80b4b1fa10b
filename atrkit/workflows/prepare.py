"""`atrkit download` and `atrkit import`: a dataset with a manifest, from the generator or from your own folder."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from atrkit.datasets.folder import check_dataset_name, import_folder
from atrkit.datasets.manifest import DATASET_NAME, MANIFEST_NAME, PROBLEMS_NAME, Dataset, save_dataset
from atrkit.datasets.synthetic import AUDIO_FOLDER, EVENTS_NAME, generate, sizes_for
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
    making = folder.parent / ".making" / name  # a level deeper, where nothing is taken for a dataset
    with single_writer(folder):
        _refuse_foreign_files(folder)
        if folder.is_dir():
            session.say(f"{folder} is there: it is replaced when the new one is whole")
        shutil.rmtree(making, ignore_errors=True)
        with session.open_progress(f"rendering {name}", total, "clips") as advance:
            dataset = generate(making, sizes, seed, workers, advance)
        save_dataset(dataset)
        _put_in_place(making, folder)
    return replace(dataset, folder=folder)


def _refuse_foreign_files(folder: Path) -> None:
    """What a user laid into the folder of a made dataset would be lost with it."""
    made = {AUDIO_FOLDER, EVENTS_NAME, MANIFEST_NAME, PROBLEMS_NAME, DATASET_NAME}
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise UsageError(f"{folder} is not a folder of its own: move it away, atrkit makes one there")
    foreign = sorted(path.name for path in folder.iterdir() if path.name not in made) if folder.is_dir() else []
    if foreign:
        raise UsageError(f"{folder} holds {foreign[0]!r}, which atrkit did not make: move it away, it would be lost")


def _put_in_place(making: Path, folder: Path) -> None:
    old = making.with_name(f"{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.is_dir():
        folder.rename(old)
    making.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
    with suppress(OSError):
        making.parent.rmdir()


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
