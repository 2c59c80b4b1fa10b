"""Frames that know what a captioner wrote of their clip: paper 001's audio-caption interaction."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from atrkit.errors import UsageError
from atrkit.models.pooling import padding_mask_BT
from atrkit.models.positions import sinusoidal_positions


class AudioCaptionInteraction(nn.Module):
    """Pass a generated caption to the frames of its clip, then mix the frames over time.

    One co-attention layer has frames as queries and the caption's [CLS] vector as its only key and value. With a single
    key every attention weight is 1, whatever the query: each frame gets the same projected caption added. Projections
    of queries and keys would therefore never be used, and there are none. What a frame makes of the caption is decided
    by the layer norm, the feed-forward part, and the transformer encoder layer that follows.

    Args:
        dim: width of frames and caption, D.
        num_heads: attention heads of the second layer; divides D.
        ff_dim: width of both feed-forward parts; None: four times D.
        dropout: of attention weights, of the feed-forward parts' hidden units, and of each part's output.

    Raises:
        UsageError: D is no multiple of the number of heads.

    Source: paper 001, section 3.2.3. Sizes, dropout, ReLU and post-norm are those of Vaswani et al. 2017, and our
    choice. So are sinusoidal positions: only queries and keys of the second layer see them, so that frames attend by
    place and stay what is compared with words.

    Example:
        >>> interaction = AudioCaptionInteraction(dim=8, num_heads=2).eval()
        >>> interaction(torch.ones(1, 5, 8), torch.tensor([3]), torch.ones(1, 8)).shape
        torch.Size([1, 5, 8])
    """

    def __init__(self, dim: int, num_heads: int, *, ff_dim: int | None = None, dropout: float = 0.1) -> None:
        super().__init__()
        if dim % num_heads:
            raise UsageError(f"dim is {dim} and num_heads {num_heads}: the first must be a multiple of the second")
        ff_dim = 4 * dim if ff_dim is None else ff_dim
        self.num_heads = num_heads
        self.dropout = dropout
        self.caption_value = nn.Linear(dim, dim)
        self.caption_out = nn.Linear(dim, dim)
        self.norm_caption = nn.LayerNorm(dim)
        self.caption_ff = _FeedForward(dim, ff_dim, dropout)
        self.query_key = nn.Linear(dim, 2 * dim)
        self.value = nn.Linear(dim, dim)
        self.attention_out = nn.Linear(dim, dim)
        self.norm_attention = nn.LayerNorm(dim)
        self.attention_ff = _FeedForward(dim, ff_dim, dropout)

    def forward(self, frames_BTD: Tensor, lengths_B: Tensor, caption_BD: Tensor) -> Tensor:
        """Enhance frames.

        Args:
            frames_BTD: (B, T, D), padded with anything.
            lengths_B: frames of each clip, at least 1.
            caption_BD: (B, D) [CLS] vector of the caption that was generated for each clip.

        Returns:
            (B, T, D); what stands in the padding means nothing.
        """
        padding_BT = padding_mask_BT(lengths_B, frames_BTD.shape[1])
        x_BTD = frames_BTD.masked_fill(padding_BT[:, :, None], 0)
        caption_B1D = self.caption_out(self.caption_value(caption_BD))[:, None]
        x_BTD = self.norm_caption(x_BTD + self._dropped(caption_B1D))
        x_BTD = self.caption_ff(x_BTD)
        x_BTD = self.norm_attention(x_BTD + self._dropped(self._over_time(x_BTD, padding_BT)))
        return self.attention_ff(x_BTD)  # type: ignore[no-any-return]

    def _over_time(self, x_BTD: Tensor, padding_BT: Tensor) -> Tensor:
        placed_BTD = x_BTD + sinusoidal_positions(x_BTD.shape[1], x_BTD.shape[2], x_BTD.device)
        query_BTD, key_BTD = self.query_key(placed_BTD).chunk(2, dim=-1)
        attended_BHTE = F.scaled_dot_product_attention(
            self._split_heads(query_BTD),
            self._split_heads(key_BTD),
            self._split_heads(self.value(x_BTD)),
            ~padding_BT[:, None, None, :],
            dropout_p=self.dropout if self.training else 0.0,
        )
        return self.attention_out(attended_BHTE.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]

    def _split_heads(self, x_BTD: Tensor) -> Tensor:
        """(B, T, D) to (B, H, T, D / H)."""
        return x_BTD.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)  # type: ignore[no-any-return]

    def _dropped(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training)


class _FeedForward(nn.Module):
    """Two linear layers with ReLU between them, added to their input and normalised."""

    def __init__(self, dim: int, ff_dim: int, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout
        self.inner = nn.Linear(dim, ff_dim)
        self.outer = nn.Linear(ff_dim, dim)
        self.norm = nn.LayerNorm(dim)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """(B, T, D) to (B, T, D)."""
        hidden_BTD = F.dropout(torch.relu(self.inner(x_BTD)), self.dropout, self.training)
        return self.norm(x_BTD + F.dropout(self.outer(hidden_BTD), self.dropout, self.training))  # type: ignore[no-any-return]
