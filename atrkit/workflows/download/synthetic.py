"""`atrkit download synthetic`: render the embedded dataset."""

import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from atrkit.datasets.manifest import DATASET_NAME, MANIFEST_NAME, PROBLEMS_NAME, Dataset, save_dataset
from atrkit.datasets.synthetic import AUDIO_FOLDER, EVENTS_NAME, SyntheticSizes, generate
from atrkit.errors import UsageError
from atrkit.files import require_free_space, single_writer
from atrkit.workflows.session import Session

# 16 kHz, 16 bit, 3.9 s on average (METHODS.md); a fifth on top
BYTES_PER_CLIP = 150_000


def download_synthetic(session: Session, sizes: SyntheticSizes, *, seed: int, workers: int) -> Dataset:
    """Make the embedded dataset, beside the one that may be there, and put it in its place when it is whole."""
    folder = session.workspace.dataset_folder("synthetic")
    require_free_space(folder, sizes.total * BYTES_PER_CLIP, f"rendering {sizes.total} clips")
    making = folder.parent / ".making" / folder.name  # a level deeper, where nothing is taken for a dataset
    with single_writer(folder):
        _refuse_foreign_files(folder)
        if folder.is_dir():
            session.say(f"{folder} is there: it is replaced when the new one is whole")
        shutil.rmtree(making, ignore_errors=True)
        with session.open_progress("rendering synthetic", sizes.total, "clips") as advance:
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
