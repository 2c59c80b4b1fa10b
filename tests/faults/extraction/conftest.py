"""What the fault tests of `atrkit extract` share: short clips, weights for a real network, and processes to disturb."""

import functools
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

import numpy as np
import pytest
import soundfile

import atrkit
from atrkit.workflows import extract_options

PART_CLIPS = 3
CLIPS = 12
PATIENCE_S = 60  # for a command on a busy machine

# A process that has imported everything forks for each command, so that random instants lie within the work and not
# within the import of torch. Each command has a session of its own, by which all that it starts can be found.
NURSERY = f"""
import functools, gc, json, os, signal, sys
import h5py, soundfile, soxr, torch, torch._dynamo, torchaudio
from atrkit.cli import app, extraction
from atrkit.encoders import load, logmel, mobilenet, panns
from atrkit.reports import console, extraction_summary, progress
from atrkit.workflows import extract, extract_options, extract_shards, workspace

# what a network without values makes torch import
image = torch.empty(1, 1, 4, 4, device="meta")
torch.nn.Sequential(torch.nn.Conv2d(1, 1, 3), torch.nn.BatchNorm2d(1), torch.nn.ReLU()).to("meta").eval()(image)
extract_options.ExtractOptions = functools.partial(extract_options.ExtractOptions, part_clips={PART_CLIPS})


def command(job):
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for descriptor, path in (1, job["out"]), (2, job["err"]):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ |= job["environment"]
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

    def __init__(self, pid, out, err, reap) -> None:
        self.pid, self._out, self._err, self._reap = pid, out, err, reap
        self._handle = os.pidfd_open(pid)
        self.code: int | None = None

    def ends_within(self, seconds: float) -> bool:
        """Whether it ended by itself."""
        return bool(select.select([self._handle], [], [], seconds)[0])

    def send(self, number) -> float:
        """Send the command, but not what it started, a signal; when that was."""
        signal.pidfd_send_signal(self._handle, number)
        return time.monotonic()

    def end(self, patience_s: float = PATIENCE_S) -> int:
        """Wait for its end; its exit code, or the negative number of the signal that ended it."""
        if self.code is None:
            assert self.ends_within(patience_s), (self.pid, self.stderr)
            self.code = self._reap(self.pid)
            os.close(self._handle)
        return self.code

    def reaches(self, path: Path) -> None:
        """Wait until the command says by a file that it is there."""
        deadline = time.monotonic() + PATIENCE_S
        while not path.exists():
            assert not self.ends_within(0.005), (self.end(), self.stderr)
            assert time.monotonic() < deadline, f"{path} did not appear"

    def kill(self) -> bool:
        """kill -9 of the command alone; False when it had just ended by itself."""
        self.send(signal.SIGKILL)
        assert self.end() in (-signal.SIGKILL, 0), self.stderr
        return self.code != 0

    @property
    def stdout(self) -> str:
        return self._out.read_text()

    @property
    def stderr(self) -> str:
        return self._err.read_text()

    def left_running(self) -> list[str]:
        """Command lines of what it started and what still runs."""
        left = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                state, _, _, session = (entry / "stat").read_text().rpartition(") ")[2].split()[:4]
                if session == str(self.pid) and state not in "ZX":
                    left.append((entry / "cmdline").read_text().replace("\0", " "))
            except (FileNotFoundError, ProcessLookupError):
                continue
        return left

    def leaves_nothing_running_within(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self.left_running() and time.monotonic() < deadline:
            select.select([], [], [], 0.01)
        return not self.left_running()

    def shared_memory(self) -> set[str]:
        """Files in /dev/shm that it has mapped and that have a name there; semaphores are mapped under another one."""
        try:
            lines = Path(f"/proc/{self.pid}/maps").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):
            return set()
        mapped = {int(line.split()[4]) for line in lines if "/dev/shm/" in line}
        return {entry.path for entry in os.scandir("/dev/shm") if entry.inode() in mapped}


class Nursery:
    """Starts commands within milliseconds."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._count = folder, 0
        self._process = subprocess.Popen(
            [sys.executable, "-c", NURSERY],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(atrkit.__file__).parents[1])},
        )
        self.jobs: list[Job] = []

    def _ask(self, job) -> int:
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def start(self, *words, workspace, before: str = "", environment=None) -> Job:
        """Begin `atrkit ...`; `before` is code that is run first."""
        self._count += 1
        out, err = self._folder / f"{self._count}.out", self._folder / f"{self._count}.err"
        out.touch(), err.touch()
        job = {
            "words": [*(str(word) for word in words), "--workspace", str(workspace)],
            "out": str(out),
            "err": str(err),
            "before": before,
            "environment": environment or {},
        }
        self.jobs.append(Job(self._ask(job), out, err, lambda pid: self._ask({"reap": pid})))
        return self.jobs[-1]

    def run(self, *words, workspace, code=0, **options) -> Job:
        """Run `atrkit ...` to its end, and expect its exit code."""
        job = self.start(*words, workspace=workspace, **options)
        assert job.end() == code, (words, job.code, job.stderr)
        return job

    def close(self) -> None:
        for job in self.jobs:
            if job.code is None:
                job.send(signal.SIGKILL)
                job.end()
        self._process.stdin.close()
        self._process.wait(PATIENCE_S)


