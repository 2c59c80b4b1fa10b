"""Context gating, and the head that ends every tower with it."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class ContextGating(nn.Module):
    """Scale each dimension of a vector by a sigmoid that sees all of them: y = sigmoid(W x + b) * x.

    Args:
        dim: width of the vector, in and out.

    Source: paper 003, section 3.2.1, eq. 7.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.gate = nn.Linear(dim, dim)

    def forward(self, x_BD: Tensor) -> Tensor:
        """(B, D) to (B, D)."""
        return torch.sigmoid(self.gate(x_BD)) * x_BD


class EmbeddingHead(nn.Module):
    """From a pooled vector to the common space: one linear layer, gating where wanted, L2 norm 1.

    Both towers end in their own one, so that the cosine of a clip and a caption is a dot product.

    Args:
        in_dim: width of the pooled vector.
        out_dim: width of the common space.
        gating: with context gating after the linear layer.

    Source: paper 003, section 3.2.1, and eq. 8 for the norm.
    """

    def __init__(self, in_dim: int, out_dim: int, *, gating: bool) -> None:
        super().__init__()
        self.projection = nn.Linear(in_dim, out_dim)
        self.gating = ContextGating(out_dim) if gating else nn.Identity()

    def forward(self, pooled_BF: Tensor) -> Tensor:
        """(B, in_dim) to (B, out_dim) of norm 1."""
        return functional.normalize(self.gating(self.projection(pooled_BF)), dim=-1)
