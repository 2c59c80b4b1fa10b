"""The device a training runs on, and what makes it run the same way twice."""

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import torch

from atrkit.errors import UsageError
from atrkit.training.settings import Precision


def make_accelerator(precision: Precision = "float32") -> Any:
    """Let accelerate choose the device.

    Raises:
        UsageError: several processes were started, or this one already trained with another precision.
    """
    from accelerate import Accelerator

    processes = int(os.environ.get("WORLD_SIZE", "1"))  # before Accelerator waits for the other ones
    if processes > 1:
        raise UsageError(f"{processes} processes were started, and this version trains in one: start atrkit alone")
    try:
        return Accelerator(mixed_precision="bf16" if precision == "bfloat16" else "no")
    except ValueError as error:  # accelerate keeps the first choice in a global
        raise UsageError(
            f"cannot train in {precision}: accelerate takes one precision per process ({error})"
        ) from error


@contextlib.contextmanager
def deterministic(device: torch.device) -> Iterator[None]:
    """Ask torch for deterministic algorithms on the CPU, where they cost nothing; CUDA has none for some steps."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(before or device.type == "cpu")
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
