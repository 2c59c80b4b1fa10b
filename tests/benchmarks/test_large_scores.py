"""Scores larger than memory: peak memory and time of `atrkit eval --scores`, with a file that is read in blocks."""

import json
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from atrkit import ScoreMatrix
from atrkit.metrics.ranking import evaluate
from atrkit.store import save_scores

pytestmark = pytest.mark.bench

MOST_MEMORY_MB = 3000  # of 20,000 x 100,000 float32, which are 8 GB
MOST_MORE_MEMORY_MB = 150  # of 4,000 x 20,000, than of a matrix of four scores

# not ru_maxrss, which a child inherits from the process that started it
CHILD = """
import atexit, re, sys
from pathlib import Path

def say_peak():
    status = Path("/proc/self/status").read_text()
    print("peak_kB", re.search(r"VmHWM:\\s+(\\d+) kB", status)[1], file=sys.stderr)

atexit.register(say_peak)
from atrkit.cli.app import main

main()
"""


@dataclass(frozen=True)
class Evaluated:
    """One `atrkit eval` in a process of its own."""

    seconds: float
    peak_MB: float
    result: dict[str, Any]


def evaluated(path) -> Evaluated:
    start = time.perf_counter()
    command = [sys.executable, "-c", CHILD, "eval", "--scores", str(path), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    peak_MB = int(done.stderr.split("peak_kB")[1]) / 1024
    return Evaluated(time.perf_counter() - start, peak_MB, json.loads(done.stdout))


def write_ids(path, clips, captions):
    """Beside an .npy; captions go round the clips, so that positions would be wrong."""
    path.with_suffix(".clips.txt").write_text("".join(f"clip{a}\n" for a in range(clips)))
    rows = "".join(f"caption{c},clip{(7 * c) % clips}\n" for c in range(captions))
    path.with_suffix(".captions.csv").write_text("caption_id,clip_id\n" + rows)


def scores_in_blocks(clips, captions, rows):
    """Normal noise, and 3 more for a caption's own clip; made anew each time, never all at once."""
    own_C = (7 * np.arange(captions)) % clips
    for start in range(0, clips, rows):
        block = np.random.default_rng(start).standard_normal((min(rows, clips - start), captions), dtype=np.float32)
        of_block = np.flatnonzero((own_C >= start) & (own_C < start + len(block)))
        block[own_C[of_block] - start, of_block] += 3
        yield block


def write_npy(path, clips, captions, rows=100):
    with path.open("wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": (clips, captions)}
        np.lib.format.write_array_header_1_0(file, header)
        for block in scores_in_blocks(clips, captions, rows):
            file.write(block.tobytes())
    write_ids(path, clips, captions)
    return path


def test_memory_does_not_grow_with_the_file(tmp_path, show_table, keep_figures):
    clips, captions = 4_000, 20_000
    few = evaluated(write_npy(tmp_path / "few.npy", 2, 2))
    scores_AC = np.concatenate(list(scores_in_blocks(clips, captions, 100)))
    ids = [f"clip{a}" for a in range(clips)], [f"caption{c}" for c in range(captions)]
    whose = [f"clip{(7 * c) % clips}" for c in range(captions)]
    matrix = ScoreMatrix(scores_AC, *ids, whose)
    save_scores(tmp_path / "s.h5", matrix)
    np.savez(tmp_path / "s.npz", scores=scores_AC, clip_ids=ids[0], caption_ids=ids[1], clip_of_caption=whose)
    write_npy(tmp_path / "s.npy", clips, captions)
    expected = evaluate(matrix)
    found = {kind: evaluated(tmp_path / f"s.{kind}") for kind in ("npy", "npz", "h5")}
    show_table(
        f"{clips:,} clips x {captions:,} captions, float32, {scores_AC.nbytes / 1e6:.0f} MB",
        ["file", "seconds", "peak, MB", "more than for four scores, MB"],
        [[k, f"{e.seconds:.1f}", f"{e.peak_MB:.0f}", f"{e.peak_MB - few.peak_MB:.0f}"] for k, e in found.items()],
    )
    keep_figures("large_scores", {kind: {"s": e.seconds, "peak_MB": e.peak_MB} for kind, e in found.items()})
    for each in found.values():
        for direction, figures in expected.items():
            assert {name: each.result[direction][name] for name in figures} == pytest.approx(figures, abs=1e-12)
        assert each.peak_MB - few.peak_MB < MOST_MORE_MEMORY_MB


def test_8_gigabytes_are_ranked_in_less_than_3(tmp_path, show_table, keep_figures):
    clips, captions = 20_000, 100_000
    size_bytes = 4 * clips * captions
    if shutil.disk_usage(tmp_path).free < 2 * size_bytes:
        pytest.skip(f"needs {2 * size_bytes / 1e9:.0f} GB of free disk")
    path = tmp_path / "scores.npy"
    try:
        found = evaluated(write_npy(path, clips, captions))
    finally:
        path.unlink(missing_ok=True)
    to_audio, to_text = found.result["text_to_audio"], found.result["audio_to_text"]
    show_table(
        f"{clips:,} clips x {captions:,} captions, float32, {size_bytes / 1e9:.0f} GB",
        ["seconds", "peak, MB", "T2A R@1", "A2T R@1"],
        [[f"{found.seconds:.0f}", f"{found.peak_MB:.0f}", f"{to_audio['R@1']:.4f}", f"{to_text['R@1']:.4f}"]],
    )
    keep_figures("large_scores", {"20,000 x 100,000": {"s": found.seconds, "peak_MB": found.peak_MB}})
    assert (to_audio["queries"], to_audio["candidates"], to_text["queries"]) == (captions, clips, clips)
    own, others = (np.random.default_rng(0).standard_normal(2_000) + 3), np.random.default_rng(1)
    lost = [others.standard_normal(clips - 1).max() > score for score in own]
    assert to_audio["R@1"] == pytest.approx(1 - np.mean(lost), abs=0.04), "a simulation of the same noise"
    assert found.peak_MB < MOST_MEMORY_MB
