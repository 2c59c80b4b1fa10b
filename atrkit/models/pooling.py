"""From a sequence to one vector: masked mean and max, an LSTM, and sums by cluster.

Every pooling takes padded sequences with their lengths, and what stands in the padding changes nothing: a clip gets
the same vector alone as in any batch. `make_pooling` lists them by name; `out_dim` says how wide the result is.
"""

from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from atrkit.errors import UsageError
from atrkit.models.padding import padding_mask_BT as padding_mask_BT
from atrkit.models.vlad import NetRVLAD, NetVLAD

PoolingName = Literal[
    "mean", "max", "lstm_last", "lstm_mean", "netvlad", "netvlad_normalised", "netrvlad", "netrvlad_normalised"
]
Pooling: TypeAlias = "MeanPooling | MaxPooling | LstmPooling | NetVLAD | NetRVLAD"


class MeanPooling(nn.Module):
    """Average over the frames or words that are there.

    Source: paper 003, section 2.2.1, eq. 1.
    """

    def __init__(self, in_dim: int) -> None:
        super().__init__()
        self.out_dim = in_dim

    def forward(self, x_BTF: Tensor, lengths_B: Tensor) -> Tensor:
        """(B, T, F) and lengths of at least 1 to (B, F)."""
        padding_BT1 = padding_mask_BT(lengths_B, x_BTF.shape[1])[:, :, None]
        return x_BTF.masked_fill(padding_BT1, 0).sum(dim=1) / lengths_B[:, None]


class MaxPooling(nn.Module):
    """Largest value of each feature over the frames or words that are there.

    Source: paper 003, section 2.2.1, eq. 2.
    """

    def __init__(self, in_dim: int) -> None:
        super().__init__()
        self.out_dim = in_dim

    def forward(self, x_BTF: Tensor, lengths_B: Tensor) -> Tensor:
        """(B, T, F) and lengths of at least 1 to (B, F)."""
        padding_BT1 = padding_mask_BT(lengths_B, x_BTF.shape[1])[:, :, None]
        return x_BTF.masked_fill(padding_BT1, -torch.inf).amax(dim=1)


class LstmPooling(nn.Module):
    """One-layer LSTM over the sequence; the vector is its last state, or the mean of its outputs.

    The last state can tell "A then B" from "B then A", which mean and max of single frames cannot. Sequences are
    packed: padding is neither computed nor seen.

    Args:
        in_dim: width of a frame or word.
        hidden_dim: width of the state, and of the result.
        output: "last" state, or "mean" over the outputs.

    Source: paper 003, section 2.2.2, eq. 3 with eq. 1 for "mean"; "last" is our choice (METHODS.md, synthetic).
    """

    def __init__(self, in_dim: int, hidden_dim: int, output: Literal["last", "mean"] = "last") -> None:
        super().__init__()
        self.lstm = nn.LSTM(in_dim, hidden_dim, batch_first=True)
        self.output = output
        self.out_dim = hidden_dim

    def forward(self, x_BTF: Tensor, lengths_B: Tensor) -> Tensor:
        """(B, T, F) and lengths of at least 1 to (B, hidden_dim)."""
        packed = pack_padded_sequence(x_BTF, lengths_B.cpu(), batch_first=True, enforce_sorted=False)
        outputs, (last_1BH, _) = self.lstm(packed)
        return last_1BH[-1] if self.output == "last" else _mean_of_packed(outputs, lengths_B)


def _mean_of_packed(packed: PackedSequence, lengths_B: Tensor) -> Tensor:
    outputs_BTH, _ = pad_packed_sequence(packed, batch_first=True)
    return outputs_BTH.sum(dim=1) / lengths_B[:, None]


def make_pooling(name: PoolingName, in_dim: int, hidden_dim: int, clusters: int = 12) -> Pooling:
    """Make a pooling by name.

    Args:
        name: which one.
        in_dim: width of a frame or word.
        hidden_dim: width of an LSTM's state; the others do not use it.
        clusters: of NetVLAD and NetRVLAD; the others do not use it.

    Raises:
        UsageError: no pooling has this name; says which there are.
    """
    match name:
        case "mean":
            return MeanPooling(in_dim)
        case "max":
            return MaxPooling(in_dim)
        case "lstm_last":
            return LstmPooling(in_dim, hidden_dim, output="last")
        case "lstm_mean":
            return LstmPooling(in_dim, hidden_dim, output="mean")
        case "netvlad" | "netvlad_normalised":
            return NetVLAD(in_dim, clusters, normalise=name == "netvlad_normalised")
        case "netrvlad" | "netrvlad_normalised":
            return NetRVLAD(in_dim, clusters, normalise=name == "netrvlad_normalised")
        case unknown:
            raise UsageError(f"no pooling is called {unknown!r}: choose {', '.join(get_args(PoolingName))}")
