"""Which places of a padded batch hold no data."""

import torch
from torch import Tensor


def padding_mask_BT(lengths_B: Tensor, longest: int) -> Tensor:
    """True where a padded batch holds no data, (B, T).

    >>> padding_mask_BT(torch.tensor([1, 3]), 3).int().tolist()
    [[0, 1, 1], [0, 0, 0]]
    """
    return torch.arange(longest, device=lengths_B.device) >= lengths_B[:, None]
