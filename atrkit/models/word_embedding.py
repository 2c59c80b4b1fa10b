"""Word embeddings of a vocabulary: trained from scratch, or started from a file of word vectors."""

from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from atrkit.errors import UsageError
from atrkit.models.ragged import Ragged
from atrkit.text.normalise import normalise_caption
from atrkit.text.vocabulary import PAD_ID, UNK_ID, Vocabulary


class WordEmbedding(nn.Embedding):
    """One vector for each word of a vocabulary; padding and `<unk>` are zero.

    Words outside the vocabulary become `<unk>`, whose vector is zero: it says nothing, where a vector that
    was never trained would say something random.

    Args:
        vocabulary: all words in the order of their ids (`Vocabulary.words`).
        dim: width of a vector.
        trainable: False keeps the vectors as they are.
    """

    def __init__(self, vocabulary: Sequence[str], dim: int, *, trainable: bool = True) -> None:
        super().__init__(len(vocabulary), dim, padding_idx=PAD_ID)
        self.vocabulary = Vocabulary(tuple(vocabulary))
        with torch.no_grad():
            self.weight[UNK_ID] = 0
        self.weight.requires_grad_(trainable)

    def prepare(self, captions: Sequence[str]) -> Ragged:
        """Word ids of each caption.

        Raises:
            UsageError: a caption without words.
        """
        return Ragged.from_sequences([self.vocabulary.encode(text) for text in normalised(captions)])

    def unknown_words(self, captions: Sequence[str]) -> Counter[str]:
        """Count the words outside the vocabulary."""
        return self.vocabulary.unknown_words(captions)

    @torch.no_grad()
    def start_from(self, vectors_VF: Tensor) -> None:
        """Take vectors for all words; rows of NaN are words without a vector, which keep their random one, scaled.

        Its values are drawn with a standard deviation of 1. Published vectors are smaller (word2vec's values have
        0.15), and among them it would drown every other word: it takes the standard deviation of their values.

        Raises:
            UsageError: another number of words, or another width.
        """
        if vectors_VF.shape != self.weight.shape:
            raise UsageError(f"word vectors are {tuple(vectors_VF.shape)}, the model has {tuple(self.weight.shape)}")
        known_V1 = vectors_VF.isfinite().all(dim=1, keepdim=True)
        scale = vectors_VF[known_V1[:, 0]].std(correction=0) if known_V1.any() else 1.0
        self.weight.copy_(torch.where(known_V1, vectors_VF, self.weight * scale))
        self.weight[[PAD_ID, UNK_ID]] = 0


def normalised(captions: Sequence[str]) -> list[str]:
    """Captions as models read them.

    Raises:
        UsageError: a caption without words.
    """
    texts = [normalise_caption(caption) for caption in captions]
    for caption, text in zip(captions, texts, strict=True):
        if not text:
            raise UsageError(f"the caption {caption!r} has no words: leave it out or write one")
    return texts
