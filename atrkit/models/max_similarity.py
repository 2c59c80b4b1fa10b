"""How well two sets of vectors fit: each finds its best partner in the other set (paper 001's cross-interaction).

For every clip of a batch and every caption, every frame is compared with every word. The tensor of all these cosines
is the largest thing in training, and is not needed: forward keeps which partner was the best one, backward goes from
there.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from atrkit.models.padding import padding_mask_BT

_BLOCK_ELEMENTS = 1 << 22  # cosines at a time: 16 MB


def cross_interaction(
    frames_ATD: Tensor,
    frame_lengths_A: Tensor,
    words_CLD: Tensor,
    word_lengths_C: Tensor,
    *,
    block_elements: int = _BLOCK_ELEMENTS,
) -> Tensor:
    """Cross-interaction of every clip with every caption, for training.

    The mean over words of each one's best frame, and the mean over frames of each one's best word, averaged. Of several
    equally good partners the first one counts, in value and gradient. Memory kept for the backward pass is two indices
    for each pair's frames and words, and not their cosines; these are made in blocks of clips, forward and backward.

    Args:
        frames_ATD: vectors of norm 1 (`functional.normalize`), padded with anything finite.
        frame_lengths_A: 1 or more.
        words_CLD: the same of captions.
        word_lengths_C: 1 or more.
        block_elements: cosines at a time; changes memory and speed, not the result.

    Returns:
        (A, C) float32, in [-1, 1].

    Source: paper 001, section 3.1, eq. 6 and 8. Eq. 8 is printed with N_s and N_p the other way round, which changes
    nothing where both are equal, as they are there; it is read like eq. 6.

    Example:
        >>> frames_ATD = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
        >>> words_CLD = torch.tensor([[[1.0, 0.0]]])  # one word, which is the first frame
        >>> cross_interaction(frames_ATD, torch.tensor([2]), words_CLD, torch.tensor([1])).item()  # (1 + 1/2) / 2
        0.75
    """
    # autocast would round the cosines, and this far in there is little to gain
    with torch.autocast(frames_ATD.device.type, enabled=False):
        scores_AC: Tensor = _CrossInteraction.apply(
            frames_ATD.float(), frame_lengths_A, words_CLD.float(), word_lengths_C, block_elements
        )
    return scores_AC


def cross_interaction_of_pairs(
    frames_BTD: Tensor, frame_lengths_B: Tensor, words_BLD: Tensor, word_lengths_B: Tensor
) -> Tensor:
    """Cross-interaction of clip b with caption b, (B,); arguments as in `cross_interaction`."""
    similarity_BTL = frames_BTD @ words_BLD.transpose(1, 2)
    not_a_frame_BT = padding_mask_BT(frame_lengths_B, frames_BTD.shape[1])
    not_a_word_BL = padding_mask_BT(word_lengths_B, words_BLD.shape[1])
    similarity_BTL = similarity_BTL.masked_fill(not_a_frame_BT[:, :, None] | not_a_word_BL[:, None, :], -torch.inf)
    of_words_B = similarity_BTL.amax(dim=1).masked_fill(not_a_word_BL, 0).sum(dim=1) / word_lengths_B
    of_frames_B = similarity_BTL.amax(dim=2).masked_fill(not_a_frame_BT, 0).sum(dim=1) / frame_lengths_B
    return (of_words_B + of_frames_B) / 2


class _CrossInteraction(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        frames_ATD: Tensor,
        frame_lengths_A: Tensor,
        words_CLD: Tensor,
        word_lengths_C: Tensor,
        block_elements: int,
    ) -> Tensor:
        blocks = [
            _block_of_scores(frames_ATD[rows], frame_lengths_A[rows], words_CLD, word_lengths_C)
            for rows in _blocks(frames_ATD, words_CLD, block_elements)
        ]
        best_frame_ACL = torch.cat([best_frame for _, best_frame, _ in blocks])
        best_word_ATC = torch.cat([best_word for _, _, best_word in blocks])
        ctx.save_for_backward(frames_ATD, frame_lengths_A, words_CLD, word_lengths_C, best_frame_ACL, best_word_ATC)
        ctx.block_elements = block_elements
        return torch.cat([scores for scores, _, _ in blocks])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_AC: Tensor) -> tuple[Tensor, None, Tensor, None, None]:
        frames_ATD, frame_lengths_A, words_CLD, word_lengths_C, best_frame_ACL, best_word_ATC = ctx.saved_tensors
        words_MD = words_CLD.flatten(0, 1)
        grad_frames_ATD, grad_words_MD = torch.empty_like(frames_ATD), torch.zeros_like(words_MD)
        with torch.autocast(grad_AC.device.type, enabled=False):
            for rows in _blocks(frames_ATD, words_CLD, ctx.block_elements):
                grad_NM = _gradient_of_cosines(
                    grad_AC[rows].float(),
                    best_frame_ACL[rows],
                    best_word_ATC[rows],
                    frame_lengths_A[rows],
                    word_lengths_C,
                ).flatten(0, 1)
                grad_frames_ATD[rows] = (grad_NM @ words_MD).view_as(grad_frames_ATD[rows])
                grad_words_MD.addmm_(grad_NM.T, frames_ATD[rows].flatten(0, 1))
        return grad_frames_ATD, None, grad_words_MD.view_as(words_CLD), None, None


def _blocks(frames_ATD: Tensor, words_CLD: Tensor, block_elements: int) -> list[slice]:
    per_clip = frames_ATD.shape[1] * words_CLD.shape[0] * words_CLD.shape[1]
    clips = max(1, block_elements // max(1, per_clip))
    return [slice(start, start + clips) for start in range(0, len(frames_ATD), clips)]


def _block_of_scores(
    frames_ATD: Tensor, frame_lengths_A: Tensor, words_CLD: Tensor, word_lengths_C: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Scores (A, C), the best frame of every word (A, C, L), and the best word of every frame (A, T, C)."""
    not_a_frame_AT = padding_mask_BT(frame_lengths_A, frames_ATD.shape[1])
    not_a_word_CL = padding_mask_BT(word_lengths_C, words_CLD.shape[1])
    similarity_ATCL = (frames_ATD @ words_CLD.flatten(0, 1).T).unflatten(2, not_a_word_CL.shape)
    similarity_ATCL.masked_fill_(not_a_frame_AT[:, :, None, None], -torch.inf).masked_fill_(not_a_word_CL, -torch.inf)
    of_words_ACL, best_frame_ACL = similarity_ATCL.max(dim=1)
    of_frames_ATC, best_word_ATC = similarity_ATCL.max(dim=3)
    of_words_AC = of_words_ACL.masked_fill(not_a_word_CL, 0).sum(dim=2) / word_lengths_C
    of_frames_AC = of_frames_ATC.masked_fill(not_a_frame_AT[:, :, None], 0).sum(dim=1) / frame_lengths_A[:, None]
    return (of_words_AC + of_frames_AC) / 2, best_frame_ACL.int(), best_word_ATC.int()


