"""The audio side of a dual encoder: from frame embeddings to one vector per clip."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from atrkit.errors import UsageError
from atrkit.models.gating import EmbeddingHead
from atrkit.models.pooling import PoolingName, make_pooling
from atrkit.models.standardisation import mean_and_std


class AudioTower(nn.Module):
    """Standardise frames, pass each through a small MLP, pool over time, project, gate, normalise.

    Frame features come in any scale (log-mel in dB, embeddings of a network); mean and standard deviation of the
    training frames are part of the model, so that whoever opens it later feeds raw features.

    Args:
        frame_dim: width of a frame, F.
        out_dim: width of the common space, D.
        hidden_dims: widths of the frame MLP's layers, each followed by ReLU and dropout; none: no MLP.
        dropout: probability, after each layer of the MLP.
        pooling: a `PoolingName`.
        pooling_dim: width of the LSTM's state; the other poolings do not use it.
        clusters: of NetVLAD and NetRVLAD; the other poolings do not use it.
        gating: context gating after the projection.

    Source: paper 003, sections 2.2 and 3.2.1; standardisation and the frame MLP are our choice (METHODS.md).
    """

    frame_mean_F: Tensor
    frame_std_F: Tensor

    def __init__(
        self,
        frame_dim: int,
        out_dim: int = 256,
        *,
        hidden_dims: Sequence[int] = (256, 256),
        dropout: float = 0.0,
        pooling: PoolingName = "lstm_last",
        pooling_dim: int = 256,
        clusters: int = 12,
        gating: bool = True,
    ) -> None:
        super().__init__()
        self.arguments: dict[str, Any] = {
            "frame_dim": frame_dim,
            "out_dim": out_dim,
            "hidden_dims": list(hidden_dims),
            "dropout": dropout,
            "pooling": pooling,
            "pooling_dim": pooling_dim,
            "clusters": clusters,
            "gating": gating,
        }
        self.frame_dim = frame_dim
        self.out_dim = out_dim
        self.register_buffer("frame_mean_F", torch.zeros(frame_dim))
        self.register_buffer("frame_std_F", torch.ones(frame_dim))
        layers: list[nn.Module] = []
        width = frame_dim
        for hidden_dim in hidden_dims:
            layers += [nn.Linear(width, hidden_dim), nn.ReLU(), nn.Dropout(dropout)]
            width = hidden_dim
        self.frame_mlp = nn.Sequential(*layers)
        self.pooling = make_pooling(pooling, width, pooling_dim, clusters)
        self.head = EmbeddingHead(self.pooling.out_dim, out_dim, gating=gating)

    def fit_standardisation(self, frames_NF: Tensor) -> int:
        """Take mean and standard deviation from all training frames.

        Args:
            frames_NF: every frame of every training clip.

        Returns:
            How many features are constant; those are centred and not scaled.

        Raises:
            UsageError: frames of another width than the model's.
            DivergedError: a feature is NaN or infinite.
        """
        self._require_frame_dim(frames_NF)
        mean_F, std_F, constant = mean_and_std(frames_NF)
        self.frame_mean_F.copy_(mean_F)
        self.frame_std_F.copy_(std_F)
        return constant

    def forward(self, frames_BTF: Tensor, lengths_B: Tensor) -> Tensor:
        """Embed padded clips.

        Args:
            frames_BTF: raw frames, padded with anything finite.
            lengths_B: frames of each clip, 1 or more.

        Returns:
            (B, D), each row of norm 1.
        """
        self._require_frame_dim(frames_BTF)
        standardised_BTF = (frames_BTF - self.frame_mean_F) / self.frame_std_F
        return self.head(self.pooling(self.frame_mlp(standardised_BTF), lengths_B))  # type: ignore[no-any-return]

    def _require_frame_dim(self, frames: Tensor) -> None:
        if frames.shape[-1] != self.frame_dim:
            raise UsageError(
                f"frames are {frames.shape[-1]} wide, the model takes {self.frame_dim}: "
                "use the encoder that the model was trained with"
            )
