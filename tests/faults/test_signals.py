"""FAULTS.md row 18: Ctrl-C and SIGTERM end within seconds, and the same command comes to the same bytes."""

import contextlib
import functools
import os
import resource
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from atrkit.training.retriever import RetrieverTask
from atrkit.workflows import extract_options, extract_parts

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
PATIENCE_S = 60  # for a child to start on a busy machine
LIMIT_S = 5  # for it to end, on a machine of one's own
POLL_S = 0.005

BLOCKED_CLIP = """
import sys, threading
from pathlib import Path
from atrkit.workflows import decode_ahead
def block(path, sample_rate_hz):
    Path("reached").touch()
    threading.Event().wait()  # a recording that takes hours
decode_ahead.load_mono = block
from atrkit.cli.app import main
main()
"""
BLOCKED_UNWINDING = """
import sys, threading
from pathlib import Path
from atrkit.store.parts import PartFolder
from atrkit.workflows import extract_parts
def reach(*arguments, **options):
    Path("reached").touch()
    threading.Event().wait()
def unwind(self, plan):
    if Path("reached").exists():
        Path("unwinding").touch()
        threading.Event().wait()
    return frozenset()
extract_parts.gather_embeddings = reach
PartFolder.finished = unwind
from atrkit.cli.app import main
main()
"""


def wait_for(path, child):
    """Wait until the child says by a file that it is there."""
    wait_for_any(path.parent, path.name, child)


def wait_for_any(folder, pattern, child):
    deadline = time.monotonic() + PATIENCE_S
    while not any(folder.rglob(pattern)):
        assert child.poll() is None, child.communicate()
        assert time.monotonic() < deadline, f"{pattern} did not appear in {PATIENCE_S} s"
        try:
            child.wait(0.01)
        except subprocess.TimeoutExpired:
            continue


def default_sigint():
    """A shell that starts `make test` in the background lets its children ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def waits_for_a_core(pid):
    """Nanoseconds that each thread of a process could have run and was not let, because others had the cores."""
    waits = {}
    for path in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with contextlib.suppress(OSError):  # the thread has ended
            waits[path.parent.name] = int(path.read_text().split()[1])
    return waits


def cpu_seconds_of_ended_children():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def cpu_seconds_of(pid):
    """User and system time of a process that runs, and of its children that have ended; needs Linux."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def stop(child, number):
    """Send a signal and give exit code, last line and the seconds to the end, as they are on a machine of one's own.

    The time in which the child was ready to run and others had the cores is left out, and its computing counts
    whenever it is done: so the load of the machine does not decide, and both work and waiting that take too long do.
    """
    ended_before, cpu_before = cpu_seconds_of_ended_children(), cpu_seconds_of(child.pid)
    first, last = waits_for_a_core(child.pid), {}
    start = time.monotonic()
    child.send_signal(number)
    while child.poll() is None:
        assert time.monotonic() - start < PATIENCE_S
        last |= waits_for_a_core(child.pid)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(POLL_S)
    wall_s = time.monotonic() - start
    _, stderr = child.communicate(timeout=PATIENCE_S)
    waited_s = sum(wait - first.get(thread, 0) for thread, wait in last.items()) / 1e9
    computed_s = cpu_seconds_of_ended_children() - ended_before - cpu_before
    return child.returncode, stderr.splitlines()[-1:], max(wall_s - waited_s, computed_s)


def test_ctrl_c_ends_a_training_within_seconds_and_leaves_a_checkpoint(tiny, start_child):
    words = ("train", tiny.workspace / "recipe.yaml", "--set", "training.epochs=100000")
    child = start_child(*words, workspace=tiny.workspace, preexec_fn=default_sigint)
    folder = tiny.workspace / "runs" / "recipe" / "seed-1"
    wait_for(folder / "metrics.jsonl", child)
    code, line, seconds = stop(child, signal.SIGINT)
    print(f"\nCtrl-C in train: {seconds:.2f} s")
    assert (code, line) == (
        130,
        ["atrkit: interrupted; nothing is half written, run the same command again"],
    )
    assert seconds < LIMIT_S
    assert (folder / "training_state.ckpt").is_file() and not (folder / "finished.json").exists()


def test_sigterm_ends_an_extraction_within_seconds_also_in_an_endless_clip(
    tiny, finished, start_child, store_bytes, tmp_path
):
    shutil.rmtree(tiny.workspace / "embeddings")
    child = start_child("extract", "--encoder", "logmel", workspace=tiny.workspace, code=BLOCKED_CLIP)
    wait_for(tmp_path / "reached", child)
    code, line, seconds = stop(child, signal.SIGTERM)
    print(f"\nSIGTERM in extract: {seconds:.2f} s")
    assert (code, line) == (
        143,
        ["atrkit: terminated; nothing is half written, run the same command again"],
    )
    assert seconds < LIMIT_S
    tiny("extract", "--encoder", "logmel")
    assert store_bytes(tiny.workspace) == store_bytes(finished)


