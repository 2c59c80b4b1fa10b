"""Beam search: the likeliest captions of a batch of clips, found a word at a time, every clip for itself."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from atrkit.errors import DivergedError
from atrkit.models.caption_decoder import CaptionDecoder
from atrkit.text.vocabulary import BOS_ID, EOS_ID, PAD_ID, UNK_ID


@dataclass(frozen=True, eq=False)
class WordRules:
    """What may be said at all: `<pad>`, `<bos>` and `<unk>` never.

    Args:
        min_words: `<eos>` may not come before so many words, unless no word is left that may come.
        max_words: then comes `<eos>`.
        comes_once_V: True for words that may come once only.
    """

    min_words: int
    max_words: int
    comes_once_V: Tensor

    def forbid_(self, log_prob_NV: Tensor, words_NL: Tensor) -> None:
        """Set what may not come next to minus infinity, in place.

        Args:
            log_prob_NV: of each word after each caption.
            words_NL: the captions so far, all of L words.
        """
        end_N = log_prob_NV[:, EOS_ID].clone()
        if words_NL.shape[1] == self.max_words:
            log_prob_NV.fill_(-torch.inf)
        else:
            log_prob_NV[:, [PAD_ID, UNK_ID, BOS_ID, EOS_ID]] = -torch.inf
            said_NL = words_NL.where(self.comes_once_V[words_NL], PAD_ID)
            log_prob_NV.scatter_(1, said_NL, -torch.inf)
        if words_NL.shape[1] < self.min_words:
            is_word_left_N = (log_prob_NV > -torch.inf).any(dim=1)
            end_N.masked_fill_(is_word_left_N, -torch.inf)
        log_prob_NV[:, EOS_ID] = end_N


@dataclass(frozen=True)
class FoundCaption:
    """Word ids, `<eos>` left out, and the mean log-probability of these and `<eos>`."""

    words: list[int]
    score: float


@torch.inference_mode()
def beam_search(
    decoder: CaptionDecoder,
    memory_BTD: Tensor,
    lengths_B: Tensor,
    *,
    beam_size: int,
    rules: WordRules,
    named: Callable[[int], str] = "clip {}".format,
) -> list[FoundCaption]:
    """Find a caption for each clip.

    The likeliest continuations of all captions under way, at most `beam_size` of them, are followed. A caption that
    ends leaves the beam, which is narrower by one from then on; of those that ended the one with the greatest mean
    log-probability is taken. Among equals the caption that ended first comes first, then the one with the likelier
    beginning, then the word with the smaller id. A clip's result does not depend on the others (to the rounding of
    float32).

    Args:
        decoder: in evaluation mode.
        memory_BTD: projected frames, padded with anything finite.
        lengths_B: frames of each clip, 1 or more.
        beam_size: captions that are followed at once; 1: always the likeliest word.
        rules: what may be said.
        named: the name of a clip by its position, for errors.

    Returns:
        B captions.

    Raises:
        DivergedError: a log-probability is not finite; names the clip.

    Source: paper 004, section 3.3 ("the standard beam search algorithm"). That what ended leaves the beam, and the mean
    for ranking, are the same author's (CoNeTTE); forbidden words keep their probability, so that a score is the
    caption's own cross-entropy, negated (our choice).
    """
    device = memory_BTD.device
    state = decoder.start(memory_BTD, lengths_B)
    clip_N = torch.arange(len(memory_BTD), device=device)
    words_NL = clip_N.new_empty(len(clip_N), 0)
    last_word_N = torch.full_like(clip_N, BOS_ID)
    log_prob_N = torch.zeros(len(clip_N), device=device)
    room_B = torch.full_like(clip_N, beam_size)
    found: dict[int, FoundCaption] = {}
    while len(clip_N):
        logits_NV, state = decoder.step(last_word_N, state)
        log_prob_NV = log_prob_N[:, None] + logits_NV.float().log_softmax(dim=1)
        _refuse_not_finite(log_prob_NV, clip_N, named)
        rules.forbid_(log_prob_NV, words_NL)
        parent_M, last_word_N, log_prob_N = _likeliest(log_prob_NV, clip_N, room_B, beam_size)
        clip_N = clip_N[parent_M]
        is_end_N = last_word_N == EOS_ID
        mean_N = log_prob_N / (words_NL.shape[1] + 1)
        _take_ended(found, clip_N[is_end_N], words_NL[parent_M[is_end_N]], mean_N[is_end_N])
        room_B = room_B - clip_N[is_end_N].bincount(minlength=len(room_B))
        going_N = ~is_end_N
        parent_N, clip_N = parent_M[going_N], clip_N[going_N]
        last_word_N, log_prob_N = last_word_N[going_N], log_prob_N[going_N]
        words_NL = torch.cat([words_NL[parent_N], last_word_N[:, None]], dim=1)
        state = state.select(parent_N)
    return [found[clip] for clip in range(len(memory_BTD))]


def _likeliest(log_prob_NV: Tensor, clip_N: Tensor, room_B: Tensor, beam_size: int) -> tuple[Tensor, Tensor, Tensor]:
    """The likeliest continuations of each clip, as many as its beam has room for.

    Args:
        log_prob_NV: of captions with one more word, minus infinity where it may not come; is overwritten.
        clip_N: of each caption, rising.
        room_B: of each clip's beam.
        beam_size: of a full beam.

    Returns:
        For M continuations which caption they continue, with which word, and their log-probability: by clip, the
        likeliest first.
    """
    value_NJ, word_NJ = _largest(log_prob_NV, beam_size)
    num_clips, num_words = len(room_B), value_NJ.shape[1]
    first_row_B = torch.searchsorted(clip_N, torch.arange(num_clips, device=clip_N.device))
    slot_N = torch.arange(len(clip_N), device=clip_N.device) - first_row_B[clip_N]
    value_BKJ = value_NJ.new_full((num_clips, int(slot_N.max()) + 1, num_words), -torch.inf)
    value_BKJ[clip_N, slot_N] = value_NJ
    value_BC, order_BC = value_BKJ.flatten(1).sort(dim=1, descending=True, stable=True)
    rank_C = torch.arange(value_BC.shape[1], device=clip_N.device)
    clip_M, rank_M = ((rank_C < room_B[:, None]) & (value_BC > -torch.inf)).nonzero(as_tuple=True)
    chosen_M = order_BC[clip_M, rank_M]
    parent_M = first_row_B[clip_M] + chosen_M // num_words
    return parent_M, word_NJ[parent_M, chosen_M % num_words], value_BC[clip_M, rank_M]


def _largest(value_NV: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The largest values of each row and where they are; of equal ones, the first (topk takes any); overwrites."""
    largest = []
    for _ in range(min(count, value_NV.shape[1])):
        value_N, index_N = value_NV.max(dim=1)
        value_NV.scatter_(1, index_N[:, None], -torch.inf)
        largest.append((value_N, index_N))
    values, indices = zip(*largest, strict=True)
    return torch.stack(values, dim=1), torch.stack(indices, dim=1)


def _take_ended(found: dict[int, FoundCaption], clip_E: Tensor, words_EL: Tensor, mean_E: Tensor) -> None:
    for clip, words, score in zip(clip_E.tolist(), words_EL.tolist(), mean_E.tolist(), strict=True):
        if clip not in found or score > found[clip].score:
            found[clip] = FoundCaption(words, score)


def _refuse_not_finite(log_prob_NV: Tensor, clip_N: Tensor, named: Callable[[int], str]) -> None:
    is_finite_N = log_prob_NV.isfinite().all(dim=1)
    if not is_finite_N.all():
        clips = sorted(set(clip_N[~is_finite_N].tolist()))
        others = f" and {len(clips) - 5} more" if len(clips) > 5 else ""
        raise DivergedError(
            f"no caption can be written for {', '.join(map(named, clips[:5]))}{others}: "
            "the probabilities of words are NaN or infinite, so its frames or the model's weights are"
        )
