"""Cross-interaction of all pairs against equation 6 of paper 001 in numpy, whatever the blocks."""

import numpy as np
import numpy.typing as npt
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from atrkit.models import Ragged
from atrkit.scoring.max_similarity import DistinctWordSimilarity, MaxSimilarity

DIM, DISTINCT = 6, 5
Array = npt.NDArray[np.float32]


def unit_vectors(count: int, seed: int) -> Array:
    vectors = np.random.default_rng(seed).normal(size=(count, DIM))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def expected(frames_TD: Array, words_LD: Array) -> float:
    cosines_TL = frames_TD.astype(np.float64) @ words_LD.T
    return float(cosines_TL.max(axis=0).mean() + cosines_TL.max(axis=1).mean()) / 2


CAPTIONS = st.lists(st.lists(st.integers(0, DISTINCT - 1), min_size=1, max_size=7), min_size=1, max_size=9)


@settings(max_examples=40, deadline=None)
@given(captions=CAPTIONS, clips=st.integers(1, 3), frames=st.integers(1, 6), columns=st.sampled_from([1, 4, 7, 1000]))
def test_every_pair_is_equation_6(captions: list[list[int]], clips: int, frames: int, columns: int) -> None:
    vectors_UD, frames_GTD = unit_vectors(DISTINCT, 1), unit_vectors(clips * frames, 2).reshape(clips, frames, DIM)
    wanted = [[expected(frames_TD, vectors_UD[ids]) for ids in captions] for frames_TD in frames_GTD]
    ids = Ragged.from_sequences(captions)
    spelled_out = Ragged(torch.from_numpy(vectors_UD)[ids.values], ids.offsets)
    for side in (
        MaxSimilarity(spelled_out, columns_at_once=columns),
        DistinctWordSimilarity(torch.from_numpy(vectors_UD), ids, columns_at_once=columns),
    ):
        np.testing.assert_allclose(side.scores_of(torch.from_numpy(frames_GTD)), wanted, rtol=0, atol=1e-6)


def test_one_set_of_captions_serves_clips_of_any_length() -> None:
    words = Ragged.from_sequences([unit_vectors(3, 1), unit_vectors(1, 2)])
    side = MaxSimilarity(words)
    for frames in (1, 4):
        frames_1TD = torch.from_numpy(unit_vectors(frames, 3))[None]
        wanted = [expected(frames_1TD[0].numpy(), unit_vectors(*caption)) for caption in ((3, 1), (1, 2))]
        np.testing.assert_allclose(side.scores_of(frames_1TD)[0], wanted, rtol=0, atol=1e-6)
