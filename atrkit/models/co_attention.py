"""Co-attention: frames and words of a pair refine each other (paper 002)."""

from typing import Any, Literal, NamedTuple

from torch import Tensor, nn

from atrkit.errors import UsageError
from atrkit.models.attention_units import AttentionUnit

CoAttentionMode = Literal["single", "stacking", "iterating"]


class Side(NamedTuple):
    """One side of P pairs on its way through co-attention, each (P, T or L, ...).

    Args:
        x_PTD: frames or words so far.
        q_PTD: their queries to the other side.
        kv_PTD: their keys and values for the other side.
        lengths_P: how many there are.
    """

    x_PTD: Tensor
    q_PTD: Tensor
    kv_PTD: Tensor
    lengths_P: Tensor


class CoAttentionLayer(nn.Module):
    """One layer: self-attention of both sides, then each guided by the other.

    Both guided units see what self-attention gave, not each other's result: neither modality comes first.

    Args:
        dim: width of frames and words, D.
        num_heads: divides D.
        ff_dim: width of the feed-forward parts.
        dropout: everywhere inside.

    Source: paper 002, figures 2 and 3; the order of the two guided units is our choice.
    """

    def __init__(self, dim: int, *, num_heads: int, ff_dim: int, dropout: float) -> None:
        super().__init__()
        sizes: dict[str, Any] = {"num_heads": num_heads, "ff_dim": ff_dim, "dropout": dropout}
        self.frames_self = AttentionUnit(dim, **sizes)
        self.words_self = AttentionUnit(dim, **sizes)
        self.frames_guided = AttentionUnit(dim, **sizes)
        self.words_guided = AttentionUnit(dim, **sizes)

    def start_frames(self, x_PTD: Tensor, lengths_P: Tensor) -> Side:
        """Self-attention of frames, and what their words will ask of them: it depends on the clip alone."""
        return self.ask_frames(self.frames_self(x_PTD, x_PTD, lengths_P), lengths_P)

    def start_words(self, x_PLD: Tensor, lengths_P: Tensor) -> Side:
        """As `start_frames`, of words."""
        return self.ask_words(self.words_self(x_PLD, x_PLD, lengths_P), lengths_P)

    def ask_frames(self, x_PTD: Tensor, lengths_P: Tensor) -> Side:
        """Queries, keys and values of frames."""
        return Side(x_PTD, self.frames_guided.query(x_PTD), self.words_guided.key_value(x_PTD), lengths_P)

    def ask_words(self, x_PLD: Tensor, lengths_P: Tensor) -> Side:
        """Queries, keys and values of words."""
        return Side(x_PLD, self.words_guided.query(x_PLD), self.frames_guided.key_value(x_PLD), lengths_P)

    def guide(self, frames: Side, words: Side) -> tuple[Tensor, Tensor]:
        """Guided attention both ways, (P, T, D) and (P, L, D)."""
        refined_PTD = self.frames_guided.attend(frames.x_PTD, frames.q_PTD, words.kv_PTD, words.lengths_P)
        refined_PLD = self.words_guided.attend(words.x_PTD, words.q_PTD, frames.kv_PTD, frames.lengths_P)
        return refined_PTD, refined_PLD