@pytest.fixture(scope="session")
def nursery(tmp_path_factory):
    nursery = Nursery(tmp_path_factory.mktemp("nursery"))
    yield nursery
    nursery.close()


@pytest.fixture(scope="session")
def slow_disk() -> str:
    """Code that makes each write of a command take a tenth of a second."""
    return """
import time
from atrkit import files
brought = os.fsync
def slow(descriptor):
    time.sleep(0.1)
    brought(descriptor)
files.os.fsync = slow
"""


@pytest.fixture(scope="session")
def weights(tmp_path_factory) -> Path:
    """An official file of Cnn10 but for its numbers."""
    import torch

    from atrkit.encoders.panns_networks import panns_network

    generator = torch.Generator().manual_seed(1)
    state = {key: torch.empty_like(value, device="cpu") for key, value in panns_network("cnn10").state_dict().items()}
    for key, value in state.items():
        if value.ndim > 1:
            value.normal_(0.0, (2.0 / value[0].numel()) ** 0.5, generator=generator)
        else:
            value.fill_(0 if key.endswith(("bias", "running_mean", "num_batches_tracked")) else 1)
    path = tmp_path_factory.mktemp("weights") / "cnn10.pth"
    torch.save({"model": state}, path)
    return path


@pytest.fixture(scope="session")
def cnn10(weights) -> tuple[str, ...]:
    """Words that extract with a real network."""
    return ("extract", "--encoder", "cnn10", "--checkpoint", str(weights))


@pytest.fixture(scope="session")
def imported(tmp_path_factory, atrkit_in) -> Path:
    """A workspace with twelve recordings of 0.4 to 1 s as dataset `mine`: four parts of three."""
    root = tmp_path_factory.mktemp("imported")
    (root / "sounds").mkdir()
    noise = np.random.default_rng(0)
    lines = ["file_name,caption_1,split"]
    for number, duration_s in enumerate(np.linspace(0.4, 1.0, CLIPS)):
        samples = int(duration_s * 32000)
        tone = np.sin(np.arange(samples) * (0.02 + 0.02 * number)) * 0.3
        soundfile.write(root / "sounds" / f"{number:02}.wav", tone + 0.01 * noise.standard_normal(samples), 32000)
        lines.append(f"{number:02}.wav,tone number {number} sounds,{'dev' if number < 8 else 'eval'}")
    (root / "sounds" / "captions.csv").write_text("\n".join(lines) + "\n")
    atrkit_in(root)("import", root / "sounds", "--name", "mine")
    return root


@pytest.fixture
def small_parts(monkeypatch):
    """Parts of three clips for commands in this process."""
    small = functools.partial(extract_options.ExtractOptions, part_clips=PART_CLIPS)
    monkeypatch.setattr(extract_options, "ExtractOptions", small)


@pytest.fixture
def copy_of_mine(imported, tmp_path):
    """Make a copy of `imported` of one's own: its folder."""

    def copy(name="workspace") -> Path:
        shutil.copytree(imported, tmp_path / name)
        return tmp_path / name

    return copy


@pytest.fixture
def mine(copy_of_mine, atrkit_in, small_parts):
    """Commands in this process on a copy of `imported`."""
    return atrkit_in(copy_of_mine())


@pytest.fixture(scope="session")
def undisturbed(nursery, imported, tmp_path_factory):
    """What an extraction comes to that nobody disturbs: sha256 of store and list of problems, and seconds."""

    @functools.cache
    def run(*words):
        root = tmp_path_factory.mktemp("undisturbed") / "workspace"
        shutil.copytree(imported, root)
        nursery.run(*words, workspace=root)
        expected = digests_of(root)
        started = time.monotonic()
        nursery.run(*words, "--overwrite", workspace=root)
        seconds = time.monotonic() - started
        assert digests_of(root) == expected
        return expected, seconds

    return run


@pytest.fixture(scope="session")
def digests():
    """Sha256 of finished stores and lists of problems, by name."""
    return digests_of


def digests_of(workspace: Path) -> dict[str, str]:
    files = sorted((workspace / "embeddings" / "mine").glob("*.*"))
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if path.is_file() and path.suffix in (".h5", ".jsonl")
    }
