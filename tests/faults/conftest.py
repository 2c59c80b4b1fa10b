"""What the fault tests share: a small workspace to break, commands in this process, and commands in a child."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

import atrkit
from atrkit.cli.app import app

RECIPE = """\
source: ours, small enough for a test
seeds: [1]
encoder: {name: logmel}
model:
  name: dual_encoder
  audio: {hidden_dims: [16], dropout: 0.2, pooling: {name: mean}}
  text: {name: word_embeddings, dim: 16, pooling: {name: mean}}
  out_dim: 16
loss: {name: nt_xent}
optimizer: {name: adamw, lr: 1e-2}
training: {epochs: 3, batch_size: 4, keep_best: val_loss}
"""
SPLITS = {"dev": 12, "val": 4, "eval": 4}


class Command:
    """`atrkit ...` on one workspace, in this process."""

    def __init__(self, workspace: Path) -> None:
        self.workspace = workspace

    def __call__(self, *words, code=0):
        """Run a command, expect its exit code, and give what it printed."""
        result = CliRunner().invoke(app, [*(str(word) for word in words), "--workspace", str(self.workspace)])
        assert result.exit_code == code, (result.exit_code, result.stderr, result.exception)
        assert "Traceback" not in result.stderr
        return result

    def error(self, *words, code):
        """Run a command that must fail, and give its one line."""
        lines = self(*words, code=code).stderr.splitlines()
        errors = [line for line in lines if line.startswith("atrkit: ")]
        assert errors == lines[-1:], lines
        return errors[0]

    def train(self, *words, code=0):
        """Train `recipe.yaml` of the workspace."""
        return self("train", self.workspace / "recipe.yaml", *words, code=code)


@pytest.fixture(scope="session")
def prepared(tmp_path_factory) -> Path:
    """A workspace with twenty short recordings as dataset `tiny`, its log-mel embeddings, and a recipe."""
    root = tmp_path_factory.mktemp("prepared")
    sounds = root / "sounds"
    sounds.mkdir()
    noise = np.random.default_rng(0)
    lines = ["file_name,caption_1,caption_2,split"]
    for number, split in enumerate(split for split, count in SPLITS.items() for _ in range(count)):
        samples = int(noise.integers(6000, 16000))
        tone = np.sin(np.arange(samples) * (0.02 + 0.02 * number)) * 0.3
        soundfile.write(sounds / f"{number:02}.wav", tone + 0.01 * noise.standard_normal(samples), 16000)
        lines.append(f"{number:02}.wav,a tone of kind {number % 5} sounds,someone plays tone {number % 7},{split}")
    (sounds / "captions.csv").write_text("\n".join(lines) + "\n")
    workspace = Command(root)
    workspace("import", sounds, "--name", "tiny")
    workspace("extract", "--encoder", "logmel")
    (root / "recipe.yaml").write_text(RECIPE)
    return root


@pytest.fixture(scope="session")
def finished(prepared, tmp_path_factory) -> Path:
    """The same after `train` and `eval`, never interrupted: what every broken run must come to."""
    root = tmp_path_factory.mktemp("finished") / "workspace"
    shutil.copytree(prepared, root)
    workspace = Command(root)
    workspace.train()
    workspace("eval")
    return root


@pytest.fixture(scope="session")
def atrkit_in():
    """Make a `Command` on a workspace."""
    return Command


@pytest.fixture
def tiny(prepared, tmp_path) -> Command:
    """A copy of `prepared` of one's own."""
    shutil.copytree(prepared, tmp_path / "workspace")
    return Command(tmp_path / "workspace")


@pytest.fixture
def trained(finished, tmp_path) -> Command:
    """A copy of `finished` of one's own."""
    shutil.copytree(finished, tmp_path / "workspace")
    return Command(tmp_path / "workspace")


@pytest.fixture
def start_child(tmp_path):
    """Start `atrkit ...` as a process of its own, as a user does."""
    children = []

    def start(*words, workspace, code=None, **options):
        program = ["-m", "atrkit"] if code is None else ["-c", code]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(atrkit.__file__).parents[1])}
        child = subprocess.Popen(
            [sys.executable, *program, *(str(word) for word in words), "--workspace", str(workspace)],
            cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options,
        )  # fmt: skip
        children.append(child)
        return child

    yield start
    for child in children:
        if child.poll() is None:
            child.kill()
        child.communicate()


@pytest.fixture
def run_bytes():
    """What must be equal between an interrupted and an uninterrupted training."""

    def read(workspace: Path) -> dict[str, bytes]:
        (folder,) = {path.parent for path in (workspace / "runs").glob("**/metrics.jsonl")}
        return {name: (folder / name).read_bytes() for name in ("model.safetensors", "metrics.jsonl")}

    return read


@pytest.fixture
def store_bytes():
    """What must be equal between an interrupted and an uninterrupted extraction."""

    def read(workspace: Path) -> dict[str, bytes]:
        files = sorted((workspace / "embeddings").rglob("logmel.*"))
        return {path.name: path.read_bytes() for path in files if path.is_file()}

    return read


@pytest.fixture
def problems_of():
    """Records of a problems.jsonl."""

    def read(path: Path) -> list[dict[str, str]]:
        return [json.loads(line) for line in path.read_text().splitlines()]

    return read
