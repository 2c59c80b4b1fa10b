"""Which pairs each epoch shows in which order, and how much of their batches is padding."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from atrkit.errors import UsageError
from atrkit.training.data import CaptionChoice, IntArray, TrainingData

_AUGMENTATION = 1  # keeps a batch's draws apart from those of its epoch


@dataclass(frozen=True, eq=False)
class PairBatch:
    """Clip-caption pairs of one step, by position in the training data.

    Args:
        clip_index_B: into the clips.
        caption_index_B: into `shown_captions`, which begin with `all_captions`.
        key: what is drawn for this batch is a function of it: seed, epoch and number of the step. Empty where nothing
            is drawn.
    """

    clip_index_B: Tensor
    caption_index_B: Tensor
    key: tuple[int, ...] = ()

    def __len__(self) -> int:
        """Number of pairs, B."""
        return len(self.clip_index_B)

    def generator(self) -> np.random.Generator:
        """A new generator, the same at every call, whatever was drawn before."""
        return np.random.default_rng(np.random.SeedSequence(self.key, spawn_key=(_AUGMENTATION,)))


def pairs_of_epoch(
    data: TrainingData,
    *,
    batch_size: int,
    caption_choice: CaptionChoice,
    seed: int,
    epoch: int,
    bucket_batches: int = 1,
) -> list[PairBatch]:
    """Draw the pairs of an epoch and their order.

    The draw depends on the seed and the epoch alone, so that a resumed training continues in the middle of an epoch
    without replaying the ones before. Where the data show generated captions, every clip comes with its generated one
    too, at a random place of the epoch.

    Args:
        data: clips and captions.
        batch_size: pairs per step. A last batch of one pair, which has no negative, joins the batch before.
        caption_choice: "random" pairs each clip with one of its captions; "all" shows every caption once.
        seed: of the training.
        epoch: counted from 1.
        bucket_batches: pairs are drawn into pools of so many batches; each pool is sorted by length and cut, and the
            batches are then shown in random order. 1: batches are drawn at random.

    Returns:
        Batches in order; their number is the same in every epoch.

    Raises:
        UsageError: unknown caption choice.

    Source: paper 001, section 3.2.2, for one more pair per clip. The rest is our choice, as is the order of lengths:
    words first, frames among captions of equal length. In paper 004's decoder a word costs as much as ten frames.
    """
    rng = np.random.default_rng([seed, epoch])
    match caption_choice:
        case "random":
            clip_index_N = rng.permutation(len(data))
            drawn_A = data.first_caption_A + rng.integers(0, data.captions_per_clip_A)
            caption_index_N = drawn_A[clip_index_N]
        case "all":
            caption_index_N = rng.permutation(len(data.all_captions))
            clip_index_N = data.clip_index_of_caption_C[caption_index_N]
        case unknown:
            raise UsageError(f"no caption choice is called {unknown!r}: choose random or all")
    if data.shows_auxiliary:
        every_clip_A = np.arange(len(data))
        order_N = rng.permutation(len(clip_index_N) + len(data))
        clip_index_N = np.concatenate([clip_index_N, every_clip_A])[order_N]
        caption_index_N = np.concatenate([caption_index_N, len(data.all_captions) + every_clip_A])[order_N]
    if bucket_batches > 1:
        order_N = _sorted_in_pools(data, caption_index_N, bucket_batches * batch_size)
        clip_index_N, caption_index_N = clip_index_N[order_N], caption_index_N[order_N]
    batches = cut_into_batches(clip_index_N, caption_index_N, batch_size)
    if bucket_batches > 1:
        batches = [batches[position] for position in rng.permutation(len(batches))]
    return [
        PairBatch(batch.clip_index_B, batch.caption_index_B, key=(seed, epoch, step))
        for step, batch in enumerate(batches, start=1)
    ]


def pairs_in_turn(data: TrainingData, *, batch_size: int) -> list[PairBatch]:
    """Every pair once, in a fixed order: first captions of all clips, then second ones, and so on.

    A contrastive loss depends on what shares a batch; this order keeps the captions of one clip apart.
    """
    rank_within_clip_C = np.arange(len(data.all_captions)) - data.first_caption_A[data.clip_index_of_caption_C]
    caption_index_N = np.argsort(rank_within_clip_C, kind="stable")
    return cut_into_batches(data.clip_index_of_caption_C[caption_index_N], caption_index_N, batch_size)


def pairs_by_length(data: TrainingData, *, batch_size: int) -> list[PairBatch]:
    """Every pair once, the shortest captions first: little padding, where it does not matter what shares a batch."""
    caption_index_N = _sorted_in_pools(data, np.arange(len(data.all_captions)), len(data.all_captions))
    return cut_into_batches(data.clip_index_of_caption_C[caption_index_N], caption_index_N, batch_size)


def cut_into_batches(
    clip_index_N: IntArray,
    caption_index_N: IntArray,
    batch_size: int,
) -> list[PairBatch]:
    """Cut pairs into consecutive batches; a remainder of one joins the batch before."""
    starts = list(range(0, len(clip_index_N), batch_size))
    if len(starts) > 1 and batch_size > 1 and len(clip_index_N) - starts[-1] == 1:
        starts.pop()
    stops = [*starts[1:], len(clip_index_N)]
    clips, captions = torch.from_numpy(clip_index_N), torch.from_numpy(caption_index_N)
    return [PairBatch(clips[a:b], captions[a:b]) for a, b in zip(starts, stops, strict=True)]


def words_with_padding_per_word(data: TrainingData, batches: Sequence[PairBatch]) -> float:
    """How many word positions the batches hold for each that is a word or a caption's end; 1 is no padding."""
    predicted = [data.words_of_caption_C[batch.caption_index_B.numpy()] + 1 for batch in batches]
    return float(sum(len(p_B) * p_B.max() for p_B in predicted) / sum(p_B.sum() for p_B in predicted))


def _sorted_in_pools(data: TrainingData, caption_index_N: IntArray, pool_size: int) -> IntArray:
    """Positions, pool after pool, each sorted by words, then frames; equals stay in order."""
    words_N = data.words_of_caption_C[caption_index_N]
    frames_N = data.frames.lengths_A.cpu().numpy()[data.clip_index_of_caption_C[caption_index_N]]
    pool_N = np.arange(len(caption_index_N)) // pool_size
    return np.lexsort((frames_N, words_N, pool_N)).astype(np.int64)
