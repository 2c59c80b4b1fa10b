"""FAULTS.md row 4 for `atrkit index`: kill -9 at random instants; the same command comes to the same bytes."""

import os
import shutil
import signal
import subprocess
import time

import numpy as np
import pytest
import soundfile

pytestmark = pytest.mark.faults

KILLS, FILES = 10, 240
SMALL_PARTS = """
from atrkit.workflows import index_encode
index_encode._PART_FILES = 12
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


def wait_for(path, child):
    while child.poll() is None and not path.exists():
        time.sleep(0.002)


def finish(child):
    _, stderr = child.communicate(timeout=300)
    assert child.returncode == 0, stderr


def test_10_kills_while_an_index_is_made(make_workspace, many_sounds, start_child, digests):
    reference, killed = make_workspace("reference"), make_workspace("killed")

    def start(command):
        child = start_child("index", many_sounds, workspace=command.workspace, code=SMALL_PARTS, start_new_session=True)
        wait_for(command.workspace / "index" / "many" / "journal", child)
        return child

    child = start(reference)
    began = time.monotonic()
    finish(child)
    work_s = time.monotonic() - began
    expected = digests(reference)
    instants, at_kill, finished = np.random.default_rng(8), [], 0
    while len(at_kill) < KILLS:
        child = start(killed)
        try:
            child.wait(instants.uniform(0, work_s / 2))
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.communicate()
            folder = killed.workspace / "index" / "many"
            parts = len(list((folder / "segments").glob("001.parts/part-*.h5")))
            at_kill.append("segment" if (folder / "segments" / "001.h5").exists() else parts)
            continue
        finish(child)
        finished += 1
        assert digests(killed) == expected
        shutil.rmtree(killed.workspace / "index")
    finish(start(killed))
    assert digests(killed) == expected
    print(f"\n10 kills during {work_s:.1f} s of indexing, with so many of 20 parts: {', '.join(map(str, at_kill))}")
    print(f"all {len(expected)} files of {1 + finished} of {1 + finished} indices equal the uninterrupted one's")


def test_10_kills_while_an_index_is_updated(make_workspace, many_sounds, start_child, digests):
    before = make_workspace("before")
    finish(start_child("index", many_sounds, workspace=before.workspace))
    for number in range(0, FILES, 2):
        noise = np.random.default_rng(number).normal(scale=0.1, size=30000)
        soundfile.write(many_sounds / f"{number:03}.wav", noise, 16000)
        os.utime(many_sounds / f"{number:03}.wav", (5000 + number, 5000 + number))
    reference = make_workspace("reference", of=before)
    began = time.monotonic()
    finish(start_child("index", workspace=reference.workspace, code=SMALL_PARTS))
    work_s = time.monotonic() - began
    expected = digests(reference)
    assert {name for name in expected if name.endswith(".h5")} == {f"many/segments/00{n}.h5" for n in (2, 3)}
    instants, kills = np.random.default_rng(9), 0
    killed = make_workspace("killed", of=before)
    while kills < KILLS:
        child = start_child("index", workspace=killed.workspace, code=SMALL_PARTS, start_new_session=True)
        try:
            child.wait(instants.uniform(work_s / 3, work_s))
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.communicate()
            kills += 1
            continue
        finish(child)
        assert digests(killed) == expected
        shutil.rmtree(killed.workspace)
        killed = make_workspace("killed", of=before)
    finish(start_child("index", workspace=killed.workspace, code=SMALL_PARTS))
    assert digests(killed) == expected
    print(f"\n10 kills during updates of {work_s:.1f} s, start of Python included")
