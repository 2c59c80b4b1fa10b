"""FAULTS.md row 18: Ctrl-C and SIGTERM in any step of a download end it, and all that it started, within seconds."""

import os
import signal
import time
from pathlib import Path

import pytest

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
SAYS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
LIMIT_S = 5
HALF_FILES = ("*.flac.part", ".*.extracting", ".*.part")
CLOTHO = ("download", "clotho", "--subset", "val", "--workers", "2")
AUDIOCAPS = ("download", "audiocaps", "--subset", "val", "--workers", "2")


@pytest.fixture
def require_quick_end(processes_of):
    """Send a signal; the child must end in time, quietly, with its code, and leave no process behind."""

    def stop(child, number, *, whole_group):
        start = time.monotonic()
        os.killpg(child.pid, number) if whole_group else child.send_signal(number)
        stdout, stderr = child.communicate(timeout=60)
        seconds = time.monotonic() - start
        assert child.returncode == CODES[number], stderr
        assert stderr.splitlines()[-1] == f"atrkit: {SAYS[number]}; nothing is half written, run the same command again"
        assert "Traceback" not in stderr and "leaked" not in stderr and "Error" not in stderr and not stdout
        assert seconds < LIMIT_S
        while processes_of(child):  # Python's own resource tracker goes a moment later
            assert time.monotonic() - start < LIMIT_S, processes_of(child)
        return seconds

    return stop


def require_nothing_half_written(workspace):
    assert not [path for pattern in HALF_FILES for path in workspace.rglob(pattern)]


@pytest.fixture
def uninterrupted(atrkit_in, files_below, tmp_path):
    """The files that a download must come to."""

    def files_after(*words):
        atrkit_in(tmp_path / "uninterrupted")(*words)
        return files_below(tmp_path / "uninterrupted")

    return files_after


STEPS = {
    "waiting for an answer": None,
    "receiving": None,
    "unpacking": "atrkit.datasets.archives.extract:_fsync_all",
    "resampling": "atrkit.datasets.prepared:write_resampled",
    "describing": "atrkit.datasets.manifest:_seal",
}


QUICK = {("resampling", signal.SIGTERM)}


@pytest.mark.parametrize(
    ("step", "number"),
    [
        pytest.param(step, number, marks=[] if (step, number) in QUICK else pytest.mark.faults, id=f"{step}-{number}")
        for step in STEPS
        for number in CODES
    ],
)
def test_a_signal_ends_a_download_of_clotho_in_any_step(
    zenodo, start_atrkit, require_quick_end, uninterrupted, wait_until, files_below, atrkit_in, tmp_path, step, number
):
    expected, server = uninterrupted(*CLOTHO), zenodo.server
    server.requests.clear()
    if STEPS[step] is None:
        fault = server.mute() if step == "waiting for an answer" else server.stall(20_000)
        zenodo.publish("val", "audio_archive", faults=[fault])
    workspace = tmp_path / "stopped"
    child = start_atrkit(*CLOTHO, workspace=workspace, blocked=STEPS[step])
    reached = tmp_path / "reached"
    sign = reached.exists if STEPS[step] else lambda: any(r.sent_bytes >= 20_000 for r in server.requests)
    if step == "waiting for an answer":
        sign = zenodo.archive_requests
    assert wait_until(sign, child), child.communicate()
    seconds = require_quick_end(child, number, whole_group=number == signal.SIGINT)  # as a terminal, as `kill`
    print(f"\n{SAYS[number]} while {step}: {seconds:.2f} s")
    require_nothing_half_written(workspace)
    atrkit_in(workspace)(*CLOTHO)
    assert files_below(workspace) == expected


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.faults)])
def test_a_signal_ends_a_download_of_audiocaps_and_the_programs_it_started(
    six_clips,
    tools,
    start_atrkit,
    require_quick_end,
    uninterrupted,
    wait_until,
    files_below,
    atrkit_in,
    number,
    tmp_path,
):
    expected, workspace = uninterrupted(*AUDIOCAPS), tmp_path / "stopped"
    (tools / "hang").touch()
    child = start_atrkit(*AUDIOCAPS, workspace=workspace)
    hanging = tools / "hanging"
    assert wait_until(lambda: hanging.exists() and hanging.read_text().endswith("\n"), child), child.communicate()
    seconds = require_quick_end(child, number, whole_group=number == signal.SIGINT)
    print(f"\n{SAYS[number]} while yt-dlp hangs: {seconds:.2f} s")
    deadline = time.monotonic() + LIMIT_S
    while any(is_running(int(pid)) for pid in hanging.read_text().split()):
        assert time.monotonic() < deadline
    require_nothing_half_written(workspace)
    (tools / "hang").unlink()
    assert start_atrkit(*AUDIOCAPS, workspace=workspace).wait() == 0
    assert files_below(workspace) == expected


@pytest.mark.faults
def test_twenty_times_ctrl_c_just_as_the_waiting_begins(
    six_clips, tools, start_atrkit, require_quick_end, wait_until, tmp_path
):
    """Python may take note of a signal, begin to wait, and not look at its notes before the wait is over."""
    (tools / "hang").touch()
    hanging, seconds = tools / "hanging", []
    for number in range(20):
        hanging.unlink(missing_ok=True)
        child = start_atrkit(*AUDIOCAPS, workspace=tmp_path / str(number))
        assert wait_until(hanging.exists, child), child.communicate()
        seconds.append(require_quick_end(child, signal.SIGINT, whole_group=True))
    print(f"\n20 times Ctrl-C just as the waiting begins: at most {max(seconds):.2f} s")


@pytest.fixture
def six_clips(serve_audiocaps):
    return serve_audiocaps(6)


def is_running(pid):
    """Whether a process is there and has not ended; one that ended stays listed until somebody asks how."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.faults
def test_a_second_ctrl_c_ends_a_download_at_once(
    zenodo, start_atrkit, uninterrupted, wait_until, files_below, atrkit_in, processes_of, tmp_path
):
    expected, workspace = uninterrupted(*CLOTHO), tmp_path / "stopped"
    child = start_atrkit(*CLOTHO, workspace=workspace, blocked=STEPS["resampling"])
    assert wait_until((tmp_path / "reached").exists, child)
    os.killpg(child.pid, signal.SIGINT)
    time.sleep(0.3)  # it waits two seconds for its workers
    start = time.monotonic()
    os.killpg(child.pid, signal.SIGINT)
    _, stderr = child.communicate(timeout=60)
    seconds = time.monotonic() - start
    print(f"\nsecond Ctrl-C while resampling: {seconds:.2f} s")
    assert child.returncode == -signal.SIGINT and seconds < 1, "the shell calls it 130"
    assert "Traceback" not in stderr
    while processes_of(child):
        assert time.monotonic() - start < LIMIT_S, processes_of(child)
    atrkit_in(workspace)(*CLOTHO)
    assert files_below(workspace) == expected


@pytest.mark.faults
def test_a_group_that_is_terminated_as_a_whole_ends_as_quietly(
    zenodo, start_atrkit, require_quick_end, uninterrupted, wait_until, files_below, atrkit_in, tmp_path
):
    """As when a machine is shut down: the workers are told as well, and are gone at once."""
    expected, workspace = uninterrupted(*CLOTHO), tmp_path / "stopped"
    child = start_atrkit(*CLOTHO, workspace=workspace, blocked=STEPS["resampling"])
    assert wait_until((tmp_path / "reached").exists, child)
    require_quick_end(child, signal.SIGTERM, whole_group=True)
    atrkit_in(workspace)(*CLOTHO)
    assert files_below(workspace) == expected
