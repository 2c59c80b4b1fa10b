"""Coarser frames: means over consecutive ones."""

import math
from fractions import Fraction

import torch
from torch import Tensor

from atrkit.errors import UsageError


def frames_per_pool(pool_time_s: float | None, frame_period_s: float) -> int:
    """How many frames make one.

    Args:
        pool_time_s: length of the windows that are averaged; None: frames stay as they are.
        frame_period_s: of the network's own frames.

    Raises:
        UsageError: `pool_time_s` is no positive multiple of the frame period.

    Example:
        >>> frames_per_pool(0.64, 0.32)
        2
    """
    if pool_time_s is None:
        return 1
    # through the decimal digits: 0.32 / 0.01 is 32 only when both are taken as written
    frames = Fraction(str(pool_time_s)) / Fraction(str(frame_period_s)) if math.isfinite(pool_time_s) else Fraction(0)
    if frames < 1 or frames.denominator != 1:
        raise UsageError(f"pool_time_s: {pool_time_s} s is no positive multiple of {frame_period_s} s")
    return frames.numerator


def pool_time(frames_TF: Tensor, group: int) -> Tensor:
    """Mean over consecutive groups of frames; the last group averages what is left.

    >>> pool_time(torch.tensor([[1.0], [3.0], [4.0]]), 2).tolist()
    [[2.0], [4.0]]
    """
    if group == 1:
        return frames_TF
    num_whole = frames_TF.shape[0] // group
    whole, rest = frames_TF[: num_whole * group], frames_TF[num_whole * group :]
    pooled = whole.unflatten(0, (num_whole, group)).mean(1)
    return torch.cat([pooled, rest.mean(0, keepdim=True)]) if len(rest) else pooled
