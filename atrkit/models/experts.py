"""Mixture of embedding experts: one space per audio encoder, and the caption says how much each of them counts."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from atrkit.errors import UsageError
from atrkit.models.cosines import cosines
from atrkit.models.distinct import distinct_sequences
from atrkit.models.embedding_batches import EmbeddingArray, embed_in_batches
from atrkit.models.gating import EmbeddingHead
from atrkit.models.pooling import PoolingName, make_pooling
from atrkit.models.ragged import Ragged
from atrkit.models.retriever import ClipBatch, ClipInputs, Padded, Retriever, SimilarityTerm, evaluating
from atrkit.models.standardisation import mean_and_std
from atrkit.models.text_towers import TEXT_FOLDER, TextTower, restore_text_tower


class ExpertsRetriever(Retriever):
    """MoEE and Collaborative Experts: frames of several encoders, each with a space that it shares with captions.

    In every expert's space there is a cosine; a softmax over the caption's own vector says how much each counts, and
    the score is the weighted sum. All of it is one dot product of long vectors: a clip's unit vectors side by side, and
    a caption's, each times its weight. So a collection is embedded once, as by a dual encoder.

    Every clip has frames of every encoder here (clips that lack some are left out before, counted and said), so that
    the papers' rule for missing experts, which shares their weight among the others, is not needed.

    Args:
        frame_dims: width of each encoder's frames.
        text: reads captions up to their pooled vector; its own head is dropped.
        collaborative: Collaborative Experts, whose experts gate each other; False: MoEE. A single expert has nobody to
            ask, and stays as it is.
        expert_dim: width of each expert's space, D.
        pooling: frames of an encoder to one vector.
        pooling_dim: width of an LSTM's state.
        clusters: of NetVLAD and NetRVLAD.

    Raises:
        UsageError: no encoder.

    Source: Miech et al., "Learning a text-video embedding from incomplete and heterogeneous data", 2018 (MoEE); Liu et
    al., "Use what you have: video retrieval using representations from collaborative experts", BMVC 2019; both as
    Oncescu et al., "Audio retrieval with natural language queries", Interspeech 2021, use them for audio. Frames are
    standardised, and no gate has batch normalisation, so that a clip alone is embedded as among others: our choices.

    Example:
        >>> import numpy as np
        >>> from atrkit.models import Ragged, WordTower, seeded_initialisation
        >>> from atrkit.text.vocabulary import Vocabulary
        >>> words = Vocabulary.from_captions(["rain falls", "a dog barks"]).words
        >>> with seeded_initialisation(1):
        ...     text = WordTower(words, pooling="mean")
        ...     model = ExpertsRetriever([8, 5], text, collaborative=True, expert_dim=16, pooling="mean")
        >>> clips = ClipInputs(tuple(Ragged.from_sequences([np.zeros((3, dim), np.float32)]) for dim in (8, 5)))
        >>> model.embed_clips(clips).shape, model.embed_captions(["Rain."]).shape
        ((1, 32), (1, 32))
    """

    kind = "experts"

    def __init__(
        self,
        frame_dims: Sequence[int],
        text: TextTower,
        *,
        collaborative: bool,
        expert_dim: int,
        pooling: PoolingName,
        pooling_dim: int = 256,
        clusters: int = 12,
    ) -> None:
        super().__init__()
        if not frame_dims:
            raise UsageError("a model of experts needs one audio encoder or more")
        self.arguments = {
            "frame_dims": list(frame_dims),
            "text": text.arguments,
            "collaborative": collaborative,
            "expert_dim": expert_dim,
            "pooling": pooling,
            "pooling_dim": pooling_dim,
            "clusters": clusters,
        }
        self.out_dim = len(frame_dims) * expert_dim
        text.drop_head()
        self.text = text
        self.frames = nn.ModuleList(_PooledFrames(dim, pooling, pooling_dim, clusters) for dim in frame_dims)
        pooled_dims = [part.out_dim for part in self._frames()]
        self.collaboration = _Collaboration(pooled_dims, expert_dim) if collaborative else None
        head_dims = [expert_dim] * len(frame_dims) if collaborative else pooled_dims
        self.audio_heads = nn.ModuleList(EmbeddingHead(dim, expert_dim, gating=True) for dim in head_dims)
        self.text_heads = nn.ModuleList(EmbeddingHead(text.out_dim, expert_dim, gating=True) for _ in frame_dims)
        self.mixture = nn.Linear(text.out_dim, len(frame_dims))

    def fit_standardisation(self, frames: Sequence[Ragged]) -> int:
        """Take mean and standard deviation from all training frames of each encoder.

        Raises:
            UsageError: frames of another number of encoders, or of another width, than the model's.
            DivergedError: a feature is NaN or infinite.
        """
        self._require_experts(len(frames))
        return sum(part.fit(ragged.values) for part, ragged in zip(self._frames(), frames, strict=True))

    def prepare_captions(self, captions: Sequence[str], *, batch_size: int = 64) -> Ragged:
        """As the text tower prepares them."""
        return self.text.prepare(captions, batch_size=batch_size)

    def similarity_terms(self, clips: ClipBatch, texts: Padded) -> tuple[SimilarityTerm, ...]:
        """The weighted cosines of every clip with every caption."""
        similarity_BB = cosines(self.clip_vectors(clips.frames), self.caption_vectors(texts))
        return (SimilarityTerm("weighted_cosine", 1.0, similarity_BB),)

    def clip_vectors(self, frames: Sequence[Padded]) -> Tensor:
        """The experts' unit vectors side by side, (B, E * D), of raw frames of each encoder."""
        self._require_experts(len(frames))
        pooled = [part(padded) for part, padded in zip(self._frames(), frames, strict=True)]
        if self.collaboration is not None:
            pooled = self.collaboration(pooled)
        return torch.cat([head(each_BF) for head, each_BF in zip(self.audio_heads, pooled, strict=True)], dim=1)

    def caption_vectors(self, texts: Padded) -> Tensor:
        """Unit vectors in each expert's space, times the caption's weight of that expert, side by side, (B, E * D)."""
        pooled_BF = self.text(*texts)
        weights_BE = self.mixture(pooled_BF).softmax(dim=1)
        parts = [
            head(pooled_BF) * weight_B[:, None] for head, weight_B in zip(self.text_heads, weights_BE.T, strict=True)
        ]
        return torch.cat(parts, dim=1)

    def embed_clips(
        self,
        clips: ClipInputs,
        *,
        batch_size: int = 64,
        ids: Sequence[str] | None = None,
        on_progress: Callable[[int], None] | None = None,
    ) -> EmbeddingArray:
        """Embed clips from the frame embeddings of every encoder.

        Args:
            clips: frames in the order of the encoders.
            batch_size: clips embedded at once; changes speed and memory, not the result (to 1e-6).
            ids: names of the clips, for error messages; None: their positions.
            on_progress: called with the number of clips done, after every batch.

        Returns:
            (A, E * D) float32, of norm 1 in each expert's D columns.

        Raises:
            UsageError: a clip without frames of an encoder, or other encoders than the model's.
            DivergedError: an embedding is not finite; names the clip.
        """
        fewest_A = torch.stack([frames.lengths_A for frames in clips.frames]).amin(dim=0)

        def embed(index_B: Tensor) -> Tensor:
            return self.clip_vectors([frames.to(self.device) for frames in clips.gather(index_B).frames])

        with evaluating(self):
            return embed_in_batches(
                embed, fewest_A, self.out_dim, kind="clip", batch_size=batch_size, ids=ids, on_progress=on_progress
            )

    def embed_captions(
        self,
        captions: Sequence[str] | Ragged,
        *,
        batch_size: int = 64,
        ids: Sequence[str] | None = None,
        on_progress: Callable[[int], None] | None = None,
    ) -> EmbeddingArray:
        """Embed captions, which are normalised first, equal ones to the same bits; arguments as of `embed_clips`.

        Returns:
            (C, E * D) float32; the norms of the experts' parts sum to 1.

        Raises:
            UsageError: a caption without words.
            DivergedError: an embedding is not finite; names the caption.
        """
        if not isinstance(captions, Ragged):
            with evaluating(self):
                captions = self.prepare_captions(captions, batch_size=batch_size)
        prepared = captions

        def embed(index_B: Tensor) -> Tensor:
            return self.caption_vectors(Padded(*prepared.gather(index_B)).to(self.device))

        with evaluating(self):
            return embed_in_batches(
                embed,
                prepared.lengths_A,
                self.out_dim,
                kind="caption",
                batch_size=batch_size,
                ids=ids,
                on_progress=on_progress,
                distinct=distinct_sequences(prepared),
            )

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
    def _from_config(cls, config: dict[str, Any], folder: Path) -> "ExpertsRetriever":
        return cls(**{**config, "text": restore_text_tower(config["text"], folder)})

    def _frames(self) -> "list[_PooledFrames]":
        return [part for part in self.frames if isinstance(part, _PooledFrames)]

    def _require_experts(self, found: int) -> None:
        if found != len(self.frames):
            raise UsageError(f"frames of {found} encoders, and the model was made for {len(self.frames)}")


