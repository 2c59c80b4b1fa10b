"""The workspace: where datasets, embeddings and runs lie, and which one is meant when none is named."""

import difflib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atrkit.datasets.manifest import DATASET_NAME, Dataset, load_dataset
from atrkit.errors import IntegrityError, MissingPrerequisiteError, UsageError

FINISHED_NAME = "finished.json"
_MOST_NAMES = 5  # in a message


@dataclass(frozen=True)
class Workspace:
    """A folder with `data/`, `embeddings/`, `runs/`, `index/`.

    Args:
        root: the folder: `--workspace`, else `$ATRKIT_WORKSPACE`, else the current one.
    """

    root: Path

    def dataset_folder(self, name: str) -> Path:
        """Folder of one dataset."""
        return self.root / "data" / name

    def embeddings_path(self, dataset: str, encoder: str) -> Path:
        """File of one dataset's embeddings by one encoder."""
        return self.root / "embeddings" / dataset / f"{encoder}.h5"

    def run_folder(self, run_name: str, seed: int) -> Path:
        """Folder of one run."""
        return self.root / "runs" / run_name / f"seed-{seed}"

    @property
    def index_root(self) -> Path:
        """Folder of all indexes."""
        return self.root / "index"

    def dataset_names(self) -> list[str]:
        """Datasets that are there, the one made last first."""
        markers = (self.root / "data").glob(f"*/{DATASET_NAME}")
        return [path.parent.name for path in sorted(markers, key=_newest_first)]

    def encoder_names(self, dataset: str) -> list[str]:
        """Encoders whose embeddings of the dataset are there, the newest first."""
        files = (self.root / "embeddings" / dataset).glob("*.h5")
        return [path.stem for path in sorted(files, key=_newest_first)]

    def load_dataset(self, name: str | None) -> Dataset:
        """The dataset of that name, or the one made last.

        Raises:
            MissingPrerequisiteError: it is not there, or there is none at all; says the command that makes it.
        """
        if name is None:
            names = self.dataset_names()
            if not names:
                raise MissingPrerequisiteError(
                    f"no dataset in {self.root / 'data'}; make one: atrkit download synthetic, "
                    "or atrkit import DIR_OR_CSV --name NAME"
                )
            name = names[0]
        if Path(name).name != name:
            raise UsageError(
                f"{name!r} is no dataset's name; there are: {', '.join(self.dataset_names()) or 'none yet'}"
            )
        return load_dataset(self.dataset_folder(name))

    def finished_runs(self) -> list[Path]:
        """Folders of finished runs, the newest first."""
        markers = (self.root / "runs").glob(f"**/{FINISHED_NAME}")
        return [path.parent for path in sorted(markers, key=_newest_first)]

    def find_run(self, named: str | None) -> Path:
        """A run's folder by path, by name below `runs/`, or the newest finished one.

        Raises:
            MissingPrerequisiteError: there is no finished run; says how to make one.
            UsageError: no finished run has that name; lists those there are.
        """
        runs = self.finished_runs()
        if named is None:
            if not runs:
                raise MissingPrerequisiteError(
                    f"no finished run in {self.root / 'runs'}; make one: atrkit train recipe.yaml"
                )
            return runs[0]
        for folder in (Path(named), self.root / named, self.root / "runs" / named):
            if (folder / FINISHED_NAME).is_file():
                return folder
        below = [run for run in runs if (self.root / "runs" / named) in run.parents]
        if below:
            return below[0]
        raise UsageError(f"--run {named}: no finished run there; finished runs: {self.finished_like(named)}")

    def finished_like(self, named: str) -> str:
        """Names of finished runs for a message: those most like what was typed, and how many more there are."""
        names = [self.run_name(run) for run in self.finished_runs()]
        alike = difflib.get_close_matches(named, names, n=_MOST_NAMES, cutoff=0.0)
        more = f" and {len(names) - len(alike)} more" if len(names) > len(alike) else ""
        return f"{', '.join(alike) or 'none yet'}{more}"

    def run_name(self, folder: Path) -> str:
        """How the run is called in tables: its path below `runs/`."""
        runs = self.root / "runs"
        return folder.relative_to(runs).as_posix() if folder.is_relative_to(runs) else str(folder)


def _newest_first(path: Path) -> tuple[int, str]:
    return (-path.stat().st_mtime_ns, str(path))


def read_record(path: Path, keys: Sequence[str]) -> dict[str, Any]:
    """A JSON object from a run folder.

    Args:
        path: the file.
        keys: that it must have.

    Raises:
        IntegrityError: it cannot be read; names the file.
    """
    try:
        record = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise IntegrityError(f"{path} is missing or damaged ({error}); train the run again with --overwrite") from error
    if not isinstance(record, dict) or not record.keys() >= set(keys):
        raise IntegrityError(f"{path} is damaged (something is missing in it); train the run again with --overwrite")
    return record
