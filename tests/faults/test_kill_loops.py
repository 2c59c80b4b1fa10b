"""FAULTS.md rows 1, 2, 4: kill -9 at random instants; the same command comes to the bytes of an uninterrupted run."""

import hashlib
import os
import shutil
import signal
import subprocess
import time

import numpy as np
import pytest

pytestmark = pytest.mark.faults

EXTRACT = ("extract", "--encoder", "logmel")
DOWNLOAD = ("download", "synthetic", "--clips", "240", "--workers", "2")
EPOCHS = ("--set", "training.epochs=60")


def digests_of(folder):
    """Sha256 of every file but locks and the leftovers of a killed process."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix not in (".lock", ".part"))
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def kill_after(child, delay_s):
    """Kill the child's whole group after so many seconds; False when it had ended by itself."""
    try:
        child.wait(delay_s)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.communicate()
        return True
    _, stderr = child.communicate()
    assert child.returncode == 0, stderr
    return False


def uninterrupted(start_child, words, workspace, first_file):
    """Run a command to its end; seconds until it wrote its first file, and in all."""
    start = time.monotonic()
    child = start_child(*words, workspace=workspace)
    until_work_s = None
    while child.poll() is None:
        if until_work_s is None and any(workspace.rglob(first_file)):
            until_work_s = time.monotonic() - start
        try:
            child.wait(0.005)
        except subprocess.TimeoutExpired:
            continue
    assert child.returncode == 0, child.communicate()
    return until_work_s, time.monotonic() - start


def test_25_kills_during_extract(start_child, atrkit_in, tmp_path):
    reference = atrkit_in(tmp_path / "reference")
    reference(*DOWNLOAD)
    workspace = tmp_path / "killed"
    shutil.copytree(reference.workspace, workspace)
    until_work_s, total_s = uninterrupted(start_child, EXTRACT, reference.workspace, "plan.json")
    expected = digests_of(reference.workspace / "embeddings")
    embeddings = workspace / "embeddings"

    instants = np.random.default_rng(1)
    finished, parts, parts_at_kill = 0, {}, []
    while len(parts_at_kill) < 25:
        # from just before the first write until a quarter of the work is done
        delay_s = instants.uniform(until_work_s - 0.3, until_work_s + 0.25 * (total_s - until_work_s))
        child = start_child(*EXTRACT, workspace=workspace, start_new_session=True)
        if not kill_after(child, delay_s):
            finished += 1
            assert digests_of(embeddings) == expected
            shutil.rmtree(embeddings)
            parts = {}
            continue
        there = {path.name: identity(path) for path in embeddings.rglob("part-*.h5")}
        assert len(list(embeddings.rglob("*.part"))) <= 1, "one file was being written"
        merged = any(embeddings.rglob("logmel.h5"))
        assert merged or parts.items() <= there.items(), "a finished part is never touched again"
        parts = there
        parts_at_kill.append("joined" if merged else len(parts))
    uninterrupted(start_child, EXTRACT, workspace, "plan.json")
    assert digests_of(embeddings) == expected
    shown = ", ".join(map(str, parts_at_kill))
    print(f"\n25 kills during extract ({total_s:.1f} s uninterrupted), with so many parts of 7 finished: {shown}")
    print(
        f"{1 + finished} of {1 + finished} stores have the sha256 of the uninterrupted one; 0 finished parts were redone"
    )


def identity(path):
    status = path.stat()
    return status.st_ino, status.st_mtime_ns, status.st_size


def test_10_kills_during_train(prepared, start_child, tmp_path, run_bytes):
    reference, workspace = tmp_path / "reference", tmp_path / "killed"
    for folder in (reference, workspace):
        shutil.copytree(prepared, folder)
    words = ("train", workspace / "recipe.yaml", *EPOCHS)
    until_work_s, total_s = uninterrupted(start_child, words, reference, "metrics.jsonl")
    expected = run_bytes(reference)

    instants = np.random.default_rng(2)
    kills = finished = 0
    epochs = []
    while kills < 10:
        delay_s = instants.uniform(until_work_s - 0.3, until_work_s + 0.25 * (total_s - until_work_s))
        child = start_child(*words, workspace=workspace, start_new_session=True)
        if not kill_after(child, delay_s):
            finished += 1
            assert run_bytes(workspace) == expected
            shutil.rmtree(workspace / "runs")
            continue
        kills += 1
        metrics = list(workspace.rglob("metrics.jsonl"))
        epochs.append(len(metrics[0].read_text().splitlines()) if metrics else 0)
    uninterrupted(start_child, words, workspace, "metrics.jsonl")
    assert run_bytes(workspace) == expected
    print(
        f"\n10 kills during train ({total_s:.1f} s uninterrupted), after epochs {epochs} of 60: weights and metrics of "
        f"{1 + finished} of {1 + finished} runs equal those of the uninterrupted one, bit for bit"
    )


def test_8_kills_during_download(start_child, tmp_path):
    reference, workspace = tmp_path / "reference", tmp_path / "killed"
    until_work_s, total_s = uninterrupted(start_child, DOWNLOAD, reference, "*.wav")
    expected = digests_of(reference)
    instants = np.random.default_rng(3)
    kills = finished = 0
    while kills < 8:
        child = start_child(*DOWNLOAD, workspace=workspace, start_new_session=True)
        if not kill_after(child, instants.uniform(0.5 * until_work_s, total_s)):
            finished += 1
            assert digests_of(workspace) == expected
            continue
        kills += 1
    uninterrupted(start_child, DOWNLOAD, workspace, "*.wav")
    assert digests_of(workspace) == expected
    assert not list(workspace.rglob("*.part"))
    print(
        f"\n8 kills during download ({total_s:.1f} s uninterrupted): {len(expected)} files of {1 + finished} of "
        f"{1 + finished} datasets equal those of the uninterrupted one"
    )
