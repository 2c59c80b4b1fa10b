"""FAULTS.md row 4 for `atrkit index`: kill -9 at random instants; the same command comes to the same bytes."""

import contextlib
import os
import shutil
import signal
import subprocess
import time

import numpy as np
import pytest
import soundfile

from atrkit.search.index_files import load_index

pytestmark = pytest.mark.faults

KILLS, FILES = 10, 120
SMALL_PARTS = """
from atrkit.workflows import index_encode
index_encode._PART_FILES = 6
from atrkit.cli.app import main
main()
"""


@pytest.fixture
def many_sounds(tmp_path):
    folder = tmp_path / "many"
    folder.mkdir()
    noise = np.random.default_rng(0).normal(scale=0.1, size=6 * 16000)
    for number in range(FILES):
        soundfile.write(folder / f"{number:03}.wav", np.roll(noise, 1000 * number)[: 16000 + 300 * number], 16000)
        os.utime(folder / f"{number:03}.wav", (1000 + number, 1000 + number))
    return folder


def files_of(folder):
    """What is finished of an index."""
    files = (path for path in folder.rglob("*") if path.suffix not in (".lock", ".part"))
    return {(str(path.relative_to(folder)), path.stat().st_ino) for path in files if path.is_file()}


def kill_after_progress(child, folder, delay_s):
    """Kill a process so many seconds after it finished a file; None where it ended before, else what is there."""
    before = files_of(folder)
    while child.poll() is None:
        with contextlib.suppress(FileNotFoundError):  # removed between listing and looking
            if files_of(folder) - before:
                break
        time.sleep(0.002)
    try:
        child.wait(delay_s)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.communicate()
        return {name for name, _ in files_of(folder)}
    return None


def in_words(names):
    """How far it was."""
    parts = sum("parts/part-" in name for name in names)
    segments = sorted(name.removeprefix("segments/") for name in names if name.endswith(".h5") and "parts" not in name)
    return f"{parts} parts" + (f" and {' '.join(segments)}" if segments else "")


def finish(child):
    _, stderr = child.communicate(timeout=300)
    assert child.returncode == 0, stderr


def test_10_kills_while_an_index_is_made(make_workspace, many_sounds, start_child, digests):
    reference, killed = make_workspace("reference"), make_workspace("killed")

    def start(command):
        words = ("index", many_sounds)
        return start_child(*words, workspace=command.workspace, code=SMALL_PARTS, start_new_session=True)

    finish(start(reference))
    expected = digests(reference)
    instants, at_kill, finished = np.random.default_rng(8), [], 0
    while len(at_kill) < KILLS:
        child = start(killed)
        there = kill_after_progress(child, killed.workspace / "index" / "many", instants.uniform(0, 1.5))
        if there is not None:
            at_kill.append(in_words(there))
            continue
        finish(child)
        finished += 1
        assert digests(killed) == expected
        shutil.rmtree(killed.workspace / "index")
    finish(start(killed))
    assert digests(killed) == expected
    print(f"\n10 kills while an index was made, with so much of 20 parts: {', '.join(at_kill)}")
    print(f"all {len(expected)} files of {1 + finished} of {1 + finished} indices equal the uninterrupted one's")


def test_10_kills_while_an_index_is_updated(make_workspace, many_sounds, start_child, digests):
    before = make_workspace("before")
    finish(start_child("index", many_sounds, workspace=before.workspace))
    for number in range(0, FILES, 2):
        noise = np.random.default_rng(number).normal(scale=0.1, size=30000)
        soundfile.write(many_sounds / f"{number:03}.wav", noise, 16000)
        os.utime(many_sounds / f"{number:03}.wav", (5000 + number, 5000 + number))

    def start(command):
        return start_child("index", workspace=command.workspace, code=SMALL_PARTS, start_new_session=True)

    reference = make_workspace("reference", of=before)
    finish(start(reference))
    expected = digests(reference)
    assert {name for name in expected if name.endswith(".h5")} == {f"many/segments/00{n}.h5" for n in (2, 3)}
    instants, at_kill, finished = np.random.default_rng(9), [], 0
    killed = make_workspace("killed", of=before)
    while len(at_kill) < KILLS:
        child = start(killed)
        folder = killed.workspace / "index" / "many"
        there = kill_after_progress(child, folder, instants.uniform(0, 0.7))
        if there is not None:
            assert len(load_index(folder).files) == FILES, "what was there can be searched"
            at_kill.append(in_words(there))
            continue
        finish(child)
        finished += 1
        assert digests(killed) == expected
        shutil.rmtree(killed.workspace)
        killed = make_workspace("killed", of=before)
    finish(start(killed))
    assert digests(killed) == expected
    print(f"\n10 kills while an index was updated, with so much of 10 parts: {', '.join(at_kill)}")
    print(f"all {len(expected)} files of {1 + finished} of {1 + finished} indices equal the uninterrupted one's")
