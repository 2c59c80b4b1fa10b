"""FAULTS.md row 11: one output has one writer; a second process is told who writes there, and since when."""

import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

from atrkit.files import single_writer

WHO = r"is being written by process (\d+) since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC: wait for it to end, or stop it"

HOLDER = """
import sys
from pathlib import Path
from atrkit.files import single_writer
with single_writer(Path(sys.argv[1])):
    print("holding", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("data/synthetic", ("download", "synthetic", "--clips", "30", "--workers", "1")),
        ("data/more", ("import", "SOUNDS", "--name", "more")),
        ("embeddings/tiny/logmel.h5", ("extract", "--encoder", "logmel", "--dataset", "tiny")),
        ("runs/recipe/seed-1", ("train", "RECIPE")),
    ],
)
def test_a_second_process_is_told_who_writes(tiny, start_holder, output, words):
    places = {"SOUNDS": tiny.workspace / "sounds", "RECIPE": tiny.workspace / "recipe.yaml"}
    words = [places.get(word, word) for word in words]
    target = tiny.workspace / output
    before = target.read_bytes() if target.is_file() else target.exists()
    holder = start_holder(target)
    message = tiny.error(*words, code=3)
    assert str(target) in message
    assert int(re.search(WHO, message)[1]) == holder.pid
    assert (target.read_bytes() if target.is_file() else target.exists()) == before

    holder.send_signal(signal.SIGKILL)
    holder.wait()
    tiny(*words)  # the lock went with the process


@pytest.fixture
def start_holder():
    """A process that has the lock of an output, and nothing else."""
    holders = []

    def start(target):
        command = [sys.executable, "-c", HOLDER, str(target)]
        holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        holders.append(holder)
        assert holder.stdout.readline() == "holding\n"
        return holder

    yield start
    for holder in holders:
        holder.kill()
        holder.communicate()


@pytest.mark.faults
def test_twenty_rounds_of_two_processes_on_one_extraction(prepared, finished, start_child, store_bytes, tmp_path):
    """Started together: one makes the file, the other is refused or finds it made; never a mixture."""
    outcomes, started = [], time.monotonic()
    for number in range(20):
        workspace = tmp_path / f"round-{number}"
        shutil.copytree(prepared, workspace)
        shutil.rmtree(workspace / "embeddings")
        children = [start_child("extract", "--encoder", "logmel", workspace=workspace) for _ in range(2)]
        said = [child.communicate(timeout=120) for child in children]
        codes = sorted(child.returncode for child in children)
        assert codes in ([0, 0], [0, 3]), (codes, said)
        assert store_bytes(workspace) == store_bytes(finished), number
        if codes == [0, 3]:
            (refused,) = (index for index, child in enumerate(children) if child.returncode == 3)
            assert "is being written by" in said[refused][1]
        outcomes.append(codes[1])
        shutil.rmtree(workspace)
    seconds = time.monotonic() - started
    print(
        f"\ntwo processes on one extraction, 20 rounds in {seconds:.0f} s: 20 of 20 stores are the uninterrupted one's;"
    )
    print(f"the second was refused {outcomes.count(3)} times and found the file made {outcomes.count(0)} times")


def test_the_lock_is_free_after_an_error(tmp_path):
    with pytest.raises(ZeroDivisionError), single_writer(tmp_path / "output"):
        raise ZeroDivisionError
    with single_writer(tmp_path / "output"):
        pass