def _gradient_of_cosines(
    grad_AC: Tensor, best_frame_ACL: Tensor, best_word_ATC: Tensor, frame_lengths_A: Tensor, word_lengths_C: Tensor
) -> Tensor:
    """What reaches each cosine, (A, T, M) with M = C x L: nothing, unless it was the best of its frame or word."""
    (clips, frames, captions), longest = best_word_ATC.shape, best_frame_ACL.shape[2]
    not_a_frame_AT = padding_mask_BT(frame_lengths_A, frames)
    not_a_word_CL = padding_mask_BT(word_lengths_C, longest)
    of_words_ACL = (grad_AC / word_lengths_C / 2)[:, :, None].masked_fill(not_a_word_CL, 0)
    of_frames_ATC = (grad_AC / frame_lengths_A[:, None] / 2)[:, None].masked_fill(not_a_frame_AT[:, :, None], 0)
    grad_ATCL = grad_AC.new_zeros(clips, frames, captions, longest)
    grad_ATCL.scatter_(3, best_word_ATC.long()[..., None], of_frames_ATC[..., None])
    # a cosine can be the best of both; scatter_add_ would do, and is not deterministic on every device
    index_A1CL = best_frame_ACL.long()[:, None]
    grad_ATCL.scatter_(1, index_A1CL, grad_ATCL.gather(1, index_A1CL) + of_words_ACL[:, None])
    return grad_ATCL.flatten(2)
