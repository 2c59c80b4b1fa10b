"""Attention of many words to the frames of few clips: what depends on the clips alone is computed once for each."""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from atrkit.models.transformer_decoder import DecoderLayer
from atrkit.scoring.cross_entropy_products import Product


class CrossAttention:
    """The cross-attention of one decoder layer.

    A query is a product of a row, a score one of a query with a key; both are linear, and so are the two steps from
    weights over values to the output. Where a clip is short, each pair of steps becomes one product with a matrix
    that belongs to the clip, which takes fewer operations and gives the same numbers. Not in half precision, where
    scores and weights would be rounded on their way.

    Args:
        layer: of the decoder.
        dtype: of matrix products.
    """

    def __init__(self, layer: DecoderLayer, dtype: torch.dtype) -> None:
        self.num_heads = layer.num_heads
        self.dtype = dtype
        self.query = Product.of(layer.cross_q, dtype)
        self.keys_values = Product.of(layer.cross_kv, dtype)
        self.out = Product.of(layer.cross_out, dtype)

    def joins_steps(self, frames: int) -> bool:
        """Whether that takes fewer operations for clips of so many frames."""
        dim = self.out.weight_OI.shape[0]
        return self.dtype == torch.float32 and self.num_heads * frames < dim + frames

    def of_clips(self, memory_GTD: Tensor) -> "JoinedSteps | KeysValues":
        """Prepare the frames of G clips of equal length."""
        k, v = self.keys_values(memory_GTD).chunk(2, dim=-1)
        k_GHTE, v_GHTE = split_heads(k, self.num_heads), split_heads(v, self.num_heads)
        if not self.joins_steps(memory_GTD.shape[1]):
            return KeysValues(self, k_GHTE.contiguous(), v_GHTE.contiguous())
        k_GHTE = k_GHTE * k_GHTE.shape[-1] ** -0.5
        by_head = partial(torch.unflatten, sizes=(self.num_heads, -1))
        query_HED = by_head(self.query.weight_OI, 0)
        out_HED = by_head(self.out.weight_OI.T, 0)
        assert self.query.bias_O is not None and self.out.bias_O is not None
        return JoinedSteps(
            num_heads=self.num_heads,
            keys_GDS=(k_GHTE @ query_HED).flatten(1, 2).transpose(1, 2),
            key_bias_G1S=(k_GHTE @ by_head(self.query.bias_O, 0)[..., None]).flatten(1).unsqueeze(1),
            values_GSD=(v_GHTE @ out_HED).flatten(1, 2),
            out_bias_D=self.out.bias_O,
        )


@dataclass(frozen=True, eq=False)
class KeysValues:
    """Keys and values of some clips, (G, H, T, E)."""

    attention: CrossAttention
    k: Tensor
    v: Tensor

    def __call__(self, x_GRD: Tensor, query_GRD: Tensor | None = None) -> Tensor:
        """What attention adds to each row; `query_GRD` where it is known."""
        query_GRD = self.attention.query(x_GRD) if query_GRD is None else query_GRD
        attended = F.scaled_dot_product_attention(split_heads(query_GRD, self.attention.num_heads), self.k, self.v)
        return self.attention.out(join_heads(attended))


@dataclass(frozen=True, eq=False)
class JoinedSteps:
    """From rows to scores, and from weights to the output, in one product each; S is heads times frames."""

    num_heads: int
    keys_GDS: Tensor
    key_bias_G1S: Tensor
    values_GSD: Tensor
    out_bias_D: Tensor

    def __call__(self, x_GRD: Tensor) -> Tensor:
        """What attention adds to each row."""
        score_GRS = torch.baddbmm(self.key_bias_G1S, x_GRD, self.keys_GDS)
        weight_GRS = score_GRS.unflatten(-1, (self.num_heads, -1)).softmax(dim=-1).flatten(2)
        return torch.baddbmm(self.out_bias_D, weight_GRS, self.values_GSD)


def split_heads(x: Tensor, num_heads: int) -> Tensor:
    """(G, L, D) to (G, H, L, E)."""
    heads: Tensor = x.unflatten(-1, (num_heads, -1))
    return heads.transpose(1, 2)


def join_heads(x: Tensor) -> Tensor:
    """(G, H, L, E) to (G, L, D)."""
    return x.transpose(1, 2).flatten(2)
