"""Which windows share a batch, and what a batch does to the padding in it.

Padding a clip with zeros inside a batch changes its output (ENCODERS.md, pitfall 1). Two things together keep a batch
equal to its clips alone: only windows of like length share one, and what little padding is left is set to zero again
wherever a convolution could look at it (`zero_padding_`).
"""

from collections.abc import Sequence

import torch
from torch import Tensor

SECONDS_PER_ITEM = 10.0  # batch sizes are counted in clips of this length; a longer window counts for more
_LONGEST_OVER_SHORTEST = 1.25


def plan_batches(lengths: Sequence[int], batch_size: int, samples_per_item: int) -> list[list[int]]:
    """Group windows of like length.

    Args:
        lengths: of each window, in samples.
        batch_size: at most so many items of `samples_per_item` at once, padding included; one window always goes.
        samples_per_item: the length that counts as one.

    Returns:
        Positions in `lengths`, the longest first: what does not fit into memory shows at once. A batch's longest
        window is at most a quarter longer than its shortest.

    Example:
        >>> plan_batches([10, 21, 10, 20, 90], batch_size=4, samples_per_item=10)
        [[4], [1], [3], [0, 2]]
        >>> plan_batches([10, 20, 10, 20], batch_size=4, samples_per_item=10)
        [[1, 3], [0, 2]]
    """
    batches: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        longest = lengths[batches[-1][0]] if batches else 0
        fits = batches and (len(batches[-1]) + 1) * longest <= batch_size * samples_per_item
        if fits and longest <= _LONGEST_OVER_SHORTEST * lengths[index]:
            batches[-1].append(index)
        else:
            batches.append([index])
    return batches


def zero_padding_(map_BCTX: Tensor, lengths_B: Sequence[int]) -> Tensor:
    """Set what lies behind the end of each clip to zero, in place; nothing is done where all are equally long.

    Args:
        map_BCTX: time is the third dimension.
        lengths_B: how many time steps of each clip are its own.

    Returns:
        The same tensor.

    Example:
        >>> zero_padding_(torch.ones(2, 1, 3, 1), [3, 1])[:, 0, :, 0].tolist()
        [[1.0, 1.0, 1.0], [1.0, 0.0, 0.0]]
    """
    shortest = min(lengths_B)
    if shortest < map_BCTX.shape[2]:
        steps_T = torch.arange(shortest, map_BCTX.shape[2], device=map_BCTX.device)
        ends_B = torch.tensor(lengths_B, device=map_BCTX.device)
        is_behind_BT = steps_T >= ends_B[:, None]
        map_BCTX[:, :, shortest:].masked_fill_(is_behind_BT[:, None, :, None], 0.0)
    return map_BCTX


def split_frames(frames_BTF: Tensor, lengths_B: Sequence[int]) -> list[Tensor]:
    """Each clip's own frames, (T_b, F)."""
    return [frames_TF[:length] for frames_TF, length in zip(frames_BTF, lengths_B, strict=True)]
