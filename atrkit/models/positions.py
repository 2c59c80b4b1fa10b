"""Sinusoidal positions."""

import math

import torch
from torch import Tensor


def sinusoidal_positions(length: int, dim: int, device: torch.device | None = None) -> Tensor:
    """Positions as sines and cosines of falling frequency.

    Args:
        length: positions from 0 on.
        dim: D; an odd one has one cosine less.
        device: of the result.

    Returns:
        (length, D) float32 in [-1, 1]: sines in even columns, cosines in odd ones.

    Source: Vaswani et al. 2017, section 3.5, to which paper 004, section 2.1, refers for its decoder.

    Example:
        >>> [[f"{value:.2f}" for value in row] for row in sinusoidal_positions(2, 4)]
        [['0.00', '1.00', '0.00', '1.00'], ['0.84', '0.54', '0.01', '1.00']]
    """
    position_L1 = torch.arange(length, dtype=torch.float64)[:, None]
    rate_D = torch.exp(torch.arange(0, dim, 2, dtype=torch.float64) * (-math.log(10_000.0) / dim))
    angle_LD = position_L1 * rate_D
    positions_LD = torch.stack([angle_LD.sin(), angle_LD.cos()], dim=-1).flatten(1)[:, :dim]
    return positions_LD.float().to(device)
