"""Frames of one encoder on their way into a space that they share with words."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from atrkit.errors import UsageError
from atrkit.models.standardisation import mean_and_std


class FrameSide(nn.Module):
    """Standardise frames, pass each through a small MLP, and project it: one vector per frame comes out.

    Mean and standard deviation of the training frames are part of the model, so that whoever opens it later feeds raw
    features, whatever their scale.

    Args:
        frame_dim: width of a frame, F.
        dim: width of what comes out, D.
        hidden_dims: widths of the MLP's layers, each followed by ReLU and dropout; none: only the projection.
        dropout: probability, after each layer of the MLP.

    Source: our choice, as in `AudioTower`.
    """

    frame_mean_F: Tensor
    frame_std_F: Tensor

    def __init__(self, frame_dim: int, dim: int, *, hidden_dims: Sequence[int] = (), dropout: float = 0.0) -> None:
        super().__init__()
        self.frame_dim = frame_dim
        self.register_buffer("frame_mean_F", torch.zeros(frame_dim))
        self.register_buffer("frame_std_F", torch.ones(frame_dim))
        layers: list[nn.Module] = []
        width = frame_dim
        for hidden_dim in hidden_dims:
            layers += [nn.Linear(width, hidden_dim), nn.ReLU(), nn.Dropout(dropout)]
            width = hidden_dim
        self.layers = nn.Sequential(*layers, nn.Linear(width, dim))

    def fit_standardisation(self, frames_NF: Tensor) -> int:
        """Take mean and standard deviation from all training frames.

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

    def forward(self, frames_BTF: Tensor) -> Tensor:
        """(B, T, F) raw frames to (B, T, D); what stands in the padding means nothing."""
        self._require_frame_dim(frames_BTF)
        return self.layers((frames_BTF - self.frame_mean_F) / self.frame_std_F)  # type: ignore[no-any-return]

    def _require_frame_dim(self, frames: Tensor) -> None:
        if frames.shape[-1] != self.frame_dim:
            raise UsageError(
                f"frames are {frames.shape[-1]} wide, the model takes {self.frame_dim}: "
                "use the encoder that the model was trained with"
            )
