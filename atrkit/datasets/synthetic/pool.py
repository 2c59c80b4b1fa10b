"""Rendering on several processes: the same files for any number of them."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

from atrkit.datasets.synthetic.layouts import ClipPlan
from atrkit.datasets.synthetic.render import Placement, noise_bank, render, wav_bytes
from atrkit.datasets.synthetic.signals import Signal
from atrkit.files import write_atomic
from atrkit.processes import map_in_processes

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
    return map_in_processes(partial(_write_task, folder, seed), tasks, workers, what=f"rendered into {folder}")


def _write_task(folder: Path, seed: int, plans: Sequence[ClipPlan]) -> list[WrittenClip]:
    return [_write(folder, plan, seed, _bank(seed)) for plan in plans]


@lru_cache(maxsize=1)
def _bank(seed: int) -> Sequence[Signal]:
    return noise_bank(seed)


def _write(folder: Path, plan: ClipPlan, seed: int, bank: Sequence[Signal]) -> WrittenClip:
    rendered = render(plan, seed, bank)
    data = wav_bytes(rendered.signal)
    write_atomic(folder / AUDIO_FOLDER / plan.audio_name, data)
    return WrittenClip(plan, hashlib.sha256(data).hexdigest(), len(rendered.signal), rendered.placements)
