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

    def step(self, x_ND: Tensor, layer: "LayerState", readers: "Readers") -> tuple[Tensor, "LayerState"]:
        """One word per row after those whose keys and values `layer` holds."""
        x_N1D = x_ND[:, None]
        q, k, v = (self.split_heads(part) for part in self.self_qkv(x_N1D).chunk(3, dim=-1))
        k, v = torch.cat([layer.self_k, k], dim=2), torch.cat([layer.self_v, v], dim=2)
        x_N1D = self.add_self(x_N1D, self._attend(q, k, v))
        q_BHSE = readers.by_clip(self.split_heads(self.cross_q(x_N1D)))
        attended_BHSE = self._attend(q_BHSE, layer.memory_k, layer.memory_v, mask=readers.memory_mask_B11T)
        x_N1D = self.add_cross(x_N1D, readers.by_row(attended_BHSE))
        return self.add_feed_forward(x_N1D)[:, 0], LayerState(k, v, layer.memory_k, layer.memory_v)

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
    """Keys and values of one layer: of the words of N rows (N, H, L, E), and of the frames of B clips (B, H, T, E)."""

    self_k: Tensor
    self_v: Tensor
    memory_k: Tensor
    memory_v: Tensor


@dataclass(frozen=True, eq=False)
class Readers:
    """Which rows read the frames of which clip.

    Rows of one clip, the captions of a beam, attend to its frames together, as if they were the words of one caption:
    keys and values of the frames, which are most of a state, are there once and are not moved when rows are.

    Args:
        clip_N: of each row.
        slot_N: number of each row among those of its clip.
        num_slots: rows of the clip that has most, S.
        memory_mask_B11T: True where a clip has a frame.
    """

    clip_N: Tensor
    slot_N: Tensor
    num_slots: int
    memory_mask_B11T: Tensor

    @classmethod
    def of(cls, clip_N: Tensor, memory_mask_B11T: Tensor) -> Self:
        """Number the rows of each clip."""
        order_N = clip_N.argsort(stable=True)
        rows_B = clip_N.bincount(minlength=len(memory_mask_B11T))
        first_B = rows_B.cumsum(dim=0) - rows_B
        slot_N = torch.empty_like(clip_N)
        slot_N[order_N] = torch.arange(len(clip_N), device=clip_N.device) - first_B[clip_N[order_N]]
        return cls(clip_N, slot_N, int(rows_B.max()) if len(clip_N) else 0, memory_mask_B11T)

    def by_clip(self, x_NH1E: Tensor) -> Tensor:
        """From rows to clips with S slots, (B, H, S, E); zeros where a clip has fewer rows."""
        _, heads, _, dim = x_NH1E.shape
        x_BSHE = x_NH1E.new_zeros(len(self.memory_mask_B11T), self.num_slots, heads, dim)
        x_BSHE[self.clip_N, self.slot_N] = x_NH1E[:, :, 0]
        return x_BSHE.transpose(1, 2)

    def by_row(self, x_BHSE: Tensor) -> Tensor:
        """And back, (N, H, 1, E)."""
        return x_BHSE.transpose(1, 2)[self.clip_N, self.slot_N][:, :, None]


@dataclass(frozen=True, eq=False)
class TransformerState(DecoderState):
    """Keys and values of all layers, who reads them, and how many words were read."""

    layers: tuple[LayerState, ...]
    readers: Readers
    position: int

    def select(self, index_N: Tensor) -> Self:
        """Keys and values of some rows; those of frames that few rows read any more are dropped."""
        clip_N, mask_B11T = self.readers.clip_N[index_N], self.readers.memory_mask_B11T
        used_U, clip_of_used_N = clip_N.unique(return_inverse=True)
        is_worth_it = 2 * len(used_U) <= len(mask_B11T)  # else all would be moved for every clip that ends
        layers = tuple(
            LayerState(
                each.self_k.index_select(0, index_N),
                each.self_v.index_select(0, index_N),
                each.memory_k.index_select(0, used_U) if is_worth_it else each.memory_k,
                each.memory_v.index_select(0, used_U) if is_worth_it else each.memory_v,
            )
            for each in self.layers
        )
        readers = Readers.of(clip_of_used_N, mask_B11T[used_U]) if is_worth_it else Readers.of(clip_N, mask_B11T)
        return type(self)(layers, readers, self.position)


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
            k, v = (part.contiguous() for part in layer.memory_keys_values(memory_BTD))
            nothing = k.new_empty(batch, layer.num_heads, 0, k.shape[-1])
            states.append(LayerState(nothing, nothing, k, v))
        clip_N = torch.arange(batch, device=memory_BTD.device)
        readers = Readers.of(clip_N, _valid_frames(memory_lengths_B, memory_BTD.shape[1]))
        return TransformerState(tuple(states), readers, 0)

    def step(self, tokens_B: Tensor, state: DecoderState) -> tuple[Tensor, TransformerState]:
        """Logits (B, V) after one more word; see CaptionDecoder."""
        assert isinstance(state, TransformerState)
        x_BD = self.add_positions(self.embed_words(tokens_B[:, None]), state.position)[:, 0]
        states = []
        for layer, layer_state in zip(self.decoder_layers(), state.layers, strict=True):
            x_BD, after = layer.step(x_BD, layer_state, state.readers)
            states.append(after)
        return self.classifier(x_BD), TransformerState(tuple(states), state.readers, state.position + 1)

    def decoder_layers(self) -> list[DecoderLayer]:
        """The layers, with their type."""
        return [layer for layer in self.layers if isinstance(layer, DecoderLayer)]


def _valid_frames(lengths_B: Tensor, longest: int) -> Tensor:
    """(B, 1, 1, T), True where there is a frame."""
    return (torch.arange(longest, device=lengths_B.device) < lengths_B[:, None])[:, None, None, :]
