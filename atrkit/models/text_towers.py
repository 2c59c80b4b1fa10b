"""The text side of a dual encoder: word embeddings trained from scratch, or a pretrained text network."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from atrkit.errors import IntegrityError
from atrkit.models.gating import EmbeddingHead
from atrkit.models.pooling import PoolingName, make_pooling
from atrkit.models.ragged import Ragged
from atrkit.models.text_encoders import SentenceEncoder, load_sentence_encoder
from atrkit.models.word_embedding import WordEmbedding, normalised
from atrkit.text.normalise import words_of

TEXT_FOLDER = "text_encoder"  # in a saved model: configuration and tokenizer of its text network


class TextTower(nn.Module, ABC):
    """A text tower reads captions in two steps, so that the first one is done once and not in every epoch.

    `prepare` turns captions into numbers (word ids, token ids, or the sentence embeddings of a frozen network);
    `forward` turns a padded batch of these into unit vectors.

    Attributes:
        out_dim: width of the common space, D.
        arguments: JSON values that make the tower again; `name` says which tower it is.
    """

    out_dim: int
    arguments: dict[str, Any]
    head: nn.Module

    def drop_head(self) -> None:
        """End in the pooled vector of a caption, of any norm: for models that put heads of their own on it."""
        if isinstance(self.head, EmbeddingHead):
            self.out_dim = self.head.projection.in_features
            self.head = nn.Identity()

    @abstractmethod
    def prepare(self, captions: Sequence[str], *, batch_size: int = 64) -> Ragged:
        """Turn captions into the numbers that `forward` takes, one sequence per caption.

        Raises:
            UsageError: a caption without words.
        """

    @abstractmethod
    def unknown_words(self, captions: Sequence[str]) -> Counter[str]:
        """Count the words that this tower does not know, each by its number of occurrences."""

    def count_cut(self, captions: Sequence[str]) -> int:
        """How many captions are longer than this tower reads; their end is left out."""
        return 0

    def files(self) -> dict[str, bytes]:
        """What must be saved beside weights and arguments: file name (below text_encoder/) to content."""
        return {}


class WordTower(TextTower):
    """Word embeddings, learned from the training captions alone or started from a file, pooled, projected, gated.

    Words outside the vocabulary become `<unk>`, whose vector is zero (`WordEmbedding`).

    Args:
        vocabulary: all words in the order of their ids (`Vocabulary.words`).
        out_dim: width of the common space, D.
        word_dim: width of a word embedding.
        dropout: probability, on word embeddings.
        pooling: a `PoolingName`.
        pooling_dim: width of the LSTM's state; the other poolings do not use it.
        clusters: of NetVLAD and NetRVLAD; the other poolings do not use it.
        gating: context gating after the projection.
        trainable: False keeps word embeddings as they are.

    Source: paper 003, sections 2.2 and 3.2.1, whose word vectors are word2vec's; training them is our choice.
    """

    def __init__(
        self,
        vocabulary: Sequence[str],
        out_dim: int = 256,
        *,
        word_dim: int = 128,
        dropout: float = 0.0,
        pooling: PoolingName = "lstm_last",
        pooling_dim: int = 256,
        clusters: int = 12,
        gating: bool = True,
        trainable: bool = True,
    ) -> None:
        super().__init__()
        self.arguments = {
            "name": "words",
            "vocabulary": list(vocabulary),
            "out_dim": out_dim,
            "word_dim": word_dim,
            "dropout": dropout,
            "pooling": pooling,
            "pooling_dim": pooling_dim,
            "clusters": clusters,
            "gating": gating,
            "trainable": trainable,
        }
        self.out_dim = out_dim
        self.embedding = WordEmbedding(vocabulary, word_dim, trainable=trainable)
        self.dropout = nn.Dropout(dropout)
        self.pooling = make_pooling(pooling, word_dim, pooling_dim, clusters)
        self.head: nn.Module = EmbeddingHead(self.pooling.out_dim, out_dim, gating=gating)

    def prepare(self, captions: Sequence[str], *, batch_size: int = 64) -> Ragged:
        """Word ids of each caption."""
        return self.embedding.prepare(captions)

    def forward(self, word_ids_BL: Tensor, lengths_B: Tensor) -> Tensor:
        """Embed padded captions: (B, L) ids and (B,) lengths to (B, D), each row of norm 1."""
        words_BLF = self.dropout(self.embedding(word_ids_BL))
        return self.head(self.pooling(words_BLF, lengths_B))  # type: ignore[no-any-return]

    def unknown_words(self, captions: Sequence[str]) -> Counter[str]:
        """Count the words outside the vocabulary."""
        return self.embedding.unknown_words(captions)


class TransformerTower(TextTower):
    """A pretrained text network, frozen or tuned, projected, gated, normalised.

    Frozen, the network runs once per distinct caption in `prepare`, and training sees only its sentence embeddings;
    tuned, it runs in every step. Captions are normalised as everywhere in atrkit.

    Args:
        encoder: what `load_sentence_encoder` gives.
        source: where it came from, for the record: a folder or hub id.
        out_dim: width of the common space, D.
        frozen: the network is not trained.
        gating: context gating after the projection.

    Source: paper 001, section 3, tunes BERT and takes its [CLS] (pooling "cls" of the encoder).
    """

    def __init__(
        self, encoder: SentenceEncoder, *, source: str, out_dim: int = 256, frozen: bool = True, gating: bool = True
    ) -> None:
        super().__init__()
        self.arguments = {
            "name": "transformer",
            "source": source,
            "pooling": encoder.pooling,
            "max_tokens": encoder.max_tokens,
            "out_dim": out_dim,
            "frozen": frozen,
            "gating": gating,
        }
        self.out_dim = out_dim
        self.frozen = frozen
        self.encoder = encoder.requires_grad_(not frozen)
        self.head: nn.Module = EmbeddingHead(encoder.out_dim, out_dim, gating=gating)
        self.train(self.training)

    @classmethod
    def open(
        cls,
        source: str,
        *,
        pooling: Literal["mean", "cls"] = "mean",
        max_tokens: int | None = None,
        out_dim: int = 256,
        frozen: bool = True,
        gating: bool = True,
    ) -> "TransformerTower":
        """Put a tower around the network at a folder or hub id; see `load_sentence_encoder` for what is raised."""
        encoder = load_sentence_encoder(source, pooling=pooling, max_tokens=max_tokens)
        return cls(encoder, source=source, out_dim=out_dim, frozen=frozen, gating=gating)

    @classmethod
    def restore(
        cls, folder: Path, *, pooling: Literal["mean", "cls"], max_tokens: int, **arguments: Any
    ) -> "TransformerTower":
        """Make the tower from the files that `files` gave, with weights still to be loaded."""
        return cls(SentenceEncoder.restore(folder, pooling=pooling, max_tokens=max_tokens), **arguments)

    def files(self) -> dict[str, bytes]:
        """Configuration of the network and files of the tokenizer."""
        return self.encoder.files()

    def train(self, mode: bool = True) -> "TransformerTower":
        """Set training mode; a frozen network stays in evaluation mode, or its cached output would be untrue."""
        super().train(mode)
        if self.frozen:
            self.encoder.eval()
        return self

    def prepare(self, captions: Sequence[str], *, batch_size: int = 64) -> Ragged:
        """Token ids of each caption, or its sentence embedding when the network is frozen."""
        texts = normalised(captions)
        if not self.frozen:
            return self.encoder.tokenise(texts)
        return Ragged(self.encoder.pooled(texts, batch_size=batch_size).clone(), torch.arange(len(texts) + 1))

    def forward(self, inputs: Tensor, lengths_B: Tensor) -> Tensor:
        """Embed what `prepare` gave, gathered and padded, to (B, D), each row of norm 1."""
        return self.head(inputs[:, 0] if self.frozen else self.encoder(inputs, lengths_B))  # type: ignore[no-any-return]

    def count_cut(self, captions: Sequence[str]) -> int:
        """How many captions have more tokens than `max_tokens`."""
        return self.encoder.count_cut(normalised(captions))

    def unknown_words(self, captions: Sequence[str]) -> Counter[str]:
        """Count the words that the tokenizer replaces by its unknown token."""
        return self.encoder.unknown_words(Counter(word for caption in captions for word in words_of(caption)))


def restore_text_tower(arguments: dict[str, Any], folder: Path) -> TextTower:
    """Make a tower from its `arguments`, with weights still to be loaded.

    Args:
        arguments: as saved.
        folder: of the saved model.

    Raises:
        IntegrityError: it is of a kind that this version does not know, or its files cannot be read.
    """
    remaining = dict(arguments)
    match remaining.pop("name"):
        case "words":
            return WordTower(**remaining)
        case "transformer":
            return TransformerTower.restore(folder / TEXT_FOLDER, **remaining)
        case unknown:
            raise IntegrityError(f"{folder} has a text tower of unknown kind {unknown!r}: update atrkit")
