import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from atrkit.errors import UsageError
from atrkit.models import Ragged

SEQUENCES = st.lists(st.lists(st.integers(1, 99), min_size=1, max_size=5), min_size=1, max_size=6)


@given(SEQUENCES, st.data())
def test_gathering_pads_each_sequence_with_zeros(sequences: list[list[int]], data: st.DataObject) -> None:
    index = data.draw(st.lists(st.integers(0, len(sequences) - 1), min_size=1, max_size=8))
    padded_BL, lengths_B = Ragged.from_sequences(sequences).gather(torch.tensor(index))
    longest = max(len(sequences[a]) for a in index)
    assert padded_BL.tolist() == [sequences[a] + [0] * (longest - len(sequences[a])) for a in index]
    assert lengths_B.tolist() == [len(sequences[a]) for a in index]


def test_frames_keep_their_width_and_their_half_precision() -> None:
    clips = [np.ones((2, 3), np.float16), np.zeros((1, 3), np.float16)]
    ragged = Ragged.from_sequences(clips)
    assert ragged.values.shape == (3, 3) and ragged.values.dtype == torch.float16
    assert Ragged.from_sequences([clip.astype(np.float64) for clip in clips]).values.dtype == torch.float32


def test_batches_of_half_precision_are_in_single_precision_to_the_bit() -> None:
    frames = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float16)
    padded_BTF, _ = Ragged.from_sequences([frames, frames[:2]]).gather(torch.tensor([0, 1]))
    assert padded_BTF.dtype == torch.float32
    np.testing.assert_array_equal(padded_BTF[0].numpy(), frames.astype(np.float32))
    assert not padded_BTF[1, 2:].any()


def test_rows_are_used_where_they_lie(tmp_path: Path) -> None:
    rows = np.arange(12, dtype=np.float16).reshape(4, 3)
    rows.tofile(tmp_path / "rows")
    mapped = np.memmap(tmp_path / "rows", np.float16, "r", shape=(4, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ragged = Ragged.from_rows(mapped, np.array([0, 1, 4]))
    assert np.shares_memory(ragged.values.numpy(), mapped)
    padded_BTF, lengths_B = ragged.gather(torch.tensor([1]))
    padded_BTF.fill_(-1)  # a copy: the file is read-only, and writing to it would end the process
    assert lengths_B.tolist() == [3] and mapped[1, 0] == 3


def test_the_memory_gathered_from_is_left_alone() -> None:
    ragged = Ragged.from_sequences([np.array([1.0]), np.array([2.0, 3.0])])
    padded_BL, _ = ragged.gather(torch.tensor([0, 1]))
    padded_BL.fill_(-1)
    assert ragged.values.tolist() == [1, 2, 3]


def test_what_does_not_fit_together_is_refused() -> None:
    with pytest.raises(UsageError, match="differ in their width"):
        Ragged.from_sequences([np.zeros((2, 3)), np.zeros((2, 4))])
    with pytest.raises(UsageError, match="no sequence"):
        Ragged.from_sequences([])
    for offsets in ([0, 2], [1, 3], [0, 2, 1, 3]):
        with pytest.raises(UsageError, match="offsets must rise from 0 to the 3 values"):
            Ragged(torch.zeros(3), torch.tensor(offsets))
