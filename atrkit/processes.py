"""Work spread over processes: results in order, and nothing left running behind.

Decoding and rendering hold Python's lock for too long for threads to help. Processes are spawned, not forked, because
whoever calls may hold threads (torch does), and a forked child inherits their locks.
"""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing.connection import Connection
from typing import TypeVar

from atrkit.errors import ResourceError, UsageError

Task = TypeVar("Task")
Result = TypeVar("Result")

# enough that a slow task does not leave the others without work, few enough that 50,000 do not pile up in memory
TASKS_AHEAD_PER_WORKER = 8
# for a task to come to its end when the work is stopped; a recording of hours does not, and Ctrl-C is to take seconds
GRACE_S = 2.0
# after which a wait is begun again: see `result_of`
LONGEST_WAIT_S = 1.0


def available_cores() -> int:
    """How many cores this process may use: a job on a cluster is often given some of the machine's."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def map_in_processes(
    function: Callable[[Task], Result], tasks: Iterable[Task], workers: int, *, what: str
) -> Iterator[Result]:
    """Apply a function to tasks on several processes, as `map` does on one.

    Ctrl-C reaches only this process, which decides what happens; when the caller stops taking results, tasks that
    have not begun are dropped, and those under way are given two seconds before their process is ended. The processes
    end when this one does, however it ends.

    Args:
        function: of one task; a function of a module, or a `functools.partial` of one, so that it can be pickled.
        tasks: taken as they are needed, a few ahead of the results.
        workers: how many processes; with 1 everything happens in this one.
        what: the work in the past tense, for the message: "rendered into data/synthetic".

    Returns:
        The results in the tasks' order, each as soon as it and those before it are there.

    Raises:
        UsageError: there is no worker (exit code 2).
        ResourceError: a process was killed (exit code 4).
        AtrkitError: what the function raised for the first task, in their order, that failed.

    >>> list(map_in_processes(abs, [-2, 1, -3], workers=1, what="took absolute values"))
    [2, 1, 3]
    """
    if workers < 1:
        raise UsageError(f"work needs at least one worker, not {workers}: try --workers 1")
    if workers == 1:
        yield from map(function, tasks)
        return
    context = multiprocessing.get_context("spawn")
    # nothing is ever sent: its end tells the workers that the work is over, or that this process is
    their_end, our_end = context.Pipe(duplex=False)
    executor = ProcessPoolExecutor(workers, context, initializer=follow_parent, initargs=(their_end,))
    try:
        yield from _in_order(executor, partial(unless_over, function), tasks, workers * TASKS_AHEAD_PER_WORKER)
    except BrokenProcessPool as error:
        raise ResourceError(
            f"a process that {what} was killed, perhaps for want of memory: run the same command again with --workers 1"
        ) from error
    finally:
        our_end.close()
        executor.shutdown(wait=True, cancel_futures=True)
        their_end.close()


def _in_order(
    executor: ProcessPoolExecutor, function: Callable[[Task], Result], tasks: Iterable[Task], ahead: int
) -> Iterator[Result]:
    waiting: deque[Future[Result]] = deque()
    for task in tasks:
        with interrupt_blocked():  # submitting may start a process, which inherits this
            waiting.append(executor.submit(function, task))
        if len(waiting) == ahead:
            yield result_of(waiting.popleft())
    while waiting:
        yield result_of(waiting.popleft())


def result_of(future: Future[Result]) -> Result:
    """Wait for the result of a thread or process, and heed Ctrl-C while waiting.

    Python takes note of a signal and looks at its notes when it next runs; one that comes just before the main thread
    begins to wait would lie there until the wait is over. So the wait is over once a second.

    Args:
        future: of an executor.

    Raises:
        Exception: what the work raised.
    """
    while not wait([future], timeout=LONGEST_WAIT_S).done:
        continue
    return future.result()


@contextmanager
def interrupt_blocked() -> Iterator[None]:
    """Hold Ctrl-C back from processes started inside: it reaches the whole group, and only the parent decides."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_is_over = threading.Event()  # in a worker


def follow_parent(parents_pipe: Connection) -> None:
    """End this worker with the work, or with its parent: for `initializer` of an executor, before anything else.

    Args:
        parents_pipe: to which the parent never writes; its end tells the worker that the work is over.
    """
    threading.Thread(target=_end_with_work, args=(parents_pipe,), daemon=True).start()


def _end_with_work(parents_pipe: Connection) -> None:
    with suppress(EOFError, OSError):
        parents_pipe.recv_bytes()
    _is_over.set()
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join(GRACE_S)
    os._exit(1)


def unless_over(function: Callable[[Task], Result], task: Task) -> Result:
    """Begin none of the tasks that were on their way when the work was stopped."""
    if _is_over.is_set():
        raise CancelledError
    return function(task)
