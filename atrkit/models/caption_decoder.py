"""What every caption decoder offers: to training, to the scorer, and to beam search."""

from abc import ABC, abstractmethod
from typing import Any, Self

from torch import Tensor, nn


class DecoderState(ABC):
    """Where a decoder stands in a batch of captions that are being written, word by word."""

    @abstractmethod
    def select(self, index_N: Tensor) -> Self:
        """The states of some rows of the batch, in any order and with repetitions: what a beam keeps."""


class CaptionDecoder(nn.Module, ABC):
    """Predicts the next word from the words so far and the projected frames of a clip (its memory).

    Position l of `forward` sees words 0 to l and every valid frame, and predicts word l + 1. `start` and `step` give
    the same logits a word at a time.

    Attributes:
        dim: width of word embeddings and memory, D.
        arguments: JSON values that make the decoder again; `name` says which one it is.
    """

    dim: int
    arguments: dict[str, Any]

    @abstractmethod
    def embed_words(self, tokens_BL: Tensor) -> Tensor:
        """Word embeddings (B, L, D), without positions and dropout; `<pad>` is a vector of zeros.

        Apart from `forward`, so that training can mix them.
        """

    @abstractmethod
    def forward(self, word_emb_BLD: Tensor, memory_BTD: Tensor, memory_lengths_B: Tensor) -> Tensor:
        """Logits of the next word at every position.

        Args:
            word_emb_BLD: from `embed_words`, `<bos>` first.
            memory_BTD: projected frames, padded with anything finite.
            memory_lengths_B: frames of each clip, 1 or more.

        Returns:
            (B, L, V) logits.
        """

    @abstractmethod
    def start(self, memory_BTD: Tensor, memory_lengths_B: Tensor) -> DecoderState:
        """The state before the first word; whatever depends on the clip alone is computed here, once."""

    @abstractmethod
    def step(self, tokens_B: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """Read one word per row.

        Args:
            tokens_B: `<bos>` at first, then the word that was chosen.
            state: from `start`, `step` or `select`; not changed.

        Returns:
            (B, V) logits of the next word, and the state after this one.
        """
