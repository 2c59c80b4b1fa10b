"""`atrkit doctor`: finished, unfinished and damaged runs of the workspace."""

import json
import shlex
from pathlib import Path

from atrkit.errors import AtrkitError
from atrkit.workflows.doctor_check import Check
from atrkit.workflows.workspace import FINISHED_NAME, Workspace, read_record

_RECIPE_NAME, _INPUTS_NAME = "recipe.yaml", "inputs.json"  # as run_folder, which imports h5py
# as models.folder, which would read all weights
_CONFIG_NAME, _WEIGHTS_NAME, _CHECKSUMS_NAME = "config.json", "model.safetensors", "model.sha256"
_FINISHED_KEYS = ("dataset", "train_split", "test_split", "checkpoint", "model")


def run_checks(workspace: Workspace) -> list[Check]:
    """Finished runs in one line, and a line for each that is not."""
    finished = workspace.finished_runs()
    damaged = [check for folder in finished if (check := _damaged(workspace, folder)) is not None]
    unfinished = [_unfinished(workspace, folder) for folder in _begun(workspace) if folder not in finished]
    whole = len(finished) - len(damaged)
    if whole:
        newest = workspace.run_name(finished[0])
        found = Check("runs", "ok", f"{whole} finished, the newest: {newest}")
    else:
        fix = "atrkit train recipe.yaml, with a recipe of atrkit init or of atrkit recipes"
        found = Check("runs", "missing", f"none finished in {workspace.root / 'runs'}", fix)
    return [found, *damaged, *unfinished]


def _begun(workspace: Workspace) -> list[Path]:
    return sorted(path.parent for path in (workspace.root / "runs").glob(f"**/{_INPUTS_NAME}"))


def _damaged(workspace: Workspace, folder: Path) -> Check | None:
    """A run whose record cannot be read, or that lacks a file which every run has."""
    try:
        read_record(folder / FINISHED_NAME, _FINISHED_KEYS)
        wanted = (_RECIPE_NAME, _INPUTS_NAME, _CONFIG_NAME, _CHECKSUMS_NAME, _WEIGHTS_NAME, *_model_files(folder))
        lacks = [name for name in dict.fromkeys(wanted) if not (folder / name).is_file()]
        why = f"{folder} lacks {' and '.join(lacks)}" if lacks else None
    except AtrkitError as error:
        why = str(error).rpartition("; ")[0]
    if why is None:
        return None
    name = workspace.run_name(folder)
    return Check(f"run {name}", "wrong", why, f"{_train_again(workspace, folder)} --overwrite")


def _model_files(folder: Path) -> list[str]:
    """What the list of checksums names; damage within is found by whoever reads the model."""
    try:
        lines = (folder / _CHECKSUMS_NAME).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return []
    return [name for line in lines if (name := line.partition("  ")[2])]


def _unfinished(workspace: Workspace, folder: Path) -> Check:
    epochs = _epochs(folder)
    detail = f"unfinished: {epochs} epochs are there" if epochs else "unfinished: no epoch came of it"
    return Check(f"run {workspace.run_name(folder)}", "missing", detail, _train_again(workspace, folder))


def _epochs(folder: Path) -> int:
    try:
        lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        return sum("epoch" in json.loads(line) for line in lines if line.strip())
    except (OSError, ValueError):
        return 0


def _train_again(workspace: Workspace, folder: Path) -> str:
    """The command that makes a run from what lies in its folder."""
    name = workspace.run_name(folder.parent)
    words = ["atrkit", "train", str(folder / _RECIPE_NAME), "--name", name]
    seed = folder.name.removeprefix("seed-")
    return shlex.join([*words, "--seeds", seed] if seed.isdigit() else words)
