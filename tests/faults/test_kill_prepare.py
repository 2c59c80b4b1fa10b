"""FAULTS.md row 4, for resampling: kill -9 at random instants; the same call comes to the same bytes."""

import hashlib
import os
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

pytestmark = pytest.mark.faults

KILLS, CLIPS, CLIP_S, RATE_HZ = 10, 120, 10, 32000
PREPARE = """
import sys
from pathlib import Path

from atrkit.datasets.prepared import AudioJob, prepare_audio


def main():
    folder = Path(sys.argv[1])
    names = sorted(path.name for path in (folder / "original").iterdir())
    jobs = [AudioJob(name, folder / "original" / name, folder / "copies" / f"{name}.flac") for name in names]
    report = lambda items, audio_s: print(items, flush=True)
    prepare_audio(jobs, sample_rate_hz=32000, journal=folder / "prepared.jsonl", workers=2, on_progress=report)


if __name__ == "__main__":
    main()
"""


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """A second or two of work, and a recording that cannot be used."""
    folder = tmp_path_factory.mktemp("originals")
    noise = np.random.default_rng(0).normal(scale=0.1, size=CLIP_S * 44100)
    for number in range(CLIPS):
        soundfile.write(folder / f"{number:03}.wav", np.roll(noise, 1000 * number), 44100)
    (folder / "broken.wav").write_text("no audio")
    return folder


@pytest.fixture
def start(tmp_path):
    """Start a preparation as a process of its own, the leader of a group; gives it when its first result is there."""
    script = tmp_path / "prepare.py"
    script.write_text(PREPARE)
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(atrkit.__file__).parents[1])}
    children = []

    def begin(folder):
        command, pipe = [sys.executable, script, folder], subprocess.PIPE
        child = subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, start_new_session=True)
        children.append(child)
        child.stdout.readline()
        return child

    yield begin
    for child in children:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def finish(child):
    _, stderr = child.communicate()
    assert child.returncode == 0, stderr


def digests_of(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_10_kills_while_recordings_are_prepared(originals, start, tmp_path):
    reference, killed = tmp_path / "reference", tmp_path / "killed"
    for folder in (reference, killed):
        shutil.copytree(originals, folder / "original")
    child = start(reference)
    began = time.monotonic()
    finish(child)
    work_s = time.monotonic() - began
    expected = digests_of(reference)
    assert len(expected) == CLIPS + 1 + CLIPS + 1

    instants = np.random.default_rng(4)
    parts, copies_at_kill, finished = 0, [], 0
    while len(copies_at_kill) < KILLS:
        child = start(killed)
        only_parent = len(copies_at_kill) % 2  # its workers must end by themselves
        try:
            child.wait(instants.uniform(0, work_s / 4))
        except subprocess.TimeoutExpired:
            os.kill(child.pid, signal.SIGKILL) if only_parent else os.killpg(child.pid, signal.SIGKILL)
            child.communicate()  # ends when the last process that holds the pipe does
            copies = killed / "copies"
            copies_at_kill.append(len(list(copies.glob("*.flac"))))
            parts += len(list(copies.glob("*.part")))
            assert digests_of(copies).items() >= {
                (path.name, expected[f"copies/{path.name}"]) for path in copies.glob("*.flac")
            }, "what has its name is whole"
            continue
        finish(child)
        finished += 1
        assert digests_of(killed) == expected
        shutil.rmtree(killed / "copies")
        (killed / "prepared.jsonl").unlink()
    finish(start(killed))
    assert digests_of(killed) == expected
    shown = ", ".join(map(str, copies_at_kill))
    print(f"\n10 kills during {work_s:.1f} s of resampling, with so many of {CLIPS} copies there: {shown}")
    print(
        f"{parts} half-written files were found; all {len(expected)} files, the journal too, of {1 + finished} of",
        end=" ",
    )
    print(f"{1 + finished} runs equal the uninterrupted one's")
