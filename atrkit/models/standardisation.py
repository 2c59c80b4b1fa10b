"""Mean and standard deviation of training frames, which become part of a model."""

import torch
from torch import Tensor

from atrkit.errors import DivergedError

_CHUNK_FRAMES = 1 << 16


def mean_and_std(frames_NF: Tensor) -> tuple[Tensor, Tensor, int]:
    """Mean and standard deviation of each feature over all training frames.

    Args:
        frames_NF: every frame of every training clip.

    Returns:
        mean_F and std_F, float64, and how many features are constant: those have a deviation of 1, so that they are
        centred and not scaled.

    Raises:
        DivergedError: a feature is NaN or infinite.
    """
    chunks = frames_NF.split(_CHUNK_FRAMES)  # float64 copies of all frames at once would not fit
    mean_F = torch.stack([chunk.double().sum(dim=0) for chunk in chunks]).sum(dim=0) / len(frames_NF)
    squares_F = torch.stack([(chunk.double() - mean_F).square().sum(dim=0) for chunk in chunks]).sum(dim=0)
    variance_F = squares_F / len(frames_NF)
    if not (mean_F.isfinite().all() and variance_F.isfinite().all()):
        raise DivergedError("training frames hold NaN or infinity: extract the embeddings again")
    # rounding leaves a constant feature with a variance that is tiny beside its mean, not zero
    is_constant_F = variance_F <= (1e-6 * mean_F).square()
    return mean_F, torch.where(is_constant_F, 1.0, variance_F.sqrt()), int(is_constant_F.sum())
