"""What every retrieval model that is trained by steps has in common, and what it is given of clips.

A model turns a batch of clips and a batch of captions into one or several similarity matrices, each with a weight: the
loss of a step is the weighted sum of a contrastive loss over them. How all pairs of a collection are scored depends on
the kind of model, and is `scoring/retrieval.py`'s business.
"""

from abc import abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from atrkit.errors import UsageError
from atrkit.models.ragged import Ragged
from atrkit.models.saved_model import SavedModel


class Padded(NamedTuple):
    """Sequences of one batch, padded to the longest: values (B, L, ...) and lengths (B,)."""

    values: Tensor
    lengths_B: Tensor

    def to(self, device: torch.device) -> "Padded":
        """Copy to a device."""
        return Padded(self.values.to(device), self.lengths_B.to(device))


class ClipBatch(NamedTuple):
    """What a model is given of B clips.

    Args:
        frames: (B, T, F) frames of each audio encoder, in the recipe's order; most models have one.
        captions: generated captions of the clips, prepared by `prepare_auxiliary`; None without auxiliary captions.
    """

    frames: tuple[Padded, ...]
    captions: Padded | None = None


@dataclass(frozen=True, eq=False)
class ClipInputs:
    """What a model is given of all clips of a split.

    Args:
        frames: of each audio encoder, all of the same clips in the same order.
        captions: one prepared generated caption per clip, or None.

    Raises:
        UsageError: no frames, or counts of clips that differ.
    """

    frames: tuple[Ragged, ...]
    captions: Ragged | None = None

    def __post_init__(self) -> None:
        parts = [*self.frames, *([] if self.captions is None else [self.captions])]
        if not self.frames or len({len(part) for part in parts}) > 1:
            raise UsageError(f"clip inputs of {[len(part) for part in parts]} clips: the counts must agree")

    def __len__(self) -> int:
        """Number of clips, A."""
        return len(self.frames[0])

    @property
    def lengths_A(self) -> Tensor:
        """Frames of each clip by the first encoder, (A,)."""
        return self.frames[0].lengths_A

    def gather(self, index_B: Tensor) -> ClipBatch:
        """Take clips by index; frames are padded to the longest of them."""
        captions = None if self.captions is None else Padded(*self.captions.gather(index_B))
        return ClipBatch(tuple(Padded(*frames.gather(index_B)) for frames in self.frames), captions)

    def to(self, device: torch.device) -> "ClipInputs":
        """Copy to a device."""
        captions = None if self.captions is None else self.captions.to(device)
        return ClipInputs(tuple(frames.to(device) for frames in self.frames), captions)


class SimilarityTerm(NamedTuple):
    """One matrix of similarities of a batch; row i is clip i, column j is caption j, higher is more similar.

    Args:
        name: how metrics and messages call it.
        weight: of its loss in the sum.
        similarity_BB: of every clip with every caption of the batch, cosines or of their size.
    """

    name: str
    weight: float
    similarity_BB: Tensor


class Retriever(SavedModel):
    """A retrieval model that is trained by steps: similarities of batches, and captions prepared once.

    Attributes:
        reads_generated: whether it reads a generated caption of each clip, `ClipBatch.captions`; False unless a
            subclass says otherwise.
    """

    reads_generated: bool = False

    @abstractmethod
    def fit_standardisation(self, frames: Sequence[Ragged]) -> int:
        """Take mean and standard deviation from all training frames of each encoder.

        Returns:
            How many features are constant; those are centred and not scaled.
        """

    @abstractmethod
    def prepare_captions(self, captions: Sequence[str], *, batch_size: int = 64) -> Ragged:
        """Turn captions into the numbers that `similarity_terms` takes, one sequence per caption.

        Raises:
            UsageError: a caption without words.
        """

    def prepare_auxiliary(self, captions: Sequence[str], *, batch_size: int = 64) -> Ragged:
        """Turn one generated caption per clip into the numbers that `ClipBatch.captions` holds.

        Raises:
            UsageError: the model has no use for generated captions.
        """
        raise UsageError(f"a model of kind {self.kind} reads no generated captions")

    @abstractmethod
    def similarity_terms(self, clips: ClipBatch, texts: Padded) -> tuple[SimilarityTerm, ...]:
        """Similarities of every clip with every caption of a batch, for training and validation loss."""

    @abstractmethod
    def count_unknown_words(self, captions: Sequence[str]) -> Counter[str]:
        """Count the words of captions that the text side does not know, each by its occurrences."""

    @abstractmethod
    def count_cut_captions(self, captions: Sequence[str]) -> int:
        """Count the captions whose end the text side does not read, because they are too long for it."""

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode inside, and afterwards the mode that was."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)
