"""Work on several processes looks like `map`, ends cleanly, and says what happened to a process that was killed."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

import atrkit
from atrkit.errors import AtrkitError, ResourceError, UsageError
from atrkit.files import require_writable
from atrkit.processes import GRACE_S, TASKS_AHEAD_PER_WORKER, map_in_processes

evaluated = partial(map_in_processes, eval, what="evaluated expressions")  # a function every process can import
OWN_PID = "__import__('os').getpid()"
IS_CTRL_C_BLOCKED = "(s := __import__('signal')).SIGINT in s.pthread_sigmask(s.SIG_BLOCK, [])"


def no_child_is_left() -> bool:
    return multiprocessing.active_children() == []


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_results_come_in_the_order_of_the_tasks(workers):
    tasks = ["sum(range(3_000_000))", *(str(number) for number in range(40))]  # the first takes longest
    assert list(evaluated(tasks, workers)) == [4499998500000, *range(40)]
    assert no_child_is_left()


def test_one_worker_is_this_process_and_two_are_others():
    assert set(evaluated([OWN_PID] * 3, workers=1)) == {os.getpid()}
    slow = f"[sum(range(1_000_000)), {OWN_PID}][1]"
    pids = set(evaluated([slow] * 20, workers=2))
    assert len(pids) == 2 and os.getpid() not in pids


def test_no_tasks_start_no_process():
    assert list(evaluated([], workers=2)) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_tasks_are_taken_only_a_few_ahead_of_the_results(workers):
    taken = []
    tasks = (taken.append(number) or str(number) for number in range(50_000))
    results = evaluated(tasks, workers)
    assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
    assert len(taken) <= 5 + workers * TASKS_AHEAD_PER_WORKER
    results.close()
    assert no_child_is_left()


@pytest.mark.parametrize("end", ["__import__('os')._exit(9)", "__import__('os').kill(__import__('os').getpid(), 9)"])
def test_a_killed_process_is_an_error_with_a_way_out(end):
    with pytest.raises(ResourceError, match=r"a process that evaluated expressions was killed.*--workers 1"):
        list(evaluated(["1", end, *["2"] * 50], workers=2))
    assert no_child_is_left()


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_of_the_work_arrives_as_it_was_raised(tmp_path, workers):
    in_the_way = tmp_path / "file"
    in_the_way.touch()
    with pytest.raises(ResourceError, match="a file is in the way of a folder") as caught:
        list(map_in_processes(require_writable, [tmp_path, in_the_way / "folder"], workers, what="probed"))
    assert isinstance(caught.value, AtrkitError) and caught.value.exit_code == 4
    assert no_child_is_left()


def test_ctrl_c_reaches_this_process_only():
    assert list(evaluated([IS_CTRL_C_BLOCKED] * 20, workers=2)) == [True] * 20
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


@pytest.mark.parametrize("workers", [0, -1])
def test_no_worker_is_refused(workers):
    with pytest.raises(UsageError, match="--workers 1"):
        next(evaluated(["1"], workers))


def test_a_task_that_does_not_end_holds_nobody_up(tmp_path):
    touched = [tmp_path / str(number) for number in range(6)]
    tasks = [
        "1",
        *(
            f"__import__('pathlib').Path({str(path)!r}).touch() or [0 for _ in iter(int, 1) if False]"
            for path in touched
        ),
    ]
    results = evaluated(tasks, workers=2)
    assert next(results) == 1
    while len(list(tmp_path.iterdir())) < 2:
        time.sleep(0.01)
    start = time.monotonic()
    results.close()
    assert time.monotonic() - start < GRACE_S + 2
    assert no_child_is_left()
    assert len(list(tmp_path.iterdir())) == 2, "what was on its way is not begun"


PARENT = """
from atrkit.processes import map_in_processes

ENDLESS = "[print('started', flush=True), [0 for _ in iter(int, 1) if False]]"

if __name__ == "__main__":
    list(map_in_processes(eval, [ENDLESS] * 2, 2, what="never end"))
"""


def test_processes_end_with_the_one_that_started_them(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    environment = os.environ | {"PYTHONPATH": str(Path(atrkit.__file__).parents[1])}
    command, pipe = [sys.executable, script], subprocess.PIPE
    parent = subprocess.Popen(command, stdout=pipe, stderr=pipe, env=environment, start_new_session=True)
    try:
        assert [parent.stdout.readline() for _ in range(2)] == [b"started\n"] * 2
        parent.kill()
        parent.communicate(timeout=30)  # the pipe ends when the last process that holds it does
    finally:
        with suppress(ProcessLookupError):
            os.killpg(parent.pid, signal.SIGKILL)
