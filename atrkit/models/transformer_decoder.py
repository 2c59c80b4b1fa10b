"""The transformer decoder of paper 004: post-norm layers over words, with attention to the frames of a clip.

Written out instead of torch's `nn.TransformerDecoder`, which keeps no keys and values between words and offers no way
to share what depends on the clip alone; the tests hold that both give the same numbers.
"""

import math
from dataclasses import dataclass
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from atrkit.errors import UsageError
from atrkit.models.caption_decoder import CaptionDecoder, DecoderState
from atrkit.models.positions import sinusoidal_positions
from atrkit.text.vocabulary import PAD_ID

ActivationName = Literal["gelu", "relu"]


class DecoderLayer(nn.Module):
    """Self-attention, cross-attention and a feed-forward part, each added to its input and normalised after that.

    Args:
        dim: D.
        num_heads: attention heads; divides D.
        ff_dim: width of the feed-forward part.
        dropout: of attention weights, of the feed-forward part's hidden units, and of each part's output.
        activation: of the feed-forward part.
    """

    def __init__(self, dim: int, num_heads: int, ff_dim: int, dropout: float, activation: ActivationName) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.dropout = dropout
        self.activation = activation
        self.self_qkv = nn.Linear(dim, 3 * dim)
        self.self_out = nn.Linear(dim, dim)
        self.cross_q = nn.Linear(dim, dim)
        self.cross_kv = nn.Linear(dim, 2 * dim)
        self.cross_out = nn.Linear(dim, dim)
        self.ff_in = nn.Linear(dim, ff_dim)
        self.ff_out = nn.Linear(ff_dim, dim)
        self.norm_self = nn.LayerNorm(dim)
        self.norm_cross = nn.LayerNorm(dim)
        self.norm_ff = nn.LayerNorm(dim)
        self._initialise()

    def _initialise(self) -> None:
        """As torch's MultiheadAttention: attention inputs uniform by Glorot, attention biases zero (our choice)."""
        dim = self.cross_q.in_features
        for weight in (*self.self_qkv.weight.split(dim), self.cross_q.weight, *self.cross_kv.weight.split(dim)):
            nn.init.xavier_uniform_(weight)
        for linear in (self.self_qkv, self.self_out, self.cross_q, self.cross_kv, self.cross_out):
            nn.init.zeros_(linear.bias)

    def forward(self, x_BLD: Tensor, memory_BTD: Tensor, memory_mask_B11T: Tensor) -> Tensor:
        """One layer over whole captions, each position seeing those up to itself."""
        q, k, v = (self.split_heads(part) for part in self.self_qkv(x_BLD).chunk(3, dim=-1))
        x_BLD = self.add_self(x_BLD, self._attend(q, k, v, is_causal=True))
        q = self.split_heads(self.cross_q(x_BLD))
        k, v = self.memory_keys_values(memory_BTD)
        x_BLD = self.add_cross(x_BLD, self._attend(q, k, v, mask=memory_mask_B11T))
        return self.add_feed_forward(x_BLD)

    def memory_keys_values(self, memory_BTD: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of the frames, (B, H, T, D / H) each: they depend on the clip alone."""
        k, v = self.cross_kv(memory_BTD).chunk(2, dim=-1)
        return self.split_heads(k), self.split_heads(v)

    def step(self, x_BD: Tensor, layer: "LayerState", memory_mask_B11T: Tensor) -> tuple[Tensor, "LayerState"]:
        """One word per row after those whose keys and values `layer` holds."""
        x_B1D = x_BD[:, None]
        q, k, v = (self.split_heads(part) for part in self.self_qkv(x_B1D).chunk(3, dim=-1))
        k, v = torch.cat([layer.self_k, k], dim=2), torch.cat([layer.self_v, v], dim=2)
        x_B1D = self.add_self(x_B1D, self._attend(q, k, v))
        q = self.split_heads(self.cross_q(x_B1D))
        x_B1D = self.add_cross(x_B1D, self._attend(q, layer.memory_k, layer.memory_v, mask=memory_mask_B11T))
        return self.add_feed_forward(x_B1D)[:, 0], LayerState(k, v, layer.memory_k, layer.memory_v)

    def add_self(self, x: Tensor, attended_BHLE: Tensor) -> Tensor:
        """Project what self-attention gave, add it, normalise."""
        return self.norm_self(x + self._dropped(self.self_out(self.join_heads(attended_BHLE))))  # type: ignore[no-any-return]

    def add_cross(self, x: Tensor, attended_BHLE: Tensor) -> Tensor:
        """Project what cross-attention gave, add it, normalise."""
        return self.norm_cross(x + self._dropped(self.cross_out(self.join_heads(attended_BHLE))))  # type: ignore[no-any-return]

    def add_feed_forward(self, x: Tensor) -> Tensor:
        """The feed-forward part, added and normalised."""
        hidden = self.ff_in(x)
        hidden = F.gelu(hidden) if self.activation == "gelu" else F.relu(hidden)
        return self.norm_ff(x + self._dropped(self.ff_out(self._dropped(hidden))))  # type: ignore[no-any-return]

    def split_heads(self, x_BLD: Tensor) -> Tensor:
        """(B, L, D) to (B, H, L, D / H)."""
        *batch, length, dim = x_BLD.shape
        return x_BLD.reshape(*batch, length, self.num_heads, dim // self.num_heads).transpose(-3, -2)

    @staticmethod
    def join_heads(x_BHLE: Tensor) -> Tensor:
        """(B, H, L, D / H) to (B, L, D)."""
        return x_BHLE.transpose(-3, -2).flatten(-2)

    def _attend(
        self, q_BHLE: Tensor, k_BHSE: Tensor, v_BHSE: Tensor, *, mask: Tensor | None = None, is_causal: bool = False
    ) -> Tensor:
        dropout = self.dropout if self.training else 0.0
        return F.scaled_dot_product_attention(q_BHLE, k_BHSE, v_BHSE, mask, dropout_p=dropout, is_causal=is_causal)

    def _dropped(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training)


@dataclass(frozen=True, eq=False)
class LayerState:
    """Keys and values of one layer: of the words so far (B, H, L, E), and of the frames (B, H, T, E)."""

    self_k: Tensor
    self_v: Tensor
    memory_k: Tensor
    memory_v: Tensor


@dataclass(frozen=True, eq=False)
class TransformerState(DecoderState):
    """Keys and values of all layers, which frames are valid, and how many words were read."""

    layers: tuple[LayerState, ...]
    memory_mask_B11T: Tensor
    position: int

    def select(self, index_N: Tensor) -> Self:
        """Keys and values of some rows."""
        layers = tuple(
            LayerState(s.self_k[index_N], s.self_v[index_N], s.memory_k[index_N], s.memory_v[index_N])
            for s in self.layers
        )
        return type(self)(layers, self.memory_mask_B11T[index_N], self.position)


class TransformerDecoder(CaptionDecoder):
    """A standard transformer decoder: scaled word embeddings plus sinusoidal positions, post-norm layers, no norm last.

    Args:
        vocab_size: V.
        dim: D.
        num_layers: decoder layers.
        num_heads: per layer; divides D.
        ff_dim: width of the feed-forward parts.
        dropout: everywhere in the decoder.
        activation: of the feed-forward parts.

    Raises:
        UsageError: D is no multiple of the number of heads.

    Source: paper 004, section 2.1: six layers, four heads, feed-forward dimension 2048, GELU, dropout 0.2. D = 256,
    post-norm, embeddings times sqrt(D) as in Vaswani et al. 2017, and word embeddings that begin with variance 1 / D
    are our choice.
    """

    def __init__(
        self,
        vocab_size: int,
        *,
        dim: int = 256,
        num_layers: int = 6,
        num_heads: int = 4,
        ff_dim: int = 2048,
        dropout: float = 0.2,
        activation: ActivationName = "gelu",
    ) -> None:
        super().__init__()
        if dim % num_heads:
            raise UsageError(f"d_model is {dim} and num_heads {num_heads}: the first must be a multiple of the second")
        self.dim = dim
        self.dropout = dropout
        self.arguments: dict[str, Any] = {
            "name": "transformer",
            "dim": dim,
            "num_layers": num_layers,
            "num_heads": num_heads,
            "ff_dim": ff_dim,
            "dropout": dropout,
            "activation": activation,
        }
        self.word_embeddings = nn.Embedding(vocab_size, dim, padding_idx=PAD_ID)
        nn.init.normal_(self.word_embeddings.weight, std=dim**-0.5)
        with torch.no_grad():
            self.word_embeddings.weight[PAD_ID] = 0
        self.layers = nn.ModuleList(
            DecoderLayer(dim, num_heads, ff_dim, dropout, activation) for _ in range(num_layers)
        )
        self.classifier = nn.Linear(dim, vocab_size)

    def embed_words(self, tokens_BL: Tensor) -> Tensor:
        """Word embeddings (B, L, D) before scaling and positions."""
        return self.word_embeddings(tokens_BL)  # type: ignore[no-any-return]

    def add_positions(self, word_emb_BLD: Tensor, first: int = 0) -> Tensor:
        """What the first layer reads: embeddings times sqrt(D), plus positions from `first` on, no dropout."""
        length = word_emb_BLD.shape[-2]
        positions_LD = sinusoidal_positions(first + length, self.dim, word_emb_BLD.device)[first:]
        return word_emb_BLD * math.sqrt(self.dim) + positions_LD

    def forward(self, word_emb_BLD: Tensor, memory_BTD: Tensor, memory_lengths_B: Tensor) -> Tensor:
        """Logits (B, L, V); see CaptionDecoder."""
        memory_mask_B11T = _valid_frames(memory_lengths_B, memory_BTD.shape[1])
        x_BLD = F.dropout(self.add_positions(word_emb_BLD), self.dropout, self.training)
        for layer in self.layers:
            x_BLD = layer(x_BLD, memory_BTD, memory_mask_B11T)
        return self.classifier(x_BLD)  # type: ignore[no-any-return]

    def start(self, memory_BTD: Tensor, memory_lengths_B: Tensor) -> TransformerState:
        """Keys and values of the frames in every layer."""
        batch = len(memory_BTD)
        states = []
        for layer in self.decoder_layers():
            k, v = layer.memory_keys_values(memory_BTD)
            nothing = k.new_empty(batch, layer.num_heads, 0, k.shape[-1])
            states.append(LayerState(nothing, nothing, k, v))
        return TransformerState(tuple(states), _valid_frames(memory_lengths_B, memory_BTD.shape[1]), 0)

    def step(self, tokens_B: Tensor, state: DecoderState) -> tuple[Tensor, TransformerState]:
        """Logits (B, V) after one more word; see CaptionDecoder."""
        assert isinstance(state, TransformerState)
        x_BD = self.add_positions(self.embed_words(tokens_B[:, None]), state.position)[:, 0]
        states = []
        for layer, layer_state in zip(self.decoder_layers(), state.layers, strict=True):
            x_BD, after = layer.step(x_BD, layer_state, state.memory_mask_B11T)
            states.append(after)
        return self.classifier(x_BD), TransformerState(tuple(states), state.memory_mask_B11T, state.position + 1)

    def decoder_layers(self) -> list[DecoderLayer]:
        """The layers, with their type."""
        return [layer for layer in self.layers if isinstance(layer, DecoderLayer)]


def _valid_frames(lengths_B: Tensor, longest: int) -> Tensor:
    """(B, 1, 1, T), True where there is a frame."""
    return (torch.arange(longest, device=lengths_B.device) < lengths_B[:, None])[:, None, None, :]
