"""Rendering on several processes: the same files for any number of them."""

import hashlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from atrkit.datasets.synthetic.layouts import ClipPlan
from atrkit.datasets.synthetic.render import Placement, noise_bank, render, wav_bytes
from atrkit.datasets.synthetic.signals import Signal
from atrkit.errors import ResourceError
from atrkit.files import write_atomic

CLIPS_PER_TASK = 16
AUDIO_FOLDER = "audio"


@dataclass(frozen=True)
class WrittenClip:
    """What the manifest needs to know of a file that was written."""

    plan: ClipPlan
    sha256: str
    frames: int
    placements: tuple[Placement, ...]


def write_all(folder: Path, plans: Sequence[ClipPlan], seed: int, workers: int) -> Iterator[list[WrittenClip]]:
    """Render clips into `folder/audio/<id>`, a few at a time, in the plan's order.

    Processes are spawned, not forked: whoever calls may hold threads (torch does). They end when this process does,
    however it ends.

    Args:
        folder: the dataset's folder.
        plans: what to render.
        seed: of the dataset.
        workers: how many processes; with 1 everything happens in this one.

    Returns:
        The clips of each finished task.

    Raises:
        ResourceError: the folder cannot be written, or a process was killed.
    """
    tasks = [plans[start : start + CLIPS_PER_TASK] for start in range(0, len(plans), CLIPS_PER_TASK)]
    if workers == 1:
        bank = noise_bank(seed)
        for task in tasks:
            yield [_write(folder, plan, seed, bank) for plan in task]
        return
    context = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(min(workers, len(tasks)), context, _start_worker, (folder, seed))
    try:
        with _interrupt_blocked():  # inherited by the processes, which start here
            finished = executor.map(_write_task, tasks)
        yield from finished
    except BrokenProcessPool as error:
        raise ResourceError(
            f"a process that rendered into {folder} was killed, perhaps for want of memory: "
            "run the same command again with --workers 1"
        ) from error
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _interrupt_blocked() -> Iterator[None]:
    """Hold Ctrl-C back: it reaches the whole process group, and only the parent decides what happens."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _write(folder: Path, plan: ClipPlan, seed: int, bank: Sequence[Signal]) -> WrittenClip:
    rendered = render(plan, seed, bank)
    data = wav_bytes(rendered.signal)
    write_atomic(folder / AUDIO_FOLDER / plan.audio_name, data)
    return WrittenClip(plan, hashlib.sha256(data).hexdigest(), len(rendered.signal), rendered.placements)


@dataclass(frozen=True)
class _Worker:
    folder: Path
    seed: int
    bank: Sequence[Signal]


_worker: _Worker | None = None


def _start_worker(folder: Path, seed: int) -> None:
    global _worker
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _worker = _Worker(folder, seed, noise_bank(seed))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _write_task(plans: Sequence[ClipPlan]) -> list[WrittenClip]:
    assert _worker is not None, "the pool's initializer sets it"
    return [_write(_worker.folder, plan, _worker.seed, _worker.bank) for plan in plans]