class _PooledFrames(nn.Module):
    """Frames of one encoder, standardised and pooled."""

    mean_F: Tensor
    std_F: Tensor

    def __init__(self, frame_dim: int, pooling: PoolingName, pooling_dim: int, clusters: int) -> None:
        super().__init__()
        self.register_buffer("mean_F", torch.zeros(frame_dim))
        self.register_buffer("std_F", torch.ones(frame_dim))
        self.pooling = make_pooling(pooling, frame_dim, pooling_dim, clusters)
        self.out_dim = self.pooling.out_dim

    def fit(self, frames_NF: Tensor) -> int:
        self._require_width(frames_NF)
        mean_F, std_F, constant = mean_and_std(frames_NF)
        self.mean_F.copy_(mean_F)
        self.std_F.copy_(std_F)
        return constant

    def forward(self, frames: Padded) -> Tensor:
        self._require_width(frames.values)
        pooled_BF: Tensor = self.pooling((frames.values - self.mean_F) / self.std_F, frames.lengths_B)
        return pooled_BF

    def _require_width(self, frames: Tensor) -> None:
        if frames.shape[-1] != len(self.mean_F):
            raise UsageError(
                f"frames are {frames.shape[-1]} wide where the model takes {len(self.mean_F)}: "
                "use the encoders that the model was trained with, in their order"
            )


