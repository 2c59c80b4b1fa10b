"""The shallow GRU decoder of paper 001's captioner."""

from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from atrkit.models.caption_decoder import CaptionDecoder, DecoderState
from atrkit.text.vocabulary import PAD_ID


@dataclass(frozen=True, eq=False)
class GruState(DecoderState):
    """Hidden state (B, D), the frames (B, T, D), their keys (B, T, D), and which of them are valid (B, T)."""

    hidden_BD: Tensor
    memory_BTD: Tensor
    keys_BTD: Tensor
    is_valid_BT: Tensor

    def select(self, index_N: Tensor) -> Self:
        """States of some rows."""
        return type(self)(
            self.hidden_BD.index_select(0, index_N),
            self.memory_BTD.index_select(0, index_N),
            self.keys_BTD.index_select(0, index_N),
            self.is_valid_BT.index_select(0, index_N),
        )


class GruDecoder(CaptionDecoder):
    """One unidirectional GRU layer; before every word it looks at the frames by additive attention.

    Args:
        vocab_size: V.
        dim: D, of words, frames and state.
        dropout: of word embeddings and of the state before the classifier.

    Source: paper 001, section 3.2.1 ("a standard shallow single layer unidirectional GRU"). Attention (Bahdanau et al.
    2015), a first state from the mean frame, sizes and dropout are our choice: the paper does not say.
    """

    def __init__(self, vocab_size: int, *, dim: int = 512, dropout: float = 0.2) -> None:
        super().__init__()
        self.dim = dim
        self.dropout = dropout
        self.arguments: dict[str, Any] = {"name": "gru", "dim": dim, "dropout": dropout}
        self.word_embeddings = nn.Embedding(vocab_size, dim, padding_idx=PAD_ID)
        self.first_state = nn.Linear(dim, dim)
        self.attention_key = nn.Linear(dim, dim)
        self.attention_query = nn.Linear(dim, dim, bias=False)
        self.attention_score = nn.Linear(dim, 1, bias=False)
        self.cell = nn.GRUCell(2 * dim, dim)
        self.classifier = nn.Linear(dim, vocab_size)

    def embed_words(self, tokens_BL: Tensor) -> Tensor:
        """Word embeddings (B, L, D)."""
        return self.word_embeddings(tokens_BL)  # type: ignore[no-any-return]

    def forward(self, word_emb_BLD: Tensor, memory_BTD: Tensor, memory_lengths_B: Tensor) -> Tensor:
        """Logits (B, L, V); see CaptionDecoder."""
        state = self.start(memory_BTD, memory_lengths_B)
        word_emb_BLD = F.dropout(word_emb_BLD, self.dropout, self.training)
        hidden = []
        for word_emb_BD in word_emb_BLD.unbind(dim=1):
            state = self.read(word_emb_BD, state)
            hidden.append(state.hidden_BD)
        return self.classify(torch.stack(hidden, dim=1))

    def start(self, memory_BTD: Tensor, memory_lengths_B: Tensor) -> GruState:
        """First state, and the attention's keys."""
        is_valid_BT = torch.arange(memory_BTD.shape[1], device=memory_BTD.device) < memory_lengths_B[:, None]
        mean_BD = (memory_BTD * is_valid_BT[..., None]).sum(dim=1) / memory_lengths_B[:, None]
        return GruState(self.first_state(mean_BD).tanh(), memory_BTD, self.attention_key(memory_BTD), is_valid_BT)

    def step(self, tokens_B: Tensor, state: DecoderState) -> tuple[Tensor, GruState]:
        """Logits (B, V) after one more word; see CaptionDecoder."""
        assert isinstance(state, GruState)
        after = self.read(self.embed_words(tokens_B), state)
        return self.classify(after.hidden_BD), after

    def read(self, word_emb_BD: Tensor, state: GruState) -> GruState:
        """Look at the frames, then read one word."""
        query_B1D = self.attention_query(state.hidden_BD)[:, None]
        score_BT = self.attention_score((state.keys_BTD + query_B1D).tanh())[..., 0]
        weight_BT = score_BT.masked_fill(~state.is_valid_BT, -torch.inf).softmax(dim=1)
        context_BD = (weight_BT[:, None] @ state.memory_BTD)[:, 0]
        hidden_BD = self.cell(torch.cat([word_emb_BD, context_BD], dim=1), state.hidden_BD)
        return GruState(hidden_BD, state.memory_BTD, state.keys_BTD, state.is_valid_BT)

    def classify(self, hidden: Tensor) -> Tensor:
        """Logits (..., V) of hidden states (..., D)."""
        return self.classifier(F.dropout(hidden, self.dropout, self.training))  # type: ignore[no-any-return]
