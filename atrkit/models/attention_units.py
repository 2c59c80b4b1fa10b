"""Attention as MCAN builds it: a unit in which one sequence is guided by itself, or by a sequence of the other side."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from atrkit.errors import UsageError


class AttentionUnit(nn.Module):
    """Multi-head attention and a feed-forward part, each added to its input and normalised.

    With x guided by itself this is a self-attention unit (SA), with x guided by the other modality a guided-attention
    unit (GA): queries are those of x, keys and values those of its guide. There are no positions: the order of the
    guide's items changes nothing, and that of x only the order of the result.

    x' = LayerNorm(x + A(x, guide)); result = LayerNorm(x' + W2 ReLU(W1 x'))

    Args:
        dim: width of both sequences, D.
        num_heads: divides D.
        ff_dim: width of the feed-forward part.
        dropout: on attention weights, inside the feed-forward part, and on what is added.

    Raises:
        UsageError: D is no multiple of the number of heads.

    Source: Yu et al. 2019 (MCAN), section 3.1, which paper 002 builds on; PyTorch's layer norm is our choice.

    Example:
        >>> unit = AttentionUnit(8, num_heads=2, ff_dim=16)
        >>> unit(torch.zeros(1, 3, 8), torch.zeros(1, 5, 8), torch.tensor([4])).shape
        torch.Size([1, 3, 8])
    """

    def __init__(self, dim: int, *, num_heads: int, ff_dim: int, dropout: float = 0.0) -> None:
        super().__init__()
        if dim % num_heads:
            raise UsageError(f"dim is {dim} and num_heads {num_heads}: the first must be a multiple of the second")
        self.num_heads = num_heads
        self.dropout = dropout
        self.query = nn.Linear(dim, dim)
        self.key_value = nn.Linear(dim, 2 * dim)
        self.out = nn.Linear(dim, dim)
        self.norm_attention = nn.LayerNorm(dim)
        self.ff_in = nn.Linear(dim, ff_dim)
        self.ff_out = nn.Linear(ff_dim, dim)
        self.norm_ff = nn.LayerNorm(dim)

    def forward(self, x_PTD: Tensor, guide_PSD: Tensor, guide_lengths_P: Tensor) -> Tensor:
        """Refine x by its guide.

        Args:
            x_PTD: padded with anything finite; rows of the padding come out as something finite that means nothing.
            guide_PSD: padded with anything finite.
            guide_lengths_P: of the guides, 1 or more.

        Returns:
            (P, T, D).
        """
        return self.attend(x_PTD, self.query(x_PTD), self.key_value(guide_PSD), guide_lengths_P)

    def attend(self, x_PTD: Tensor, q_PTD: Tensor, kv_PSD: Tensor, guide_lengths_P: Tensor) -> Tensor:
        """As `forward`, with `query(x)` and `key_value(guide)` already there: of many pairs, each is computed once."""
        keys_PSD, values_PSD = kv_PSD.chunk(2, dim=-1)
        is_there_PS = torch.arange(kv_PSD.shape[1], device=kv_PSD.device) < guide_lengths_P[:, None]
        attended_PHTE = functional.scaled_dot_product_attention(
            self._split_heads(q_PTD),
            self._split_heads(keys_PSD),
            self._split_heads(values_PSD),
            is_there_PS[:, None, None, :],
            dropout_p=self.dropout if self.training else 0.0,
        )
        x_PTD = self.norm_attention(x_PTD + self._dropped(self.out(attended_PHTE.transpose(1, 2).flatten(2))))
        added_PTD = self.ff_out(self._dropped(functional.relu(self.ff_in(x_PTD))))
        return self.norm_ff(x_PTD + self._dropped(added_PTD))  # type: ignore[no-any-return]

    def _split_heads(self, x_PTD: Tensor) -> Tensor:
        """(P, T, D) to (P, H, T, D / H)."""
        pairs, length, dim = x_PTD.shape
        return x_PTD.reshape(pairs, length, self.num_heads, dim // self.num_heads).transpose(1, 2)

    def _dropped(self, x: Tensor) -> Tensor:
        return functional.dropout(x, self.dropout, self.training)
