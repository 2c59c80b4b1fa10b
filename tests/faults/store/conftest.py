"""What the fault tests of the store share: small parts of known numbers, and processes that work on them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import atrkit

# run in this process and in children: the same parts everywhere
TOY = """
import numpy as np
from atrkit.store.embeddings import gather_embeddings
from atrkit.store.parts import PartFolder, PartPlan

FRAME_DIM = 16


def plan_of(clips, part_clips=3, hop=320):
    ids, hashes = tuple(f"clip {n}" for n in range(clips)), tuple(f"sha-{n}" for n in range(clips))
    return PartPlan({"encoder": "toy", "settings": {"hop": hop}}, ids, hashes, part_clips)


def part_of(plan, part, frames=5):
    draws = [np.random.default_rng(n) for n in plan.parts[part]]
    return gather_embeddings(
        [plan.clip_ids[n] for n in plan.parts[part]],
        [plan.audio_sha256[n] for n in plan.parts[part]],
        [draw.standard_normal((frames, FRAME_DIM), dtype=np.float32) for draw in draws],
        [draw.standard_normal(4, dtype=np.float32) for draw in draws],
        [draw.random(2, dtype=np.float32) for draw in draws],
        labels=["rain", "dog"], frame_dim=FRAME_DIM, clip_dim=4, frame_dtype="float16", provenance=plan.provenance,
    )


def fill(path, plan, frames=5, parts=None):
    folder = PartFolder(path)
    folder.start(plan)
    for part in range(len(plan.parts)) if parts is None else parts:
        folder.save(part, plan, part_of(plan, part, frames))
    return folder
"""


class Toy:
    """The functions of TOY, here."""

    def __init__(self) -> None:
        names: dict = {}
        exec(TOY, names)
        self.plan_of, self.part_of, self.fill = names["plan_of"], names["part_of"], names["fill"]

    def finished_bytes(self, folder, plan, frames=5) -> bytes:
        """The file that an undisturbed run comes to."""
        parts = self.fill(folder / "undisturbed" / "toy.h5", plan, frames)
        parts.merge(plan)
        return parts.final_path.read_bytes()


@pytest.fixture(scope="session")
def toy() -> Toy:
    return Toy()


@pytest.fixture
def run_child(tmp_path):
    """Run code behind TOY in a process of its own, with JSON words; what it printed, line by line."""

    def run(code, *words):
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(atrkit.__file__).parents[1])}
        command = [sys.executable, "-c", f"import json, os, sys\nWORDS = json.loads(sys.argv[1])\n{TOY}\n{code}"]
        command.append(json.dumps([str(word) if isinstance(word, Path) else word for word in words]))
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, (done.returncode, done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()]

    return run
