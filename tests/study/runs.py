"""Train and evaluate systems by the command line, several at a time, going on where an earlier run stopped."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from tests.study.systems import System

LOOK_EVERY_S = 5.0  # for a run that another needs


@dataclass(frozen=True)
class Sizes:
    """How much of everything.

    Args:
        folder: the workspace.
        clips: to learn from.
        val_clips: to choose the epoch by.
        eval_clips: to find.
        seeds: of every system.
        epochs: instead of the recipes' numbers; None: theirs.
    """

    folder: Path
    clips: int
    val_clips: int
    eval_clips: int
    seeds: tuple[int, ...]
    epochs: int | None

    def run_folder(self, system: str, seed: int) -> Path:
        """Where a training goes."""
        return self.folder / "runs" / "study" / system / f"seed-{seed}"

    def is_done(self, system: str, seed: int) -> bool:
        """Whether a system was trained and evaluated."""
        folder = self.run_folder(system, seed)
        return (folder / "results.json").is_file() and (folder / "finished.json").is_file()


def run_all(systems: Sequence[System], sizes: Sizes, seeds: Sequence[int], *, jobs: int) -> None:
    """Make the data set, then every missing run, seed by seed in the list's order; who needs another waits for it."""
    if not (sizes.folder / "embeddings/synthetic/logmel.h5").is_file():
        counts = ["--clips", sizes.clips, "--val-clips", sizes.val_clips, "--eval-clips", sizes.eval_clips]
        _atrkit(sizes, "download", "synthetic", *counts)
        _atrkit(sizes, "extract", "--encoder", "logmel")
    first, has_failed = min(seeds), Event()

    def task(system: System, seed: int) -> None:
        _train_and_evaluate(system, sizes, seed, first, has_failed)

    with ThreadPoolExecutor(jobs) as pool:  # one for all seeds: no core waits for the last training of a seed
        for done in as_completed([pool.submit(task, system, seed) for seed in seeds for system in systems]):
            if error := done.exception():
                has_failed.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise error


def _train_and_evaluate(system: System, sizes: Sizes, seed: int, first: int, has_failed: Event) -> None:
    if sizes.is_done(system.name, seed):
        return
    while system.needs and not sizes.is_done(system.needs, first):
        if has_failed.wait(LOOK_EVERY_S):
            return
    overrides = [*system.overrides, *([f"training.epochs={sizes.epochs}"] if sizes.epochs else [])]
    settings = [word for override in overrides for word in ("--set", override)]
    start = time.perf_counter()
    _atrkit(sizes, "train", system.recipe, *settings, "--seed", seed, "--name", f"study/{system.name}", "--no-extract")
    trained = time.perf_counter()
    run = f"study/{system.name}/seed-{seed}"
    _atrkit(sizes, "eval", "--metric", "recall,perturbation", "--scaling", system.scalings, "--run", run)
    seconds = f"{trained - start:6.0f} s to train, {time.perf_counter() - trained:5.0f} s to evaluate"
    print(f"{time.strftime('%H:%M:%S')}  {system.name:<30} seed {seed}  {seconds}", flush=True)


def _atrkit(sizes: Sizes, *words: object) -> None:
    """One command in a process of its own with one thread; what it says is shown where it fails."""
    command = [sys.executable, "-m", "atrkit", *map(str, words), "--workspace", str(sizes.folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}
    # the workspace is where relative paths of runs begin
    sizes.folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(command, cwd=sizes.folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
