"""FAULTS.md row 1 with a network, shards and decoding processes: kill -9, and the same command goes on."""

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

STORE = "embeddings/mine/cnn10.h5"
PARTS = 4
# of the parts at which a command is killed: four threads of work, and what was begun ahead
GRACE_S = 5


def finished_parts(workspace):
    """Identity of each finished part; it changes when a part is written again, also with the same content."""
    there = {}
    for path in workspace.rglob("part-*.h5"):
        try:
            status = path.stat()
        except FileNotFoundError:  # the merge that follows removes them
            continue
        there[path.name] = (status.st_ino, status.st_mtime_ns)
    return there


def kill_at(job, delay_s):
    """Kill the command alone after so many seconds; which shared memory it had, or None when it ended by itself."""
    if job.ends_within(delay_s):
        assert job.end() == 0, job.stderr
        return None
    memory = job.shared_memory()
    return memory if job.kill() else None


def assert_nothing_is_left(job, memory):
    assert job.leaves_nothing_running_within(GRACE_S), job.left_running()
    assert not {name for name in memory if Path(name).exists()}, "named shared memory outlived the command"


@pytest.mark.parametrize(
    ("workers", "kills"),
    [pytest.param(0, 25, marks=pytest.mark.faults), pytest.param(2, 25, marks=pytest.mark.faults)],
)
def test_kills_during_extract_with_a_network(nursery, copy_of_mine, undisturbed, digests, cnn10, workers, kills):
    words = (*cnn10, "--workers", workers)
    workspace, (expected, work_s) = copy_of_mine(), undisturbed(*words)
    instants = np.random.default_rng(workers)
    parts, at_kill, runs = {}, [], 0
    while len(at_kill) < kills:
        job = nursery.start(*words, workspace=workspace)
        runs += 1
        memory = kill_at(job, instants.uniform(0, work_s))
        if memory is None or (workspace / STORE).exists():
            if memory is None:
                assert digests(workspace) == expected
            at_kill += [] if memory is None else ["joined"]
            shutil.rmtree(workspace / "embeddings")
            parts = {}
            continue
        assert_nothing_is_left(job, memory)
        there = finished_parts(workspace)
        assert parts.items() <= there.items(), "a finished part is never made again"
        assert len(list(workspace.rglob("*.part"))) <= 1, "one file was being written"
        parts = there
        at_kill.append(len(there))
    nursery.run(*words, workspace=workspace)
    assert digests(workspace) == expected
    assert not list(workspace.rglob("*.part")) and not list(workspace.rglob("*.parts"))
    if kills > 2:
        said = ", ".join(f"{count} x {state}" for state, count in Counter(map(str, at_kill)).items())
        print(f"\n{kills} kills of cnn10 with --workers {workers} ({work_s:.1f} s), {PARTS} parts: {said}; "
              f"no part made twice, {runs + 1 - kills} stores equal, no process left")  # fmt: skip


@pytest.mark.faults
def test_25_kills_of_two_shards_at_work_together(nursery, copy_of_mine, undisturbed, digests, cnn10):
    workspace, (expected, work_s) = copy_of_mine(), undisturbed(*cnn10)
    instants, kills, rounds = np.random.default_rng(3), 0, 0
    parts = {}
    while kills < 25:
        jobs = [nursery.start(*cnn10, "--shard", shard, workspace=workspace) for shard in ("1/2", "2/2")]
        victim, other = jobs if instants.random() < 0.5 else jobs[::-1]
        memory = kill_at(victim, instants.uniform(0, work_s))
        assert other.end() == 0, other.stderr
        if memory is not None:
            kills += 1
            assert_nothing_is_left(victim, memory)
        there = finished_parts(workspace)
        assert parts.items() <= there.items() and len(there) >= PARTS // 2, "what the other shard made stays"
        parts = there
        if len(there) == PARTS or instants.random() < 0.4:
            for shard in ("1/2", "2/2"):
                nursery.run(*cnn10, "--shard", shard, workspace=workspace)
            nursery.run("extract", "--encoder", "cnn10", "--merge", workspace=workspace)
            assert digests(workspace) == expected
            shutil.rmtree(workspace / "embeddings")
            parts, rounds = {}, rounds + 1
    print(f"\n25 kills of one of two shards at work together: {rounds} of {rounds} merged stores equal")


@pytest.mark.faults
@pytest.mark.parametrize("kills", [25])
def test_kills_during_a_merge(nursery, copy_of_mine, undisturbed, digests, cnn10, kills, tmp_path, slow_disk):
    workspace, (expected, _) = copy_of_mine(), undisturbed(*cnn10)
    for shard in ("1/2", "2/2"):
        nursery.run(*cnn10, "--shard", shard, workspace=workspace)
    shutil.copytree(workspace / "embeddings", tmp_path / "parts")
    merge = ("extract", "--encoder", "cnn10", "--merge")
    # a merge of four parts takes milliseconds: the command is held where each file is brought to the disk
    at_kill, instants = Counter(), np.random.default_rng(4)
    while at_kill.total() < kills:
        shutil.rmtree(workspace / "embeddings")
        shutil.copytree(tmp_path / "parts", workspace / "embeddings")
        job = nursery.start(*merge, workspace=workspace, before=slow_disk)
        if kill_at(job, instants.uniform(0, 0.45)) is None:
            continue
        half = bool(list(workspace.rglob("cnn10.h5.part")))
        whole = (workspace / STORE).exists()
        at_kill["whole" if whole else "half" if half else "none"] += 1
        assert whole or len(finished_parts(workspace)) == PARTS
        nursery.run(*merge, workspace=workspace)
        assert digests(workspace) == expected
        nursery.run(*cnn10, workspace=workspace)
        assert not list(workspace.rglob("*.parts"))
    if kills > 2:
        print(f"\n{kills} kills of --merge, of the new file there was at the kill: {dict(at_kill)}; all stores equal")


def test_decoding_processes_end_with_a_killed_command_also_amid_a_file(nursery, copy_of_mine, cnn10, tmp_path):
    workspace = copy_of_mine()
    reached = tmp_path / "reached"
    job = nursery.start(*cnn10, "--workers", 2, workspace=workspace, before=told_when_decoding(reached))
    job.reaches(reached)
    assert len(job.left_running()) >= 3, "the command, its decoders, and multiprocessing's own"
    memory = job.shared_memory()
    job.kill()
    assert_nothing_is_left(job, memory)


def told_when_decoding(reached):
    """Code that says when the first group was decoded, and holds the command there."""
    return f"""
import threading
from pathlib import Path
from atrkit.encoders.base import Encoder
def held(self, waves):
    Path({str(reached)!r}).touch()
    threading.Event().wait()
Encoder.encode = held
"""
