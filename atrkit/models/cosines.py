"""Cosines and their weighted sums keep their digits, whatever precision the vectors were computed in."""

import torch
from torch import Tensor


def cosines(x_AD: Tensor, y_CD: Tensor) -> Tensor:
    """Dot product of every vector with every other, in float32 also where autocast is on.

    In bfloat16 values near 1 would be steps of 0.004, which a temperature of 0.07 makes steps of 0.06.

    Args:
        x_AD: (A, D), of norm 1 for cosines.
        y_CD: (C, D).

    Returns:
        (A, C) float32.

    Example:
        >>> with torch.autocast("cpu", dtype=torch.bfloat16):
        ...     cosines(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.9999, 0.0]])).dtype
        torch.float32
    """
    with torch.autocast(x_AD.device.type, enabled=False):
        return x_AD.float() @ y_CD.float().T
