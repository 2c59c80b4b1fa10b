"""Losses over a batch of clip-caption pairs: two contrastive ones, and a captioner's cross-entropy.

The contrastive ones read a similarity matrix `similarity_BB`: row i is clip i, column j is caption j, the diagonal
holds the pairs that belong together, and higher is more similar. When several captions of one clip are in a batch
(`caption_choice="all"`), they are positives too and must not be pushed away: `clip_index_B` says which pair belongs to
which clip, and entries off the diagonal with equal index are left out of the loss (our choice; the papers draw one
caption per clip).
"""

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from atrkit.errors import UsageError
from atrkit.text.vocabulary import PAD_ID


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


class CaptionCrossEntropy(nn.Module):
    """Cross-entropy of the next word: of every word of the captions, and of their ends.

    All tokens of a batch count alike, so that long captions weigh more than short ones. Computed in float32.

    Args:
        label_smoothing: share of the target that is spread over all words of the vocabulary; 0.2 in paper 004.

    Raises:
        UsageError: the share is not in [0, 1).

    Source: paper 004, sections 2.2 and 3.3. Spreading over the whole vocabulary, special words and the right word
    included, is what Szegedy et al. 2016 and torch do; the mean over tokens is our choice.

    Example:
        >>> logits_BLV = torch.zeros(1, 3, 8)  # all eight words are as likely
        >>> round(CaptionCrossEntropy()(logits_BLV, torch.tensor([[5, 3, 0]])).item(), 4)  # ln 8
        2.0794
    """

    def __init__(self, label_smoothing: float = 0.0) -> None:
        super().__init__()
        if not 0 <= label_smoothing < 1:
            raise UsageError(f"label_smoothing is {label_smoothing}, and must be from 0 up to but not 1")
        self.label_smoothing: Final = label_smoothing

    def extra_repr(self) -> str:
        """Settings, for repr."""
        return f"label_smoothing={self.label_smoothing}"

    def forward(self, logits_BLV: Tensor, targets_BL: Tensor) -> Tensor:
        """Mean loss per token, in nats.

        Args:
            logits_BLV: of the next word at every position.
            targets_BL: the word that comes, `<eos>` last; `<pad>`, 0, is left out.

        Returns:
            A scalar, 0 or more.
        """
        return F.cross_entropy(
            _at_least_float32(logits_BLV).flatten(0, 1),
            targets_BL.flatten(),
            ignore_index=PAD_ID,
            label_smoothing=self.label_smoothing,
        )


def _same_clip_off_diagonal(clip_index_B: Tensor) -> Tensor:
    same_BB = clip_index_B[:, None] == clip_index_B[None, :]
    return same_BB.fill_diagonal_(False)


def _at_least_float32(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor
