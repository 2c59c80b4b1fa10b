"""Sequences of different lengths in one tensor, and padded batches gathered from it by index."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from atrkit.errors import UsageError


@dataclass(frozen=True, eq=False)
class Ragged:
    """A sequences end to end, and where each one starts: how everything lies in memory for training.

    Gathering a batch is one indexing operation on tensors, on the device where they are; there are no worker
    processes and no per-clip Python objects.

    Args:
        values: (N, F) frames or (N,) token ids, all sequences end to end.
        offsets: (A + 1,) int64, from 0 to N; sequence a is `values[offsets[a]:offsets[a + 1]]`.

    Raises:
        UsageError: the offsets do not cover the values in order.

    Example:
        >>> ragged = Ragged.from_sequences([np.array([7, 8, 9]), np.array([5])])
        >>> padded_BL, lengths_B = ragged.gather(torch.tensor([1, 0]))
        >>> padded_BL.tolist(), lengths_B.tolist()
        ([[5, 0, 0], [7, 8, 9]], [1, 3])
    """

    values: Tensor
    offsets: Tensor

    def __post_init__(self) -> None:
        bounds = self.offsets
        if len(bounds) < 1 or bounds[0] != 0 or bounds[-1] != len(self.values) or (bounds.diff() < 0).any():
            raise UsageError(f"offsets must rise from 0 to the {len(self.values)} values that there are")

    @classmethod
    def from_sequences(cls, sequences: Sequence[npt.ArrayLike]) -> "Ragged":
        """Copy arrays that agree in everything but their first dimension.

        float16 stays as it is, to save memory; other floats become float32, integers int64.
        """
        arrays = [np.asarray(sequence) for sequence in sequences]
        if not arrays:
            raise UsageError("there is no sequence at all")
        if len({array.shape[1:] for array in arrays}) > 1:
            raise UsageError(f"sequences differ in their width: {sorted({a.shape[1:] for a in arrays})}")
        values = np.concatenate(arrays)
        if values.dtype != np.float16:
            values = values.astype(np.float32 if values.dtype.kind == "f" else np.int64, copy=False)
        offsets = np.concatenate([[0], np.cumsum([len(array) for array in arrays])])
        return cls(torch.from_numpy(values), torch.from_numpy(offsets.astype(np.int64)))

    @classmethod
    def from_rows(cls, rows: npt.NDArray[Any], offsets: npt.NDArray[np.int64]) -> "Ragged":
        """Use an array as it lies, in memory or mapped from a file, without copying it; it is never written to."""
        with warnings.catch_warnings():
            # torch has no read-only tensors and says so of a read-only array
            warnings.filterwarnings("ignore", "The given NumPy array is not writable", UserWarning)
            return cls(torch.from_numpy(rows), torch.from_numpy(offsets))

    def __len__(self) -> int:
        """Number of sequences."""
        return len(self.offsets) - 1

    @cached_property
    def lengths_A(self) -> Tensor:
        """Length of each sequence, (A,) int64."""
        return self.offsets.diff()

    def gather(self, index_B: Tensor) -> tuple[Tensor, Tensor]:
        """Take sequences by index and pad them with zeros to the longest of them.

        What is kept in float16 comes out in float32, in which models compute; that is exact.

        Args:
            index_B: (B,) int64, any order, repetitions allowed.

        Returns:
            (B, L, F) or (B, L) padded values, and (B,) lengths.
        """
        lengths_B = self.lengths_A[index_B]
        longest = int(lengths_B.max())
        position_L = torch.arange(longest, device=self.values.device)
        is_padding_BL = position_L >= lengths_B[:, None]
        source_BL = (self.offsets[index_B, None] + position_L).masked_fill_(is_padding_BL, 0)
        padded = self.values[source_BL]
        padded[is_padding_BL] = 0
        return padded.float() if padded.dtype == torch.float16 else padded, lengths_B

    def select(self, index_U: Tensor) -> "Ragged":
        """Some of the sequences, in this order, end to end again.

        Args:
            index_U: (U,) int64, repetitions allowed.

        >>> ragged = Ragged.from_sequences([[7, 8, 9], [5], [3, 4]])
        >>> ragged.select(torch.tensor([2, 0, 2])).values.tolist()
        [3, 4, 7, 8, 9, 3, 4]
        """
        index = index_U.to(self.offsets.device)
        lengths_U = self.lengths_A[index]
        offsets = torch.cat([lengths_U.new_zeros(1), lengths_U.cumsum(0)])
        shift_U = self.offsets[:-1][index] - offsets[:-1]
        rows_N = torch.arange(int(offsets[-1]), device=offsets.device) + shift_U.repeat_interleave(lengths_U)
        return Ragged(self.values[rows_N], offsets)

    def to(self, device: torch.device) -> "Ragged":
        """Copy to a device."""
        return Ragged(self.values.to(device), self.offsets.to(device))
