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
CAPTIONER = """\
source: a test with everything that draws random numbers
data: {dataset: tiny, train: dev, val: val, test: eval}
encoder: {name: logmel}
model: {name: transformer_captioner, d_model: 16, num_layers: 2, num_heads: 2, d_ff: 32, standardise: true}
augment: {mixup_alpha: 0.4, feature_stripes: 3, stripe_width: 2}
loss: {name: cross_entropy, label_smoothing: 0.2}
optimizer: {name: adamw, lr: 1e-3, schedule: cosine_per_epoch}
training: {epochs: 4, batch_size: 4, keep_best: val_loss, bucket_batches: 2}
"""
DOWNLOAD = ("download", "synthetic", "--clips", "240", "--workers", "2")


def digests_of(folder):
    """Sha256 of every file but locks and the leftovers of a killed process."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix not in (".lock", ".part"))
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def start_working(start_child, words, workspace, mark):
    """Start a command and wait until it has written a certain file: its work is under way."""
    before = identity(mark)
    child = start_child(*words, workspace=workspace, start_new_session=True)
    while child.poll() is None and identity(mark) == before:
        try:
            child.wait(0.002)
        except subprocess.TimeoutExpired:
            continue
    return child


def identity(path):
    """Changes when the file is written, also with the same content."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


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


def uninterrupted(start_child, words, workspace, mark):
    """Run a command to its end; seconds that it worked."""
    child = start_working(start_child, words, workspace, mark)
    start = time.monotonic()
    assert not kill_after(child, 300)
    return time.monotonic() - start


def test_25_kills_during_extract(start_child, atrkit_in, tmp_path):
    reference, workspace = tmp_path / "reference", tmp_path / "killed"
    atrkit_in(reference)(*DOWNLOAD)
    shutil.copytree(reference, workspace)
    lock = "embeddings/synthetic/.logmel.h5.lock"
    work_s = uninterrupted(start_child, EXTRACT, reference, reference / lock)
    expected = digests_of(reference / "embeddings")
    embeddings = workspace / "embeddings"

    instants = np.random.default_rng(1)
    finished, parts, parts_at_kill = 0, {}, []  # of the extraction under way
    while len(parts_at_kill) < 25:
        child = start_working(start_child, EXTRACT, workspace, workspace / lock)
        if not kill_after(child, instants.uniform(0, work_s / 2)):
            finished += 1
            assert digests_of(embeddings) == expected
            shutil.rmtree(embeddings)
            parts = {}
            continue
        there = {path.name: identity(path) for path in embeddings.rglob("part-*.h5")}
        assert len(list(embeddings.rglob("*.part"))) <= 1, "one file was being written"
        if joined := list(embeddings.rglob("logmel.h5")):
            assert hashlib.sha256(joined[0].read_bytes()).hexdigest() == expected["synthetic/logmel.h5"]
            shutil.rmtree(embeddings)
            there = {}
        else:
            assert parts.items() <= there.items(), "a finished part is never touched again"
        parts = there
        parts_at_kill.append("joined" if joined else len(parts))
    uninterrupted(start_child, EXTRACT, workspace, workspace / lock)
    assert digests_of(embeddings) == expected
    shown = ", ".join(map(str, parts_at_kill))
    print(f"\n25 kills during extract ({work_s:.1f} s of work), with so many parts of 5 finished: {shown}")
    print(f"{1 + finished} of {1 + finished} stores have the uninterrupted one's sha256; no finished part was redone")


@pytest.mark.parametrize("recipe", [None, CAPTIONER], ids=["dual encoder", "captioner"])
def test_10_kills_during_train(prepared, start_child, tmp_path, run_bytes, recipe):
    reference, workspace = tmp_path / "reference", tmp_path / "killed"
    for folder in (reference, workspace):
        shutil.copytree(prepared, folder)
        if recipe is not None:
            (folder / "recipe.yaml").write_text(recipe)
    words = ("train", workspace / "recipe.yaml", "--set", "training.epochs=60")
    checkpoint = "runs/recipe/seed-1/training_state.ckpt"
    work_s = uninterrupted(start_child, words, reference, reference / checkpoint)
    expected = run_bytes(reference)

    instants = np.random.default_rng(2)
    finished, epochs_at_kill = 0, []
    while len(epochs_at_kill) < 10:
        child = start_working(start_child, words, workspace, workspace / checkpoint)
        if not kill_after(child, instants.uniform(0, work_s / 6)):
            finished += 1
            assert run_bytes(workspace) == expected
            shutil.rmtree(workspace / "runs")
            continue
        metrics = list(workspace.rglob("metrics.jsonl"))
        epochs_at_kill.append(len(metrics[0].read_text().splitlines()) if metrics else 0)
    uninterrupted(start_child, words, workspace, workspace / checkpoint)
    assert run_bytes(workspace) == expected
    shown = ", ".join(map(str, epochs_at_kill))
    print(f"\n10 kills during train ({work_s:.1f} s of work), with so many epochs of 60 finished: {shown}")
    print(f"weights and metrics of {1 + finished} of {1 + finished} runs equal the uninterrupted one's, bit for bit")


def test_8_kills_during_download(start_child, tmp_path):
    reference, workspace = tmp_path / "reference", tmp_path / "killed"
    lock = "data/.synthetic.lock"
    work_s = uninterrupted(start_child, DOWNLOAD, reference, reference / lock)
    expected = digests_of(reference)

    instants = np.random.default_rng(3)
    finished, files_at_kill = 0, []
    while len(files_at_kill) < 8:
        child = start_working(start_child, DOWNLOAD, workspace, workspace / lock)
        if not kill_after(child, instants.uniform(0, work_s)):
            finished += 1
            assert digests_of(workspace) == expected
            continue
        files_at_kill.append(len(list(workspace.rglob("*.wav"))))
    uninterrupted(start_child, DOWNLOAD, workspace, workspace / lock)
    assert digests_of(workspace) == expected
    assert not list(workspace.rglob("*.part"))
    shown = ", ".join(map(str, files_at_kill))
    print(f"\n8 kills during download ({work_s:.1f} s of work), with so many clips rendered: {shown}")
    print(f"all {len(expected)} files of {1 + finished} of {1 + finished} datasets equal the uninterrupted one's")