class CoAttention(nn.Module):
    """Frames and words of a pair, refined by each other: once, in a stack, or in rounds.

    - single: one layer, self-attention on both sides and then guided attention both ways.
    - stacking: `num_layers` such layers, each with weights of its own; what one gives is what the next one reads.
    - iterating: self-attention once, then `num_layers` rounds of guided attention, all with the same weights. So we
      read figure 4's "trains the network hierarchically by iterating the embedding only requiring self-attention
      first"; the paper's equations were not at hand.

    The first self-attention depends on one side alone: `start_frames` and `start_words` compute it once per clip and
    once per caption, and `refine` what is left for each pair. Order is not heard: there are no positions, so frames or
    words in another order give the same rows in that order. Words that know their place (RoBERTa, a GRU) bring it.

    Args:
        dim: width of frames and words, D.
        mode: "single", "stacking" or "iterating".
        num_layers: layers of stacking, rounds of iterating; 1 of single.
        num_heads: attention heads; divides D.
        ff_dim: width of the feed-forward parts.
        dropout: everywhere inside.

    Raises:
        UsageError: D is no multiple of the heads, or single with several layers.

    Source: paper 002, figures 2 to 4; units and stacking are those of Yu et al. 2019 (MCAN). Sizes and the absence of
    positions are our choice.

    Example:
        >>> import torch
        >>> layer = CoAttention(8, mode="iterating", num_layers=3, num_heads=2, ff_dim=16).eval()
        >>> frames_PTD, words_PLD = torch.randn(2, 5, 8), torch.randn(2, 4, 8)
        >>> clip, caption = layer(frames_PTD, torch.tensor([5, 3]), words_PLD, torch.tensor([2, 4]))
        >>> clip.shape, caption.shape
        (torch.Size([2, 5, 8]), torch.Size([2, 4, 8]))
    """

    def __init__(
        self,
        dim: int,
        *,
        mode: CoAttentionMode = "single",
        num_layers: int = 1,
        num_heads: int = 8,
        ff_dim: int = 2048,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if mode not in ("single", "stacking", "iterating"):
            raise UsageError(f"no co-attention is called {mode!r}: choose single, stacking or iterating")
        if num_layers < 1 or (mode == "single" and num_layers != 1):
            raise UsageError(
                f"mode {mode} with num_layers {num_layers}: single has 1, stacking and iterating 1 or more"
            )
        self.mode = mode
        self.ff_dim = ff_dim
        count = num_layers if mode == "stacking" else 1
        self.layers = nn.ModuleList(
            CoAttentionLayer(dim, num_heads=num_heads, ff_dim=ff_dim, dropout=dropout) for _ in range(count)
        )
        self._rounds = num_layers - count

    @property
    def units_per_pair(self) -> int:
        """Units that each side of a pair goes through in `refine`: what training keeps of a pair grows with them."""
        return 2 * len(self.layers) - 1 + self._rounds

    def forward(
        self, frames_PTD: Tensor, frame_lengths_P: Tensor, words_PLD: Tensor, word_lengths_P: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Refine both sides of pairs.

        Args:
            frames_PTD: padded with anything finite.
            frame_lengths_P: 1 or more.
            words_PLD: padded with anything finite.
            word_lengths_P: 1 or more.

        Returns:
            Refined frames (P, T, D) and words (P, L, D); rows of the padding are finite and mean nothing.
        """
        return self.refine(self.start_frames(frames_PTD, frame_lengths_P), self.start_words(words_PLD, word_lengths_P))

    def start_frames(self, frames_BTD: Tensor, lengths_B: Tensor) -> Side:
        """What depends on the clip alone."""
        return self._layers()[0].start_frames(frames_BTD, lengths_B)

    def start_words(self, words_BLD: Tensor, lengths_B: Tensor) -> Side:
        """What depends on the caption alone."""
        return self._layers()[0].start_words(words_BLD, lengths_B)

    def refine(self, frames: Side, words: Side) -> tuple[Tensor, Tensor]:
        """What depends on both: the rest of `forward`, for pairs of what `start_frames` and `start_words` gave."""
        first, *more = self._layers()
        frames_PTD, words_PLD = first.guide(frames, words)
        for layer in more:
            frames_PTD, words_PLD = layer.guide(
                layer.start_frames(frames_PTD, frames.lengths_P), layer.start_words(words_PLD, words.lengths_P)
            )
        for _ in range(self._rounds):
            frames_PTD, words_PLD = first.guide(
                first.ask_frames(frames_PTD, frames.lengths_P), first.ask_words(words_PLD, words.lengths_P)
            )
        return frames_PTD, words_PLD

    def _layers(self) -> list[CoAttentionLayer]:
        return [layer for layer in self.layers if isinstance(layer, CoAttentionLayer)]
