"""A retrieval model whose score is what co-attention makes of a pair of clip and caption (paper 002)."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from atrkit.models.co_attention import CoAttention, CoAttentionMode, Side
from atrkit.models.frame_side import FrameSide
from atrkit.models.pooling import MeanPooling
from atrkit.models.ragged import Ragged
from atrkit.models.retriever import ClipBatch, Padded, Retriever, SimilarityTerm
from atrkit.models.text_towers import TEXT_FOLDER
from atrkit.models.token_towers import TokenTower, restore_token_tower

# hidden values of the feed-forward parts that training keeps for the backward pass: 0.5 GB in float32
_KEPT_VALUES = 1 << 27


class CoAttentionRetriever(Retriever):
    """Scores every pair of a clip and a caption by what co-attention makes of both.

    Frames are standardised, pass a small MLP and are projected to the width of the words; co-attention refines both
    sides, each is averaged over what is there, and the cosine of the two means is the score, so that temperature and
    margin of a loss mean what they mean to a dual encoder. A clip has no vector of its own: nothing can be indexed,
    and each pair costs a pass.

    Args:
        frame_dim: width of a frame, F.
        text: gives every word of a caption.
        mode: see `CoAttention`.
        num_layers: see `CoAttention`.
        dim: width of frames and words inside, D.
        num_heads: divides D.
        ff_dim: width of the feed-forward parts.
        dropout: inside co-attention.
        hidden_dims: widths of the frame MLP's layers, each followed by ReLU and dropout; none: no MLP.
        frame_dropout: after each layer of the MLP.

    Raises:
        UsageError: as `CoAttention`.

    Source: paper 002, abstract and figures 1 to 4. Standardisation, the MLP, and the cosine of means, where MCAN learns
    a weighted sum, are our choice.

    Example:
        >>> from atrkit.models.token_towers import WordTokens
        >>> from atrkit.text.vocabulary import Vocabulary
        >>> words = WordTokens(Vocabulary.from_captions(["rain falls"]).words, dim=8)
        >>> model = CoAttentionRetriever(4, words, dim=8, num_heads=2, ff_dim=16)
        >>> clips = ClipBatch((Padded(torch.randn(2, 3, 4), torch.tensor([3, 2])),))
        >>> captions = Padded(*model.prepare_captions(["rain", "rain falls"]).gather(torch.tensor([0, 1])))
        >>> model.similarity_terms(clips, captions)[0].similarity_BB.shape
        torch.Size([2, 2])
    """

    kind = "co_attention"

    def __init__(
        self,
        frame_dim: int,
        text: TokenTower,
        *,
        mode: CoAttentionMode = "single",
        num_layers: int = 1,
        dim: int = 512,
        num_heads: int = 8,
        ff_dim: int = 2048,
        dropout: float = 0.1,
        hidden_dims: Sequence[int] = (),
        frame_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        own: dict[str, Any] = {
            "mode": mode,
            "num_layers": num_layers,
            "num_heads": num_heads,
            "ff_dim": ff_dim,
            "dropout": dropout,
        }
        self.arguments = {
            "frame_dim": frame_dim,
            "text": text.arguments,
            "dim": dim,
            "hidden_dims": list(hidden_dims),
            "frame_dropout": frame_dropout,
            **own,
        }
        self.dim = dim
        self.text = text
        self.frame_side = FrameSide(frame_dim, dim, hidden_dims=hidden_dims, dropout=frame_dropout)
        self.word_projection = nn.Linear(text.token_dim, dim)
        self.co_attention = CoAttention(dim, **own)
        self._pooling = MeanPooling(dim)

    def fit_standardisation(self, frames: Sequence[Ragged]) -> int:
        """As `FrameSide.fit_standardisation`, of the one encoder's frames."""
        (only,) = frames
        return self.frame_side.fit_standardisation(only.values)

    def prepare_captions(self, captions: Sequence[str], *, batch_size: int = 64) -> Ragged:
        """As the text side prepares them."""
        return self.text.prepare(captions, batch_size=batch_size)

    def start_clips(self, frames_BTF: Tensor, lengths_B: Tensor) -> Side:
        """What depends on clips alone: raw frames, padded with anything finite, up to their first self-attention."""
        return self.co_attention.start_frames(self.frame_side(frames_BTF), lengths_B)

    def start_captions(self, inputs: Tensor, lengths_B: Tensor) -> Side:
        """What depends on captions alone: what `prepare_captions` gave, padded, up to its first self-attention."""
        words_BLF, word_lengths_B, _ = self.text(inputs, lengths_B)
        return self.co_attention.start_words(self.word_projection(words_BLF), word_lengths_B)

    def score_pairs(self, frames: Side, words: Side) -> Tensor:
        """Cosine of the refined means of P pairs, (P,)."""
        frames_PTD, words_PLD = self.co_attention.refine(frames, words)
        audio_emb_PD = functional.normalize(self._pooling(frames_PTD, frames.lengths_P).float(), dim=-1)
        text_emb_PD = functional.normalize(self._pooling(words_PLD, words.lengths_P).float(), dim=-1)
        return (audio_emb_PD * text_emb_PD).sum(dim=-1)

    def similarity_terms(self, clips: ClipBatch, texts: Padded) -> tuple[SimilarityTerm, ...]:
        """The score of every clip with every caption: B x B passes through guided attention.

        Clips go through in groups. Where training would keep more than 2^27 hidden values for the backward pass, each
        group is computed a second time there instead, with the same dropout: a third more work, and memory for one.
        """
        frames, words = self.start_clips(*clips.frames[0]), self.start_captions(*texts)
        captions, longest = words.x_PTD.shape[:2]
        values_per_pair = (
            self.co_attention.units_per_pair * (frames.x_PTD.shape[1] + longest) * self.co_attention.ff_dim
        )
        step = max(1, _KEPT_VALUES // (values_per_pair * captions))
        is_kept = step >= len(frames.x_PTD) or not torch.is_grad_enabled()
        rows = []
        for start in range(0, len(frames.x_PTD), step):
            group = Side(*(part[start : start + step] for part in frames))
            if is_kept:
                rows.append(self._score_group(group, words))
            else:
                rows.append(checkpoint(self._score_group, group, words, use_reentrant=False))
        return (SimilarityTerm("co_attention", 1.0, torch.cat(rows)),)

    def _score_group(self, frames: Side, words: Side) -> Tensor:
        """Every clip of a group with every caption."""
        clips, captions = len(frames.x_PTD), len(words.x_PTD)
        of_clips = Side(*(part[:, None].expand(-1, captions, *part.shape[1:]).flatten(0, 1) for part in frames))
        of_captions = Side(*(part.expand(clips, *part.shape).flatten(0, 1) for part in words))
        return self.score_pairs(of_clips, of_captions).view(clips, captions)

    def count_unknown_words(self, captions: Sequence[str]) -> Counter[str]:
        """Count the words of captions that the text side does not know, each by its occurrences."""
        return self.text.unknown_words(captions)

    def count_cut_captions(self, captions: Sequence[str]) -> int:
        """Count the captions whose end the text side does not read, because they are too long for it."""
        return self.text.count_cut(captions)

    def extra_files(self) -> dict[str, bytes]:
        """Configuration and tokenizer of a text network."""
        return {f"{TEXT_FOLDER}/{name}": content for name, content in self.text.files().items()}

    @classmethod
    def _from_config(cls, config: dict[str, Any], folder: Path) -> "CoAttentionRetriever":
        remaining = dict(config)
        return cls(text=restore_token_tower(remaining.pop("text"), folder), **remaining)