def test_a_second_ctrl_c_ends_at_once(tiny, finished, start_child, store_bytes, tmp_path):
    shutil.rmtree(tiny.workspace / "embeddings")
    words = ("extract", "--encoder", "logmel")
    child = start_child(*words, workspace=tiny.workspace, code=BLOCKED_UNWINDING, preexec_fn=default_sigint)
    wait_for(tmp_path / "reached", child)
    child.send_signal(signal.SIGINT)
    wait_for(tmp_path / "unwinding", child)
    code, _, seconds = stop(child, signal.SIGINT)
    print(f"\nsecond Ctrl-C: {seconds:.2f} s")
    assert code == -signal.SIGINT and seconds < LIMIT_S, "the shell calls it 130"
    tiny(*words)
    assert store_bytes(tiny.workspace) == store_bytes(finished)


def raise_at(monkeypatch, owner, name, number, call):
    """Send this process a signal when a function is called for the `call`th time."""
    function, calls = getattr(owner, name), []

    @functools.wraps(function)
    def wrapped(*arguments, **options):
        calls.append(1)
        if len(calls) == call:
            signal.raise_signal(number)
        return function(*arguments, **options)

    monkeypatch.setattr(owner, name, wrapped)


@pytest.mark.parametrize("number", CODES)
@pytest.mark.parametrize(("moment", "call"), [("loss", 1), ("loss", 5), ("validate", 1), ("loss", 9), ("validate", 3)])
def test_a_training_stopped_at_any_step_resumes_to_the_same_bytes(
    tiny, finished, monkeypatch, run_bytes, number, moment, call
):
    """Three epochs of three steps: the first and the fifth step, the last one, and within validation."""
    with monkeypatch.context() as patch:
        raise_at(patch, RetrieverTask, moment, number, call)
        tiny.train(code=CODES[number])
    folder = tiny.workspace / "runs" / "recipe" / "seed-1"
    assert (folder / "training_state.ckpt").is_file() and not (folder / "finished.json").exists()
    tiny.train()
    assert run_bytes(tiny.workspace) == run_bytes(finished)


def test_ctrl_c_in_the_last_validation_begins_no_other_seed(tiny, monkeypatch):
    with monkeypatch.context() as patch:
        raise_at(patch, RetrieverTask, "validate", signal.SIGINT, 3)
        tiny.train("--set", "seeds=[1, 2]", code=130)
    assert not (tiny.workspace / "runs" / "recipe" / "seed-2").exists()


@pytest.mark.parametrize("number", CODES)
@pytest.mark.parametrize("part", [1, 3, 5])
def test_an_extraction_stopped_in_any_part_resumes_to_the_same_bytes(
    tiny, finished, monkeypatch, store_bytes, number, part
):
    shutil.rmtree(tiny.workspace / "embeddings")
    small = functools.partial(extract_options.ExtractOptions, part_clips=4)
    monkeypatch.setattr(extract_options, "ExtractOptions", small)
    with monkeypatch.context() as patch:
        raise_at(patch, extract_parts, "gather_embeddings", number, part)
        stopped = tiny("extract", "--encoder", "logmel", code=CODES[number])
    assert f"stopped with {part - 1} of 5 parts finished; the same command makes the others" in stopped.stderr
    resumed = tiny("extract", "--encoder", "logmel")
    if part > 1:
        assert f"{part - 1} of 5 parts are there from an earlier call" in resumed.stderr
    assert store_bytes(tiny.workspace) == store_bytes(finished)


def test_signals_are_as_before_after_a_command(tiny):
    before = [signal.getsignal(number) for number in CODES]
    tiny.train()
    assert [signal.getsignal(number) for number in CODES] == before


def test_ctrl_c_at_a_terminal_ends_a_download_and_its_workers_quietly(start_child, tmp_path):
    """A terminal sends Ctrl-C to the whole group, so to the processes that render as well."""
    words = ("download", "synthetic", "--clips", "600", "--workers", "2")
    child = start_child(*words, workspace=tmp_path, preexec_fn=default_sigint, start_new_session=True)
    wait_for_any(tmp_path, "*.wav", child)
    os.killpg(child.pid, signal.SIGINT)
    _, stderr = child.communicate(timeout=PATIENCE_S)
    assert child.returncode == 130
    assert "Traceback" not in stderr and "leaked" not in stderr and stderr.splitlines()[-1].startswith("atrkit: ")
    assert not list(tmp_path.rglob("dataset.json"))
