"""A run's folder: what was asked (recipe, inputs, environment), what came out, and whether it is the same again."""

import os
import platform
import shutil
import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from atrkit import __version__
from atrkit.errors import IntegrityError, UsageError
from atrkit.files import as_resource_error, write_atomic, write_json_atomic
from atrkit.recipe.load import dump_recipe, load_recipe
from atrkit.recipe.schema import Recipe
from atrkit.store.embeddings import first_difference
from atrkit.workflows.session import Session
from atrkit.workflows.workspace import FINISHED_NAME, read_record

RECIPE_NAME = "recipe.yaml"
INPUTS_NAME = "inputs.json"
ENVIRONMENT_NAME = "environment.json"
LOG_NAME = "log.txt"
CHECKPOINT_NAME = "training_state.ckpt"  # as training.checkpoint, which imports torch

RECORDED_PACKAGES = ("torch", "transformers", "accelerate", "numpy", "h5py", "safetensors")


@dataclass(frozen=True)
class RunFolder:
    """One seed of one recipe."""

    path: Path

    @property
    def is_finished(self) -> bool:
        """The training ended, and its model is there."""
        return (self.path / FINISHED_NAME).is_file()

    def recipe(self) -> Recipe:
        """The recipe as it ran, overrides included.

        Raises:
            IntegrityError: the file is missing or damaged.
        """
        try:
            return load_recipe(self.path / RECIPE_NAME)
        except UsageError as error:
            raise IntegrityError(f"{error}; train the run again with --overwrite") from error

    def finished_record(self) -> dict[str, Any]:
        """What the training said at its end.

        Raises:
            IntegrityError: the file is damaged.
        """
        return read_record(self.path / FINISHED_NAME, ("dataset", "train_split", "test_split", "checkpoint", "model"))

    def inputs(self) -> dict[str, Any]:
        """What the training was given.

        Raises:
            IntegrityError: the file is damaged.
        """
        return read_record(self.path / INPUTS_NAME, ("clips", "embeddings"))

    def difference(self, recipe: Recipe, inputs: dict[str, Any]) -> str | None:
        """What differs between this run and what is asked now, in words; None when nothing is there or differs."""
        if not (self.path / INPUTS_NAME).is_file():
            return None
        there = {"recipe": self.recipe().model_dump(mode="json"), "inputs": self.inputs()}
        return first_difference(there, {"recipe": recipe.model_dump(mode="json"), "inputs": inputs})

    def start(self, recipe: Recipe, inputs: dict[str, Any]) -> str | None:
        """Write down what is about to run, or check that what began here is the same and leave its records alone.

        Returns:
            In words, what differs from a beginning that came to nothing, and was replaced; None when nothing was.

        Raises:
            IntegrityError: another recipe or other data began here; says what differs.
        """
        self._refuse_remains()
        difference = self.difference(recipe, inputs)
        if difference and not self._came_to_nothing():
            raise IntegrityError(
                f"{self.path} holds a run with other settings: {difference}; "
                "keep both with --name NAME, or replace it with --overwrite"
            )
        if (self.path / INPUTS_NAME).is_file() and not difference:
            return None
        write_atomic(self.path / RECIPE_NAME, dump_recipe(recipe).encode())
        write_json_atomic(self.path / ENVIRONMENT_NAME, _environment())
        write_json_atomic(self.path / INPUTS_NAME, inputs)
        return difference

    def _came_to_nothing(self) -> bool:
        """A beginning was written down, and no epoch came of it: an input was refused, or the user thought better."""
        return {path.name for path in self.path.iterdir()} <= {RECIPE_NAME, INPUTS_NAME, ENVIRONMENT_NAME, LOG_NAME}

    def _refuse_remains(self) -> None:
        """Results without a record of what made them must not be mixed with new ones, nor overwritten unasked."""
        there = {path.name for path in self.path.iterdir()} if self.path.is_dir() else set()
        remains = sorted(there - {RECIPE_NAME, ENVIRONMENT_NAME, LOG_NAME})
        if remains and INPUTS_NAME not in there:
            raise IntegrityError(
                f"{self.path} holds {remains[0]!r}, but not the {INPUTS_NAME} that says what it was made from: "
                "use another --name, or replace it with --overwrite"
            )

    def clear(self) -> None:
        """Remove the run.

        Raises:
            UsageError: the folder holds files but no run; nothing is removed.
        """
        names = {path.name for path in self.path.iterdir()} if self.path.is_dir() else set()
        if names and not names & {RECIPE_NAME, INPUTS_NAME, FINISHED_NAME, CHECKPOINT_NAME}:
            raise UsageError(f"{self.path} holds no run: --overwrite does not remove it, use another --name")
        (self.path / FINISHED_NAME).unlink(missing_ok=True)  # first: what a kill leaves must not look finished
        shutil.rmtree(self.path, ignore_errors=True)

    def finish(self, record: dict[str, Any]) -> None:
        """Mark the run as finished, and drop the checkpoint, three times the model: nothing goes on from it."""
        write_json_atomic(self.path / FINISHED_NAME, record)
        (self.path / CHECKPOINT_NAME).unlink(missing_ok=True)

    def log(self, line: str) -> None:
        """Add a line to log.txt, with the time."""
        try:
            with (self.path / LOG_NAME).open("a") as log:
                log.write(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC  {line}\n")
        except OSError as error:
            raise as_resource_error(error, self.path / LOG_NAME) from error

    def logging(self, session: Session) -> Session:
        """The session, whose remarks also go to log.txt."""

        def say(line: str) -> None:
            session.say(line)
            self.log(line)

        return replace(session, say=say)


def _environment() -> dict[str, Any]:
    return {
        "atrkit": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        # sums of floats depend on the number of threads
        "cpus": os.cpu_count(),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS"),
        "packages": {name: metadata.version(name) for name in RECORDED_PACKAGES},
        "command": sys.argv,
    }
