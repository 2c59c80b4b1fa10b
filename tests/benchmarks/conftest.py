"""What the benchmarks share: where figures go, how tables look, and the command line as a child process."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from rich.table import Table

from atrkit.files import write_json_atomic
from atrkit.reports.style import RULED

REPOSITORY = Path(__file__).resolve().parents[2]
FIGURES_FOLDER = REPOSITORY / ".bench"
SHARED = REPOSITORY.parent / "shared"
CLIPS = SHARED / "data" / "clips"
MN04_WEIGHTS = SHARED / "weights" / "mn04_as_mAP_432.pt"
COLLECTIONS = {
    "clips": [CLIPS / "captions.csv"],
    "lass": [CLIPS / "captions_lass.csv", "--audio-dir", CLIPS / "audio_lass"],
    "esc10": [CLIPS / "labels_esc10.csv", "--audio-dir", CLIPS / "audio_esc10", "--caption-column", "caption_1"],
}


@dataclass(frozen=True)
class ChildRun:
    """One finished `atrkit` command."""

    seconds: float
    stdout: str
    stderr: str

    @property
    def record(self) -> Any:
        """What --json printed."""
        return json.loads(self.stdout)


@pytest.fixture(scope="session")
def atrkit() -> Callable[..., ChildRun]:
    """Run `atrkit` with these words in a process of its own, as a user would; anything but exit code 0 fails."""

    def run(*words: object) -> ChildRun:
        command = [sys.executable, "-m", "atrkit", *map(str, words)]
        start = time.perf_counter()
        # a terminal wide enough for tables, and no colours in what is captured
        environment = {**os.environ, "COLUMNS": "100", "NO_COLOR": "1"}
        done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - start
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stderr}"
        return ChildRun(seconds, done.stdout, done.stderr)

    return run


@dataclass(frozen=True)
class RealClips:
    """A workspace with real recordings and their mn04 embeddings, and what it took."""

    workspace: Path
    seconds: dict[str, float]


@pytest.fixture(scope="session")
def real_clips(tmp_path_factory, atrkit) -> RealClips:
    """The collections of ../shared: `clips` (76, five captions), `lass` (6) and `esc10` (240)."""
    for needed in (CLIPS / "captions.csv", MN04_WEIGHTS):
        if not needed.is_file():
            pytest.skip(f"needs ../shared: {needed} is not there")
    root, seconds = tmp_path_factory.mktemp("real_clips"), {}
    for name, source in COLLECTIONS.items():
        seconds[f"import {name}"] = atrkit("import", *source, "--name", name, "--workspace", root).seconds
        weights = ["--encoder", "mn04", "--checkpoint", MN04_WEIGHTS]
        seconds[f"extract {name}"] = atrkit("extract", *weights, "--dataset", name, "--workspace", root).seconds
    return RealClips(root, seconds)


@pytest.fixture(scope="session")
def keep_figures() -> Callable[[str, dict[str, Any]], None]:
    """Write figures to .bench/NAME.json; tests of one file add to the same one."""
    kept: dict[str, dict[str, Any]] = {}

    def keep(name: str, figures: dict[str, Any]) -> None:
        kept.setdefault(name, {}).update(figures)
        write_json_atomic(FIGURES_FOLDER / f"{name}.json", kept[name])

    return keep


@pytest.fixture(scope="session")
def show_table() -> Callable[[str, Sequence[str], Iterable[Sequence[str]]], None]:
    """Print a table: the first column to the left, figures to the right."""

    def show(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        table = Table(title=title, title_justify="left", box=RULED, show_edge=False, pad_edge=False)
        for position, column in enumerate(columns):
            table.add_column(column, justify="right" if position else "left", no_wrap=True)
        for row in rows:
            table.add_row(*row)
        console = Console(width=110, highlight=False)
        console.print()
        console.print(table)

    return show


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Figures must not depend on how many cores are free; child processes choose for themselves."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
