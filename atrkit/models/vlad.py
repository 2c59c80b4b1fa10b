"""Pooling by descriptors: frames or words are shared out among clusters, and each cluster keeps its own sum.

A mean mixes all that a clip holds into one vector; here what belongs to different clusters stays apart, K vectors of
width F end to end. Order is not heard.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from atrkit.models.padding import padding_mask_BT


class NetRVLAD(nn.Module):
    """Sum of the frames or words in each of K clusters, to which each is assigned softly: softmax(w x + b).

    Assignments and sums are two matrix products; nothing of size (B, T, K, F) is ever made.

    Args:
        in_dim: width of a frame or word, F.
        clusters: K; 20 for text and 12 for audio in paper 003.
        normalise: scale each cluster's sum to L2 norm 1, then the whole vector, so that long clips do not weigh more.

    Attributes:
        out_dim: K * F.

    Source: paper 003, section 2.2.3, eq. 5 and 6, to the letter: the sum is not divided by the number of frames.
    `normalise` is not in its equations; NetVLAD as first published (Arandjelovic et al. 2016, section 3.1) and the code
    of paper 003's authors have it, and that code also has batch normalisation in place of b, which is not here: a clip
    would depend on its batch. Initial values are our choice: w normal with standard deviation 1 / sqrt(F), so that
    standardised frames start with logits of size 1, and b zero.

    Example:
        >>> pooling = NetRVLAD(in_dim=2, clusters=2)
        >>> _ = nn.init.zeros_(pooling.assignment.weight)  # every frame belongs half to each cluster
        >>> pooling(torch.tensor([[[2.0, 4.0], [6.0, 8.0], [9.0, 9.0]]]), torch.tensor([2])).tolist()
        [[4.0, 6.0, 4.0, 6.0]]
    """

    def __init__(self, in_dim: int, clusters: int, *, normalise: bool = False) -> None:
        super().__init__()
        self.out_dim = clusters * in_dim
        self.normalise = normalise
        self.assignment = nn.Linear(in_dim, clusters)
        nn.init.normal_(self.assignment.weight, std=in_dim**-0.5)
        nn.init.zeros_(self.assignment.bias)

    def forward(self, x_BTF: Tensor, lengths_B: Tensor) -> Tensor:
        """(B, T, F) and lengths of at least 1 to (B, K * F), cluster after cluster."""
        padding_BT1 = padding_mask_BT(lengths_B, x_BTF.shape[1])[:, :, None]
        assigned_BTK = self.assignment(x_BTF).softmax(dim=-1).masked_fill(padding_BT1, 0)
        descriptor_BKF = self._descriptor(assigned_BTK, x_BTF.masked_fill(padding_BT1, 0))
        if not self.normalise:
            return descriptor_BKF.flatten(1)
        return functional.normalize(functional.normalize(descriptor_BKF, dim=-1).flatten(1), dim=-1)

    def _descriptor(self, assigned_BTK: Tensor, x_BTF: Tensor) -> Tensor:
        return assigned_BTK.transpose(1, 2) @ x_BTF


class NetVLAD(NetRVLAD):
    """Like NetRVLAD, with a learned centre per cluster: what is summed is the distance of each frame from it.

    The centres come off the sums, each as often as frames were assigned to it.

    Args:
        in_dim: width of a frame or word, F.
        clusters: K; 20 for text and 12 for audio in paper 003.
        normalise: as for `NetRVLAD`.

    Attributes:
        out_dim: K * F.

    Source: paper 003, section 2.2.3, eq. 4 and 6; what `NetRVLAD` says of norms and initial values holds here too.
    Centres start normal with standard deviation 1 / sqrt(F) (our choice).

    Example:
        >>> pooling = NetVLAD(in_dim=2, clusters=1)  # all belongs to the one cluster
        >>> _ = nn.init.ones_(pooling.centre_KF)
        >>> pooling(torch.tensor([[[2.0, 4.0], [6.0, 8.0]]]), torch.tensor([2])).tolist()
        [[6.0, 10.0]]
    """

    def __init__(self, in_dim: int, clusters: int, *, normalise: bool = False) -> None:
        super().__init__(in_dim, clusters, normalise=normalise)
        self.centre_KF = nn.Parameter(torch.randn(clusters, in_dim) * in_dim**-0.5)

    def _descriptor(self, assigned_BTK: Tensor, x_BTF: Tensor) -> Tensor:
        assigned_BK1 = assigned_BTK.sum(dim=1)[:, :, None]
        return assigned_BTK.transpose(1, 2) @ x_BTF - assigned_BK1 * self.centre_KF
