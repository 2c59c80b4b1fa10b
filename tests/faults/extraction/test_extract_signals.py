"""FAULTS.md row 18 with a network: Ctrl-C and SIGTERM at any moment of an extraction, with threads and processes."""

import hashlib
import shutil
import signal
import time
from collections import Counter

import numpy as np
import pytest

LIMIT_S = 5
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
SAID = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}

# code that holds a command where it says that it is
HELD = """
import threading
from pathlib import Path
def held(*arguments, **options):
    Path({reached!r}).touch()
    threading.Event().wait()
"""
MOMENTS = {
    "loading": "from atrkit.encoders import panns\npanns.load_weights = held",
    "encoding": "from atrkit.encoders.base import Encoder\nEncoder.encode = held",
    "writing": "from atrkit.store import parts\nparts.save_embeddings = held",
    "merging": "from atrkit.store import parts\nparts.merge_parts = held",
}


def assert_ended_well(job, number, started):
    code, seconds = job.end(), time.monotonic() - started
    last = job.stderr.splitlines()[-1]
    assert (code, last) == (
        CODES[number],
        f"atrkit: {SAID[number]}; nothing is half written, run the same command again",
    ), job.stderr
    assert "Traceback" not in job.stderr and "leaked" not in job.stderr
    assert seconds < LIMIT_S, seconds
    assert job.leaves_nothing_running_within(LIMIT_S), job.left_running()
    return seconds


INT, TERM = CODES
QUICK = [("encoding", 0, INT)]
OTHERS = [
    pytest.param(moment, workers, number, marks=pytest.mark.faults)
    for moment in MOMENTS
    for workers, number in ((0, INT), (0, TERM), (2, INT), (2, TERM))
    if (moment, workers, number) not in QUICK
]


@pytest.mark.parametrize(("moment", "workers", "number"), [*QUICK, *OTHERS])
def test_a_signal_at_a_known_moment(
    nursery, copy_of_mine, undisturbed, digests, cnn10, tmp_path, number, workers, moment
):
    words = (*cnn10, "--workers", workers)
    workspace, (expected, _) = copy_of_mine(), undisturbed(*words)
    reached = tmp_path / "reached"
    before = HELD.format(reached=str(reached)) + MOMENTS[moment]
    job = nursery.start(*words, workspace=workspace, before=before)
    job.reaches(reached)
    assert_ended_well(job, number, job.send(number))
    assert not list(workspace.rglob("*.part"))
    nursery.run(*words, workspace=workspace)
    assert digests(workspace) == expected


@pytest.mark.parametrize("workers", [pytest.param(0, marks=pytest.mark.faults), 2])
def test_a_second_ctrl_c_ends_at_once(nursery, copy_of_mine, undisturbed, digests, cnn10, tmp_path, workers):
    """While the first one is being heeded: here forever."""
    words = (*cnn10, "--workers", workers)
    workspace, (expected, _) = copy_of_mine(), undisturbed(*words)
    reached, unwinding = tmp_path / "reached", tmp_path / "unwinding"
    before = (
        HELD.format(reached=str(reached))
        + MOMENTS["encoding"]
        + f"""
from atrkit.workflows.encode_pipeline import EncodePipeline
from atrkit.store.parts import PartFolder
finished = PartFolder.finished
def unwind(self, plan):
    if Path({str(reached)!r}).exists():
        Path({str(unwinding)!r}).touch()
        threading.Event().wait()
    return finished(self, plan)
PartFolder.finished = unwind
"""
    )
    job = nursery.start(*words, workspace=workspace, before=before)
    job.reaches(reached)
    job.send(signal.SIGINT)
    job.reaches(unwinding)
    started = job.send(signal.SIGINT)
    assert job.end() == -signal.SIGINT and time.monotonic() - started < 1
    assert job.leaves_nothing_running_within(LIMIT_S), job.left_running()
    nursery.run(*words, workspace=workspace)
    assert digests(workspace) == expected


@pytest.mark.faults
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("rounds", [20])
def test_signals_at_random_instants(nursery, copy_of_mine, undisturbed, digests, cnn10, workers, rounds):
    words = (*cnn10, "--workers", workers)
    workspace, (expected, work_s) = copy_of_mine(), undisturbed(*words)
    instants, seconds, codes = np.random.default_rng(workers), [], Counter()
    while len(seconds) < rounds:
        number = list(CODES)[len(seconds) % 2]
        job = nursery.start(*words, workspace=workspace)
        while "dataset: mine" not in job.stderr:  # before that Python itself ends
            assert not job.ends_within(0.005), job.stderr
        if job.ends_within(instants.uniform(0, 0.9 * work_s)):
            assert job.end() == 0, job.stderr
            assert digests(workspace) == expected
            shutil.rmtree(workspace / "embeddings")
            continue
        started = job.send(number)
        if job.end() in (0, -number):  # it was over but for the end of the process
            assert digests(workspace) == expected
            seconds.append(0.0)
            codes[job.code] += 1
            continue
        seconds.append(assert_ended_well(job, number, started))
        codes[job.code] += 1
        assert not list(workspace.rglob("*.part"))
    nursery.run(*words, workspace=workspace)
    assert digests(workspace) == expected
    if rounds > 1:
        print(f"\n{rounds} signals in cnn10 with --workers {workers} ({work_s:.1f} s): exit codes {dict(codes)}, "
              f"at most {max(seconds):.2f} s, bytes equal")  # fmt: skip


@pytest.mark.faults
@pytest.mark.parametrize("number", [INT, TERM])
def test_a_signal_while_weights_are_downloaded(
    nursery, copy_of_mine, weights, server, tmp_path, number, digests, undisturbed, cnn10
):
    from atrkit.encoders.catalogue import ENCODERS

    content = weights.read_bytes()
    md5 = hashlib.md5(content).hexdigest()
    path = "/" + ENCODERS["cnn10"].checkpoints[""].url.split("/", 3)[3]
    server.publish(path, content, faults=[server.stall(5_000_000)])
    stated = f"""
import dataclasses, hashlib
from atrkit.encoders.catalogue import ENCODERS
ENCODERS["cnn10"].checkpoints[""] = dataclasses.replace(
    ENCODERS["cnn10"].checkpoints[""], md5={md5!r}, size_bytes={len(content)}
)
"""
    workspace = copy_of_mine()
    environment = {"ATRKIT_MIRROR": server.url, "ATRKIT_CACHE": str(tmp_path / "cache")}
    words = ("extract", "--encoder", "cnn10")
    job = nursery.start(*words, workspace=workspace, before=stated, environment=environment)
    while not any(path.stat().st_size > 1_000_000 for path in (tmp_path / "cache").rglob("*") if path.is_file()):
        assert not job.ends_within(0.01), job.stderr
    assert_ended_well(job, number, job.send(number))
    nursery.run(*words, workspace=workspace, before=stated, environment=environment)
    assert [request.range_start > 0 for request in server.requests] == [False, True], "what was received is kept"
    assert digests(workspace)["cnn10.problems.jsonl"] == undisturbed(*cnn10)[0]["cnn10.problems.jsonl"]
