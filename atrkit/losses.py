"""Contrastive losses over a batch of clip-caption pairs.

Both read a similarity matrix `similarity_BB`: row i is clip i, column j is caption j, the diagonal holds the pairs that
belong together, and higher is more similar. When several captions of one clip are in a batch (`caption_choice="all"`),
they are positives too and must not be pushed away: `clip_index_B` says which pair belongs to which clip, and entries
off the diagonal with equal index are left out of the loss (our choice; the papers draw one caption per clip).
"""

from typing import Final

import torch
from torch import Tensor, nn

from atrkit.errors import UsageError


class NtXent(nn.Module):
    """NT-Xent: cross-entropy of finding the caption of each clip, plus that of finding the clip of each caption.

    The two directions are summed and divided by the number of pairs; there is no factor 1/2, so that a batch of B
    unrelated pairs costs 2 ln B. Computed in float32 through log-softmax: a small temperature does not overflow.

    Args:
        temperature: divides the similarities; 0.07 in paper 001.

    Raises:
        UsageError: the temperature is not positive.

    Source: paper 001, section 2, eq. 2. Leaving out other captions of the same clip is our choice.

    Example:
        >>> round(NtXent(temperature=0.07)(torch.zeros(4, 4)).item(), 4)  # 2 ln 4
        2.7726
    """

    def __init__(self, temperature: float = 0.07) -> None:
        super().__init__()
        if not temperature > 0:
            raise UsageError(f"temperature is {temperature}, and must be positive")
        self.temperature: Final = temperature

    def extra_repr(self) -> str:
        """Settings, for repr."""
        return f"temperature={self.temperature}"

    def forward(self, similarity_BB: Tensor, clip_index_B: Tensor | None = None) -> Tensor:
        """Mean loss per pair, in nats.

        Args:
            similarity_BB: cosine similarities, (B clips, B captions).
            clip_index_B: the clip of each pair, any integers; None when all clips differ.

        Returns:
            A scalar, 0 or more.
        """
        logits_BB = _at_least_float32(similarity_BB) / self.temperature
        if clip_index_B is not None:
            logits_BB = logits_BB.masked_fill(_same_clip_off_diagonal(clip_index_B), -torch.inf)
        find_caption_B = logits_BB.log_softmax(dim=1).diagonal()
        find_clip_B = logits_BB.log_softmax(dim=0).diagonal()
        return -(find_caption_B + find_clip_B).mean()


class MaxMargin(nn.Module):
    """Bidirectional max-margin ranking loss: every wrong pair must lie `margin` below the right one.

    All negatives of the batch count, in both directions, and the sum is divided by the batch size B, not by the
    number of negatives: the loss grows with the batch, as in the paper.

    Args:
        margin: in units of cosine similarity; 0.2 in paper 003.

    Raises:
        UsageError: the margin is not positive.

    Source: paper 003, section 3.2.2, eq. 9 and 10. Leaving out other captions of the same clip is our choice.

    Example:
        >>> round(MaxMargin(margin=0.2)(torch.zeros(4, 4)).item(), 4)  # 2 directions, 3 negatives
        1.2
    """

    def __init__(self, margin: float = 0.2) -> None:
        super().__init__()
        if not margin > 0:
            raise UsageError(f"margin is {margin}, and must be positive")
        self.margin: Final = margin

    def extra_repr(self) -> str:
        """Settings, for repr."""
        return f"margin={self.margin}"

    def forward(self, similarity_BB: Tensor, clip_index_B: Tensor | None = None) -> Tensor:
        """Sum over negatives and directions, divided by B.

        Args:
            similarity_BB: cosine similarities, (B clips, B captions).
            clip_index_B: the clip of each pair, any integers; None when all clips differ.

        Returns:
            A scalar, 0 or more; 0 when every negative is `margin` below its positive.
        """
        similarity_BB = _at_least_float32(similarity_BB)
        positive_B = similarity_BB.diagonal()
        wrong_caption_BB = (self.margin + similarity_BB - positive_B[:, None]).clamp(min=0)
        wrong_clip_BB = (self.margin + similarity_BB - positive_B[None, :]).clamp(min=0)
        ignored_BB = torch.eye(len(positive_B), dtype=torch.bool, device=similarity_BB.device)
        if clip_index_B is not None:
            ignored_BB = ignored_BB | _same_clip_off_diagonal(clip_index_B)
        return (wrong_caption_BB + wrong_clip_BB).masked_fill(ignored_BB, 0).sum() / len(positive_B)


def _same_clip_off_diagonal(clip_index_B: Tensor) -> Tensor:
    same_BB = clip_index_B[:, None] == clip_index_B[None, :]
    return same_BB.fill_diagonal_(False)


def _at_least_float32(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor
