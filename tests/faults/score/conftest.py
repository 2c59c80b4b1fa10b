"""What the fault tests of `atrkit score` share: a captioner to score with, and commands to disturb."""

import hashlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import atrkit
from atrkit.workflows import score_rows

RECIPE = """\
source: ours, small enough for a test
seeds: [1]
data: {train: val, test: dev}
encoder: {name: logmel}
model: {name: transformer_captioner, d_model: 16, num_layers: 1, num_heads: 2, d_ff: 16, standardise: true}
loss: {name: cross_entropy}
optimizer: {name: adamw, lr: 1e-2}
training: {epochs: 1, batch_size: 4, keep_best: last}
"""
PATIENCE_S = 60

# A process that has imported everything forks for each command, so that random instants lie within the work and not
# within the import of torch. Each row of scores takes 10 ms more than it would.
NURSERY = """
import gc, json, os, signal, sys, time
import atrkit.models.captioner, atrkit.models.transformer_decoder, atrkit.store.scores
from atrkit.cli import app, scoring
from atrkit.reports import console, progress, score_summary
from atrkit.scoring.cross_entropy import CrossEntropyScorer
from atrkit.workflows import score, score_command, score_rows, workspace

score_rows.MOST_CLIPS_PER_PART["cpu"] = 1
honest = CrossEntropyScorer.losses_of
def slow(self, *arguments, **options):
    time.sleep(0.01)
    return honest(self, *arguments, **options)
CrossEntropyScorer.losses_of = slow


def command(job):
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for descriptor, path in (1, os.devnull), (2, job["err"]):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.argv = ["atrkit", *job["words"]]
    exec(job["before"], globals())
    app.main()


gc.freeze()  # else each fork copies all of it when it ends
for line in sys.stdin:
    job = json.loads(line)
    if "reap" in job:
        answer = os.waitstatus_to_exitcode(os.waitpid(job["reap"], 0)[1])
    elif not (answer := os.fork()):
        command(job)
    print(answer, flush=True)
"""


class Job:
    """A command that is running in a process of its own."""

    def __init__(self, pid, err, reap) -> None:
        self.pid, self._err, self._reap = pid, err, reap
        self._handle = os.pidfd_open(pid)
        self.code: int | None = None

    def ends_within(self, seconds) -> bool:
        return bool(select.select([self._handle], [], [], seconds)[0])

    def send(self, number) -> None:
        signal.pidfd_send_signal(self._handle, number)

    def end(self) -> int:
        """Wait for its end; its exit code, or the negative number of the signal that ended it."""
        if self.code is None:
            assert self.ends_within(PATIENCE_S), self.stderr
            self.code = self._reap(self.pid)
            os.close(self._handle)
        return self.code

    def wait_until(self, is_so) -> None:
        """Wait for something that the command does, or for its end."""
        deadline = time.monotonic() + PATIENCE_S
        while not is_so() and not self.ends_within(0.002):
            assert time.monotonic() < deadline, self.stderr

    @property
    def stderr(self) -> str:
        return self._err.read_text()


class Nursery:
    """Starts commands within milliseconds."""

    def __init__(self, folder) -> None:
        self._folder, self.jobs = folder, []
        self._process = subprocess.Popen(
            [sys.executable, "-c", NURSERY],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(atrkit.__file__).parents[1])},
        )

    def _ask(self, job) -> int:
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def start(self, *words, workspace, before="") -> Job:
        """Begin `atrkit ...`; `before` is code that is run first."""
        err = self._folder / f"{len(self.jobs)}.err"
        err.touch()
        words = [*words, "--workspace", str(workspace)]
        pid = self._ask({"words": words, "err": str(err), "before": before})
        self.jobs.append(Job(pid, err, lambda pid: self._ask({"reap": pid})))
        return self.jobs[-1]

    def run(self, *words, code=0, **options) -> Job:
        """Run `atrkit ...` to its end, and expect its exit code."""
        job = self.start(*words, **options)
        assert job.end() == code, (words, job.code, job.stderr)
        return job

    def close(self) -> None:
        for job in self.jobs:
            if job.code is None:
                job.send(signal.SIGKILL)
                job.end()
        self._process.stdin.close()
        self._process.wait(PATIENCE_S)


@pytest.fixture(scope="module")
def nursery(tmp_path_factory):
    nursery = Nursery(tmp_path_factory.mktemp("nursery"))
    yield nursery
    nursery.close()


class Scored:
    """A workspace with a captioner, and what scoring its twelve clips of dev wrote."""

    def __init__(self, root, command) -> None:
        self.root, self.command = root, command
        self.folder = root / "runs" / "captioner" / "seed-1"
        self.path = self.folder / "scores.h5"

    def parts(self):
        """Identity of each finished part: it changes when a part is written again, also with the same content."""
        there = {}
        for path in self.folder.glob("scores.parts/part-*.h5"):
            try:
                status = path.stat()
            except FileNotFoundError:  # joining them removes them
                continue
            there[path.name] = (status.st_ino, status.st_mtime_ns)
        return there

    def sha256(self):
        return hashlib.sha256(self.path.read_bytes()).hexdigest()

    def remove(self):
        """The file, and parts that a kill left after they were joined."""
        self.path.unlink()
        shutil.rmtree(self.path.with_suffix(".parts"), ignore_errors=True)


@pytest.fixture(scope="module")
def captioned(prepared, tmp_path_factory, atrkit_in) -> Path:
    """The workspace `prepared` and a finished captioner."""
    root = tmp_path_factory.mktemp("captioned") / "workspace"
    shutil.copytree(prepared, root)
    (root / "captioner.yaml").write_text(RECIPE)
    atrkit_in(root)("train", root / "captioner.yaml")
    return root


@pytest.fixture
def make_workspace(captioned, tmp_path, atrkit_in):
    def make(name) -> Scored:
        shutil.copytree(captioned, tmp_path / name)
        return Scored(tmp_path / name, atrkit_in(tmp_path / name))

    return make


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setitem(score_rows.MOST_CLIPS_PER_PART, "cpu", 1)
