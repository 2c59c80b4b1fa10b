"""Cross-interaction against equation 6 of paper 001 in numpy, its gradient, and what it keeps for the backward pass."""

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from atrkit.models.max_similarity import cross_interaction, cross_interaction_of_pairs

DIM = 5
LENGTHS = st.lists(st.integers(1, 6), min_size=1, max_size=5)
Array = npt.NDArray[np.float64]


def sets_of(lengths: list[int], seed: int) -> list[Array]:
    """Sets of vectors of norm 1."""
    rng = np.random.default_rng(seed)
    sets = [rng.normal(size=(length, DIM)) for length in lengths]
    return [vectors / np.linalg.norm(vectors, axis=1, keepdims=True) for vectors in sets]


def padded(sets: list[Array], padding: float = 0.0) -> tuple[Tensor, Tensor]:
    lengths = [len(vectors) for vectors in sets]
    x_BTD = torch.full((len(sets), max(lengths) + (padding != 0), DIM), padding)
    for row, vectors in zip(x_BTD, sets, strict=True):
        row[: len(vectors)] = torch.from_numpy(vectors)
    return x_BTD, torch.tensor(lengths)


def expected(frames_TD: Array, words_LD: Array) -> float:
    """Equation 6, in words: of each word its best frame, of each frame its best word, both averaged."""
    cosines_TL = frames_TD @ words_LD.T
    of_words = sum(max(cosines_TL[:, n]) for n in range(len(words_LD))) / len(words_LD)
    of_frames = sum(max(cosines_TL[n]) for n in range(len(frames_TD))) / len(frames_TD)
    return float(of_words + of_frames) / 2


def masked_einsum(frames_ATD: Tensor, lengths_A: Tensor, words_CLD: Tensor, lengths_C: Tensor) -> Tensor:
    """The same with autograd, and with all cosines at once."""
    no_frame_AT = torch.arange(frames_ATD.shape[1]) >= lengths_A[:, None]
    no_word_CL = torch.arange(words_CLD.shape[1]) >= lengths_C[:, None]
    cosines = torch.einsum("atd,cld->atcl", frames_ATD, words_CLD)
    cosines = cosines.masked_fill(no_frame_AT[:, :, None, None] | no_word_CL, -torch.inf)
    of_words = cosines.amax(dim=1).masked_fill(no_word_CL, 0).sum(dim=2) / lengths_C
    of_frames = cosines.amax(dim=3).masked_fill(no_frame_AT[:, :, None], 0).sum(dim=1) / lengths_A[:, None]
    return (of_words + of_frames) / 2


@settings(max_examples=30, deadline=None)
@given(clips=LENGTHS, captions=LENGTHS, seed=st.integers(0, 99), padding=st.sampled_from([0.0, 1e3]))
def test_every_pair_is_equation_6(clips: list[int], captions: list[int], seed: int, padding: float) -> None:
    frames, words = sets_of(clips, seed), sets_of(captions, seed + 100)
    scores_AC = cross_interaction(*padded(frames, padding), *padded(words, -padding))
    np.testing.assert_allclose(scores_AC, [[expected(f, w) for w in words] for f in frames], rtol=0, atol=1e-6)


@settings(max_examples=10, deadline=None)
@given(lengths=st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6)), min_size=1, max_size=5))
def test_listed_pairs_score_as_they_do_among_all(lengths: list[tuple[int, int]]) -> None:
    frames, words = sets_of([t for t, _ in lengths], 1), sets_of([n for _, n in lengths], 2)
    scores_B = cross_interaction_of_pairs(*padded(frames, 9.0), *padded(words, 9.0))
    np.testing.assert_allclose(scores_B, [expected(*pair) for pair in zip(frames, words, strict=True)], atol=1e-6)


