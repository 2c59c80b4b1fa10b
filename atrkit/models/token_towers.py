"""Text sides that keep every word: a vector for each word of a caption, and one for the whole caption.

Models that compare frames with words (paper 001), or let them attend to each other (paper 002), read captions through
one of these; `text_towers` gives one vector per caption instead.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from atrkit.errors import IntegrityError, UsageError
from atrkit.models.distinct import distinct_sequences
from atrkit.models.pooling import MeanPooling, padding_mask_BT
from atrkit.models.ragged import Ragged
from atrkit.models.text_encoders import SentenceEncoder, load_sentence_encoder
from atrkit.models.text_towers import TEXT_FOLDER
from atrkit.models.word_embedding import WordEmbedding, normalised
from atrkit.text.normalise import words_of


class Tokens(NamedTuple):
    """Captions of a batch: words (B, L, F), padded with anything, lengths (B,) of 1 or more, sentences (B, F)."""

    words_BLF: Tensor
    lengths_B: Tensor
    sentence_BF: Tensor


class TokenTower(nn.Module, ABC):
    """A text side that reads captions in two steps, so that the first one is done once and not in every epoch.

    Attributes:
        token_dim: width of a word's vector, F.
        arguments: JSON values that make the tower again; `name` says which tower it is.
    """

    token_dim: int
    arguments: dict[str, Any]

    @abstractmethod
    def prepare(self, captions: Sequence[str], *, batch_size: int = 64) -> Ragged:
        """Turn captions into the numbers that `forward` takes, one sequence per caption.

        Raises:
            UsageError: a caption without words.
        """

    @abstractmethod
    def forward(self, inputs: Tensor, lengths_B: Tensor) -> Tokens:
        """Vectors of what `prepare` gave, gathered and padded."""

    @abstractmethod
    def unknown_words(self, captions: Sequence[str]) -> Counter[str]:
        """Count the words that this tower does not know, each by its number of occurrences."""

    def count_cut(self, captions: Sequence[str]) -> int:
        """How many captions are longer than this tower reads; their end is left out."""
        return 0

    def files(self) -> dict[str, bytes]:
        """What must be saved beside weights and arguments: file name (below text_encoder/) to content."""
        return {}


class WordTokens(TokenTower):
    """Word embeddings, alone or with their neighbours; the sentence is their mean.

    Args:
        vocabulary: all words in the order of their ids (`Vocabulary.words`).
        dim: width of a word embedding.
        dropout: probability, on word embeddings.
        context: "gru" lets a GRU run over the words in both directions, and gives its states in place of the words;
            "none" leaves each word alone.
        trainable: False keeps word embeddings as they are.

    Source: our choice, for machines and data too small for the papers' BERT and RoBERTa.
    """

    def __init__(
        self,
        vocabulary: Sequence[str],
        *,
        dim: int = 128,
        dropout: float = 0.0,
        context: Literal["none", "gru"] = "none",
        trainable: bool = True,
    ) -> None:
        super().__init__()
        if context not in ("none", "gru"):
            raise UsageError(f"no context is called {context!r}: choose none or gru")
        self.arguments = {
            "name": "words",
            "vocabulary": list(vocabulary),
            "dim": dim,
            "dropout": dropout,
            "context": context,
            "trainable": trainable,
        }
        self.embedding = WordEmbedding(vocabulary, dim, trainable=trainable)
        self.dropout = nn.Dropout(dropout)
        self.gru = nn.GRU(dim, dim, batch_first=True, bidirectional=True) if context == "gru" else None
        self.token_dim = dim if self.gru is None else 2 * dim
        self._mean = MeanPooling(self.token_dim)

    def prepare(self, captions: Sequence[str], *, batch_size: int = 64) -> Ragged:
        """Word ids of each caption."""
        return self.embedding.prepare(captions)

    def forward(self, inputs: Tensor, lengths_B: Tensor) -> Tokens:
        """(B, L) word ids to vectors."""
        words_BLF = self.dropout(self.embedding(inputs))
        if self.gru is not None:
            packed = pack_padded_sequence(words_BLF, lengths_B.cpu(), batch_first=True, enforce_sorted=False)
            words_BLF, _ = pad_packed_sequence(self.gru(packed)[0], batch_first=True, total_length=inputs.shape[1])
        return Tokens(words_BLF, lengths_B, self._mean(words_BLF, lengths_B))

    def unknown_words(self, captions: Sequence[str]) -> Counter[str]:
        """Count the words outside the vocabulary."""
        return self.embedding.unknown_words(captions)


class TransformerTokens(TokenTower):
    """Hidden states of a pretrained text network, frozen or tuned; the sentence is its first token, [CLS].

    Frozen, the network runs once per distinct caption in `prepare`, and hidden states are kept in float16; tuned, it
    runs in every step. First and last token, [CLS] and [SEP], are no words: every network of the BERT family has them.

    Args:
        encoder: what `load_sentence_encoder` gives.
        source: where it came from, for the record: a folder or hub id.
        frozen: the network is not trained.

    Raises:
        UsageError: a tokenizer that does not put one token before a text and one after it.

    Source: paper 001, sections 3.1 and 4.2 (BERT, tuned); paper 002, abstract (RoBERTa). float16 is our choice.
    """

    def __init__(self, encoder: SentenceEncoder, *, source: str, frozen: bool = True) -> None:
        super().__init__()
        if encoder.tokenizer.num_special_tokens_to_add() != 2:
            raise UsageError(f"the tokenizer of {source} does not put one token before a text and one after it")
        self.arguments = {
            "name": "transformer",
            "source": source,
            "max_tokens": encoder.max_tokens,
            "frozen": frozen,
        }
        self.frozen = frozen
        self.encoder = encoder.requires_grad_(not frozen)
        self.token_dim = encoder.out_dim
        self.train(self.training)

    @classmethod
    def open(cls, source: str, *, max_tokens: int | None = None, frozen: bool = True) -> "TransformerTokens":
        """Put a tower around the network at a folder or hub id; see `load_sentence_encoder` for what is raised."""
        return cls(load_sentence_encoder(source, pooling="cls", max_tokens=max_tokens), source=source, frozen=frozen)

    @classmethod
    def restore(cls, folder: Path, *, max_tokens: int, **arguments: Any) -> "TransformerTokens":
        """Make the tower from the files that `files` gave, with weights still to be loaded."""
        return cls(SentenceEncoder.restore(folder, pooling="cls", max_tokens=max_tokens), **arguments)

    def files(self) -> dict[str, bytes]:
        """Configuration of the network and files of the tokenizer."""
        return self.encoder.files()

    def train(self, mode: bool = True) -> "TransformerTokens":
        """Set training mode; a frozen network stays in evaluation mode, or its cached output would be untrue."""
        super().train(mode)
        if self.frozen:
            self.encoder.eval()
        return self

    @torch.inference_mode()
    def _hidden(self, tokens: Ragged, batch_size: int) -> Ragged:
        device = next(self.encoder.parameters()).device
        values_NF = torch.empty(len(tokens.values), self.token_dim, dtype=torch.float16)
        for index_B in tokens.lengths_A.argsort(stable=True).split(batch_size):
            token_ids_BL, lengths_B = tokens.gather(index_B)
            hidden_BLF = self.encoder.hidden(token_ids_BL.to(device), lengths_B.to(device)).half().cpu()
            for hidden_LF, start, length in zip(hidden_BLF, tokens.offsets[index_B], lengths_B, strict=True):
                values_NF[start : start + length] = hidden_LF[:length]
        return Ragged(values_NF.clone(), tokens.offsets)

    def prepare(self, captions: Sequence[str], *, batch_size: int = 64) -> Ragged:
        """Token ids of each caption, or its hidden states when the network is frozen."""
        tokens = self.encoder.tokenise(normalised(captions))
        if not self.frozen:
            return tokens
        first_U, place_C = (torch.from_numpy(index) for index in distinct_sequences(tokens))
        if len(first_U) == len(place_C):
            return self._hidden(tokens, batch_size)
        return self._hidden(tokens.select(first_U), batch_size).select(place_C)

    def forward(self, inputs: Tensor, lengths_B: Tensor) -> Tokens:
        """(B, L, F) hidden states, or (B, L) token ids, to vectors of words and sentences."""
        hidden_BLF = inputs if self.frozen else self.encoder.hidden(inputs, lengths_B)
        return Tokens(hidden_BLF[:, 1:-1], lengths_B - 2, hidden_BLF[:, 0])

    def count_cut(self, captions: Sequence[str]) -> int:
        """How many captions have more tokens than `max_tokens`."""
        return self.encoder.count_cut(normalised(captions))

    def unknown_words(self, captions: Sequence[str]) -> Counter[str]:
        """Count the words that the tokenizer replaces by its unknown token."""
        return self.encoder.unknown_words(Counter(word for caption in captions for word in words_of(caption)))


def restore_token_tower(arguments: dict[str, Any], folder: Path) -> TokenTower:
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
            return WordTokens(**remaining)
        case "transformer":
            return TransformerTokens.restore(folder / TEXT_FOLDER, **remaining)
        case unknown:
            raise IntegrityError(f"{folder} has a text side of unknown kind {unknown!r}: update atrkit")


def padding_of(tokens: Tokens) -> Tensor:
    """True where there is no word, (B, L)."""
    return padding_mask_BT(tokens.lengths_B, tokens.words_BLF.shape[1])
