"""How much memory the store takes, whatever its size: merging, checking, reading by part, training."""

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.bench

PARTS, CLIPS_PER_PART, FRAMES, FRAME_DIM = 24, 64, 128, 1024  # 17 MB a part, 400 MB together

# baseline: after the imports and a merge of two tiny parts; VmHWM is the most that ever was resident
MEASURED = """
import json, re, sys, time
from pathlib import Path
import numpy as np
from atrkit.store.embeddings import gather_embeddings, load_embeddings, load_header
from atrkit.store.facts import inspect_store
from atrkit.store.parts import PartFolder, PartPlan
parts, per_part, frames, dim, work, path = *map(int, sys.argv[1:5]), sys.argv[5], Path(sys.argv[6])


def resident_mb(name):
    return int(re.search(rf"{name}:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024


def plan_of(parts, per_part):
    ids = tuple(map(str, range(parts * per_part)))
    return PartPlan({"encoder": "toy"}, ids, ids, per_part)


def make(path, plan, frames, dim):
    folder, draw = PartFolder(path), np.random.default_rng(0)
    folder.start(plan)
    for part, clips in enumerate(plan.parts):
        ids, clip_embs = [plan.clip_ids[n] for n in clips], [np.ones(dim, np.float32)] * len(clips)
        folder.save(part, plan, gather_embeddings(
            ids, ids, [draw.random((frames, dim), dtype=np.float32) for _ in ids], clip_embs,
            None, labels=[], frame_dim=dim, clip_dim=dim, frame_dtype="float16", provenance=plan.provenance,
        ))
    return folder


if work == "make":
    make(path, plan_of(parts, per_part), frames, dim)
    sys.exit()
small = make(path.parent / work / "small.h5", plan_of(2, 2), 3, dim)
small.merge(small.plan())
load_embeddings(small.final_path, mapped=True), load_header(small.final_path), inspect_store(small.final_path)
before, started = resident_mb("VmHWM"), time.monotonic()
if work == "merge":
    folder = PartFolder(path)
    folder.merge(folder.plan())
elif work == "info":
    inspect_store(path)
elif work == "header":
    load_header(path)
elif work == "mapped":
    embeddings = load_embeddings(path, mapped=True)
    assert float(embeddings.frames_of(parts * per_part // 2).sum()) > 0
else:
    load_embeddings(path)
seconds = time.monotonic() - started
print(json.dumps([resident_mb("VmHWM") - before, seconds, path.stat().st_size / 1e6]))
"""
LIMITS_MB = {"merge": 100, "info": 15, "header": 15, "mapped": 15, "load": 450}


def test_memory_of_the_store(tmp_path, show_figures):
    path = tmp_path / "toy.h5"

    def run(work):
        words = [sys.executable, "-c", MEASURED, *map(str, (PARTS, CLIPS_PER_PART, FRAMES, FRAME_DIM, work, path))]
        done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout else None

    run("make")
    for work, limit_mb in LIMITS_MB.items():
        grown_mb, seconds, file_mb = run(work)
        show_figures(f"{work}: {grown_mb:6.1f} MB above the baseline, {seconds:.2f} s for {file_mb:.0f} MB")
        assert file_mb > 400
        assert grown_mb < limit_mb, work


@pytest.fixture
def show_figures(capsys):
    def show(line):
        with capsys.disabled():
            print(f"\n{line}", end="")

    return show
