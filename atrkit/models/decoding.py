"""Captions written by a captioner: beam search over clips of any lengths."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, assert_never

import torch
from torch import Tensor

from atrkit.errors import ResourceError, UsageError
from atrkit.models.beam_search import FoundCaption, WordRules, beam_search
from atrkit.models.captioner import Captioner
from atrkit.models.ragged import Ragged
from atrkit.models.retriever import evaluating
from atrkit.text.stop_words import STOP_WORDS

ForbidRepeats = Literal["content_words", "all_words", "none"]


@dataclass(frozen=True)
class WrittenCaption:
    """A caption and how sure the model is of it.

    Args:
        text: normalised words; empty only where that is the likeliest caption, and `min_tokens` is 0.
        score: mean log-probability of its words and `<eos>`, at most 0: the caption's cross-entropy, negated.
    """

    text: str
    score: float


def write_captions(
    captioner: Captioner,
    frames: Ragged,
    *,
    beam_size: int = 3,
    min_tokens: int = 3,
    max_tokens: int = 20,
    forbid_repeats: ForbidRepeats = "content_words",
    batch_size: int = 64,
    clip_ids: Sequence[str] | None = None,
    on_progress: Callable[[int], None] | None = None,
    on_remark: Callable[[str], None] | None = None,
) -> list[WrittenCaption]:
    """Write a caption for each clip; no clip's caption depends on the others.

    Args:
        captioner: in whatever mode; it is put into evaluation mode meanwhile.
        frames: of A clips, each of one frame or more, as the encoder gave them.
        beam_size: captions that are followed at once; 1: greedy, always the likeliest word.
        min_tokens: least number of words, unless nothing more may be said.
        max_tokens: greatest number of words.
        forbid_repeats: words that may not come twice in a caption: all but stop words, all, or none.
        batch_size: clips at once; changes speed and memory, not the captions. Halved when memory runs out.
        clip_ids: names of the clips, for errors; None: their positions.
        on_progress: called with the number of clips done, after every batch.
        on_remark: told that the batch size was halved.

    Returns:
        A captions in the order of the clips. `<unk>` is never written: a caption with a hole is of no use.

    Raises:
        UsageError: a number makes no sense, or a clip has no frames.
        DivergedError: probabilities are not finite; names the clips.
        ResourceError: memory runs out with a single clip.

    Source: paper 004, section 3.3, for the search and for content words that come once. Sizes are the same author's
    DCASE 2024 baseline's; that `<eos>` counts in the score, also where the greatest length forces it, and that `<unk>`
    is left out are our choice.

    Example:
        >>> from atrkit.models import GruDecoder
        >>> from atrkit.text.vocabulary import CaptionVocabulary
        >>> words = CaptionVocabulary.from_captions(["rain falls", "a dog barks"]).words
        >>> model = Captioner(8, words, GruDecoder(len(words), dim=16))
        >>> frames = Ragged.from_sequences([torch.zeros(5, 8), torch.ones(2, 8)])
        >>> [len(caption.text.split()) for caption in write_captions(model, frames, min_tokens=2, max_tokens=2)]
        [2, 2]
    """
    require_sizes(beam_size, min_tokens, max_tokens, batch_size)

    def named(clip: int) -> str:
        return f"clip {clip} (counted from 0)" if clip_ids is None else f"clip {clip_ids[clip]!r}"

    if (empty := (frames.lengths_A == 0).nonzero()).numel():
        raise UsageError(f"{named(int(empty[0]))} has no frames, so nothing can be said of it")
    rules = WordRules(min_tokens, max_tokens, _words_that_come_once(captioner, forbid_repeats))
    search = _Search(captioner, frames, beam_size, rules, named)
    # clips of like length share a batch, so that little of it is padding; the longest first, should memory run out
    order_A = frames.lengths_A.argsort(descending=True, stable=True)
    captions: dict[int, WrittenCaption] = {}
    with evaluating(captioner):
        for clips, found in search.in_batches(order_A, batch_size, on_remark or (lambda remark: None)):
            for clip, caption in zip(clips, found, strict=True):
                captions[clip] = WrittenCaption(captioner.vocabulary.decode(caption.words), caption.score)
            if on_progress is not None:
                on_progress(len(captions))
    return [captions[clip] for clip in range(len(frames))]


def require_sizes(beam_size: int, min_tokens: int, max_tokens: int, batch_size: int = 1) -> None:
    """Refuse numbers that make no sense, or none together.

    Raises:
        UsageError: says which.
    """
    for name, value, least in (
        ("beam_size", beam_size, 1),
        ("min_tokens", min_tokens, 0),
        ("max_tokens", max_tokens, 1),
        ("batch_size", batch_size, 1),
    ):
        if value < least:
            raise UsageError(f"{name} is {value}: it must be {least} or more")
    if min_tokens > max_tokens:
        raise UsageError(f"min_tokens {min_tokens} is more than max_tokens {max_tokens}")


@dataclass(frozen=True)
class _Search:
    """Beam search in some of the clips."""

    captioner: Captioner
    frames: Ragged
    beam_size: int
    rules: WordRules
    named: Callable[[int], str]

    def in_batches(
        self, order_A: Tensor, batch_size: int, on_remark: Callable[[str], None]
    ) -> Iterator[tuple[list[int], list[FoundCaption]]]:
        """Clips and their captions, a batch at a time; a batch that does not fit into memory is halved."""
        remaining_A = order_A
        while len(remaining_A):
            index_B = remaining_A[:batch_size]
            try:
                found = self.among(index_B)
            except torch.OutOfMemoryError as error:
                if len(index_B) == 1:
                    clip = self.named(int(index_B[0]))
                    raise ResourceError(f"memory ran out writing one caption, of {clip}") from error
                batch_size = (len(index_B) + 1) // 2
                device = self.captioner.device
                on_remark(f"memory ran out on {device}: captions of {batch_size} clips are written at once")
            else:
                yield index_B.tolist(), found
                remaining_A = remaining_A[len(index_B) :]

    @torch.inference_mode()
    def among(self, index_B: Tensor) -> list[FoundCaption]:
        """Captions of the clips of one batch."""
        frames_BTF, lengths_B = (part.to(self.captioner.device) for part in self.frames.gather(index_B))
        return beam_search(
            self.captioner.decoder,
            self.captioner.memory(frames_BTF, lengths_B),
            lengths_B,
            beam_size=self.beam_size,
            rules=self.rules,
            named=lambda position: self.named(int(index_B[position])),
        )


def _words_that_come_once(captioner: Captioner, forbid_repeats: ForbidRepeats) -> Tensor:
    words = captioner.vocabulary.words
    match forbid_repeats:
        case "content_words":
            comes_once = [word not in STOP_WORDS for word in words]
        case "all_words":
            comes_once = [True] * len(words)
        case "none":
            comes_once = [False] * len(words)
        case _:
            assert_never(forbid_repeats)
    return torch.tensor(comes_once, device=captioner.device)