@pytest.mark.parametrize("block_elements", [1, 60, 1 << 20])
@pytest.mark.parametrize("padding", [0.0, 7.0])
def test_value_and_gradient_are_those_of_the_masked_einsum(block_elements: int, padding: float) -> None:
    (frames_ATD, lengths_A), (words_CLD, lengths_C) = (
        padded(sets_of([4, 1, 6, 3], 1), padding),
        padded(sets_of([2, 5, 1], 2), padding),
    )
    weight_AC = torch.from_numpy(np.random.default_rng(3).normal(size=(4, 3))).float()
    results = []
    for score in (masked_einsum, lambda *sides: cross_interaction(*sides, block_elements=block_elements)):
        x, y = frames_ATD.clone().requires_grad_(), words_CLD.clone().requires_grad_()
        scores_AC = score(x, lengths_A, y, lengths_C)
        results.append((scores_AC, *torch.autograd.grad((scores_AC * weight_AC).sum(), (x, y))))
    for wanted, got in zip(*results, strict=True):
        torch.testing.assert_close(got, wanted, rtol=0, atol=1e-5)
    _, gradient_ATD, _ = results[1]
    assert all(not gradient_TD[length:].any() for gradient_TD, length in zip(gradient_ATD, lengths_A, strict=True))


def test_of_equally_good_partners_the_first_one_gets_the_gradient() -> None:
    same = torch.eye(DIM)[:1]
    frames_1TD = torch.stack([same[0], torch.eye(DIM)[1], same[0]])[None].requires_grad_()
    cross_interaction(frames_1TD, torch.tensor([3]), same[None], torch.tensor([1])).sum().backward()
    # a word's gradient goes to its first best frame alone; each frame's goes to its only word
    from_word, from_frames = torch.tensor([1.0, 0, 0]) / 2, torch.full((3,), 1 / 6)
    torch.testing.assert_close(frames_1TD.grad[0], (from_word + from_frames)[:, None] * same)


def test_order_of_words_frames_clips_and_captions_changes_nothing() -> None:
    rng = np.random.default_rng(4)
    frames, words = sets_of([4, 2, 5], 1), sets_of([3, 1], 2)
    scores_AC = cross_interaction(*padded(frames), *padded(words))
    shuffled = [[side[rng.permutation(len(side))] for side in sides] for sides in (frames, words)]
    other_AC = cross_interaction(*padded(shuffled[0][::-1]), *padded(shuffled[1][::-1]))
    torch.testing.assert_close(other_AC.flip(0, 1), scores_AC, rtol=0, atol=1e-6)


def test_a_set_with_itself_scores_one_and_zero_vectors_score_zero() -> None:
    (vectors,) = sets_of([5], 1)
    assert cross_interaction(*padded([vectors]), *padded([vectors])).item() == pytest.approx(1, abs=1e-6)
    silence = torch.zeros(1, 3, DIM, requires_grad=True)
    scores = cross_interaction(F.normalize(silence, dim=-1), torch.tensor([3]), *padded([vectors]))
    scores.sum().backward()
    assert scores.item() == 0 and silence.grad.isfinite().all()


def kept_bytes(score) -> tuple[int, int]:
    """What a forward pass keeps for the backward one: in all, and the largest tensor's number of elements."""
    clips, captions, frames, words = 12, 12, 30, 10
    draw = torch.Generator().manual_seed(1)
    x = F.normalize(torch.randn(clips, frames, DIM, generator=draw), dim=-1).requires_grad_()
    y = F.normalize(torch.randn(captions, words, DIM, generator=draw), dim=-1).requires_grad_()
    kept: dict[int, Tensor] = {}
    with torch.autograd.graph.saved_tensors_hooks(
        lambda tensor: kept.setdefault(tensor.data_ptr(), tensor), lambda tensor: tensor
    ):
        score(x, torch.full((clips,), frames), y, torch.full((captions,), words))
    return sum(tensor.nbytes for tensor in kept.values()), max(tensor.numel() for tensor in kept.values())


def test_the_backward_pass_needs_indices_and_not_the_cosines() -> None:
    cosines = 12 * 12 * 30 * 10
    all_bytes, largest = kept_bytes(cross_interaction)
    inputs, indices, lengths = 4 * DIM * 12 * (30 + 10), 4 * 12 * 12 * (30 + 10), 2 * 8 * 12
    assert all_bytes == inputs + indices + lengths
    assert largest == 12 * 12 * 30 < cosines
    assert kept_bytes(masked_einsum)[1] == cosines  # what it is compared with does keep them


def test_half_precision_around_it_does_not_round_the_cosines() -> None:
    frames, words = sets_of([4, 2], 1), sets_of([3, 1], 2)
    wanted_AC = cross_interaction(*padded(frames), *padded(words))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(cross_interaction(*padded(frames), *padded(words)), wanted_AC, rtol=0, atol=0)
