"""BatchNorm over clips of unlike length: what lies behind the end of a clip is no part of its mean and variance."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Positions:
    """Which time steps of a batch's feature maps are its clips' own, at every resolution of a network."""

    def __init__(self) -> None:
        self._is_own: dict[int, Tensor] = {}

    @contextmanager
    def of(self, lengths_B: Tensor | None, num_steps: int, num_halvings: int) -> Iterator[None]:
        """Within: the positions of one batch.

        Args:
            lengths_B: steps of each clip at the network's input; None: all are equally long.
            num_steps: of the longest.
            num_halvings: of the network.
        """
        if lengths_B is not None:
            for halvings in range(num_halvings + 1):
                steps_T = torch.arange(num_steps >> halvings, device=lengths_B.device)
                self._is_own[num_steps >> halvings] = steps_T < (lengths_B >> halvings)[:, None]
        try:
            yield
        finally:
            self._is_own = {}

    def own_of(self, num_steps: int) -> Tensor | None:
        """(B, T) at the resolution where the longest clip has so many steps; None: all are equally long."""
        return self._is_own.get(num_steps)


class OwnNorm(nn.BatchNorm2d):
    """BatchNorm of (B, C, T, X) whose mean and variance in training are those of the clips' own time steps.

    Without padding, and in evaluation mode, it is `nn.BatchNorm2d`; the running variance is unbiased, as there.

    Args:
        num_features: C.
        eps: added to the variance.
        momentum: share of a new mean and variance in the running ones.
        positions: told the lengths of every batch before the network runs.
    """

    def __init__(self, num_features: int, eps: float, momentum: float | None, positions: Positions) -> None:
        super().__init__(num_features, eps=eps, momentum=momentum)
        self._positions = positions

    @classmethod
    def like(cls, norm: nn.BatchNorm2d, positions: Positions) -> "OwnNorm":
        """One with the weights and running statistics of another norm, in the same mode."""
        own = cls(norm.num_features, norm.eps, norm.momentum, positions)
        own.load_state_dict(norm.state_dict())
        return own.train(norm.training)

    def forward(self, map_BCTX: Tensor) -> Tensor:
        """Normalise; what comes out behind the end of a clip is nonsense."""
        is_own_BT = self._positions.own_of(map_BCTX.shape[2]) if self.training else None
        if is_own_BT is None:
            return super().forward(map_BCTX)
        with torch.autocast(map_BCTX.device.type, enabled=False):  # sums over a batch need all their digits
            return self._normalised(map_BCTX.float(), is_own_BT)

    def _normalised(self, map_BCTX: Tensor, is_own_BT: Tensor) -> Tensor:
        count = int(is_own_BT.sum()) * map_BCTX.shape[3]
        share_BT = is_own_BT / count
        mean_C = torch.einsum("bctx,bt->c", map_BCTX, share_BT)
        centred = map_BCTX - mean_C[:, None, None]
        variance_C = torch.einsum("bctx,bt->c", centred.square(), share_BT)
        self._keep(mean_C.detach(), variance_C.detach(), count)
        scale_C = self.weight * torch.rsqrt(variance_C + self.eps)
        return centred * scale_C[:, None, None] + self.bias[:, None, None]

    @torch.no_grad()
    def _keep(self, mean_C: Tensor, variance_C: Tensor, count: int) -> None:
        assert self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None
        assert self.momentum is not None
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean_C, self.momentum)
        self.running_var.lerp_(variance_C * (count / max(count - 1, 1)), self.momentum)