class _Collaboration(nn.Module):
    """Collaborative gating: each expert is scaled by a sigmoid of what it and the others have in common.

    Expert i becomes x_i * sigmoid(h(sum over j != i of g(x_i, x_j))), of projections x of norm 1; g and h are shared.

    Source: Liu et al. 2019, section 3.2. Two linear layers with a ReLU between them in g and in h, and projections of
    norm 1, are those of the authors' public code.
    """

    def __init__(self, pooled_dims: Sequence[int], dim: int) -> None:
        super().__init__()
        self.projections = nn.ModuleList(nn.Linear(pooled_dim, dim) for pooled_dim in pooled_dims)
        self.compare = nn.Sequential(nn.Linear(2 * dim, dim), nn.ReLU(), nn.Linear(dim, dim))  # g
        self.conclude = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, dim))  # h

    def forward(self, pooled: Sequence[Tensor]) -> list[Tensor]:
        projected = [
            functional.normalize(layer(each_BF), dim=-1)
            for layer, each_BF in zip(self.projections, pooled, strict=True)
        ]
        if len(projected) == 1:
            return projected
        return [own_BD * torch.sigmoid(self._evidence(projected, i)) for i, own_BD in enumerate(projected)]

    def _evidence(self, projected: Sequence[Tensor], i: int) -> Tensor:
        pairs = [torch.cat([projected[i], other_BD], dim=-1) for j, other_BD in enumerate(projected) if j != i]
        evidence_BD: Tensor = self.conclude(torch.stack([self.compare(pair) for pair in pairs]).sum(dim=0))
        return evidence_BD
