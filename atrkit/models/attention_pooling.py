"""From many vectors to a few, each of which attends to some of them: frames to segments, words to phrases."""

import torch
from torch import Tensor, nn

from atrkit.models.padding import padding_mask_BT


class AttentionPooling(nn.Module):
    """Sum the vectors of a sequence into a fixed number of parts, each with weights of its own.

    A part is a weighted mean of h(x) over frames (or words); its weights are a softmax over the sequence, so that
    neither a clip's length nor padding changes their sum.

    Args:
        dim: width of a vector, D, in and out.
        parts: how many vectors come out, S or P; 1 makes one vector of the whole sequence.

    Source: paper 001, section 3.1, eq. 3 and 4. "A two-layer FC-ReLU" is read as a ReLU between two layers: after the
    second one it would leave no negative number, and no cosine below 0.

    Example:
        >>> AttentionPooling(dim=8, parts=3)(torch.zeros(2, 5, 8), torch.tensor([5, 1])).shape
        torch.Size([2, 3, 8])
    """

    def __init__(self, dim: int, parts: int) -> None:
        super().__init__()
        self.parts = parts
        self.part_weights = nn.Linear(dim, parts, bias=False)
        self.features = nn.Sequential(nn.Linear(dim, 2 * dim), nn.ReLU(), nn.Linear(2 * dim, dim))

    def forward(self, x_BTD: Tensor, lengths_B: Tensor) -> Tensor:
        """(B, T, D), padded with anything finite, and lengths of at least 1 to (B, parts, D)."""
        padding_BT1 = padding_mask_BT(lengths_B, x_BTD.shape[1])[:, :, None]
        weights_BTS = self.part_weights(x_BTD).masked_fill(padding_BT1, -torch.inf).softmax(dim=1)
        return weights_BTS.transpose(1, 2) @ self.features(x_BTD)  # type: ignore[no-any-return]
