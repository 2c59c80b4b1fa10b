import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from atrkit.errors import UsageError
from atrkit.losses import MaxMargin, NtXent

BATCH_SIZES = st.integers(1, 6)
SEEDS = st.integers(0, 2**32 - 1)


def similarities(batch: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(batch, batch, generator=generator, dtype=torch.float64) * 2 - 1


def clips_of_pairs(batch: int, seed: int) -> Tensor:
    return torch.randint(0, 3, (batch,), generator=torch.Generator().manual_seed(seed))


def nt_xent_by_hand(s: list[list[float]], clips: list[int], temperature: float) -> float:
    """Paper 001, eq. 2, term by term; captions of the same clip stand in no denominator but their own."""
    batch = len(s)
    total = 0.0
    for i in range(batch):
        rivals = [j for j in range(batch) if j == i or clips[j] != clips[i]]
        positive = math.exp(s[i][i] / temperature)
        total += math.log(positive / sum(math.exp(s[i][j] / temperature) for j in rivals))
        total += math.log(positive / sum(math.exp(s[j][i] / temperature) for j in rivals))
    return -total / batch


def max_margin_by_hand(s: list[list[float]], clips: list[int], margin: float) -> float:
    """Paper 003, eq. 9 and 10, term by term."""
    batch = len(s)
    total = 0.0
    for i in range(batch):
        for j in range(batch):
            if j != i and clips[j] != clips[i]:
                total += max(0.0, margin + s[i][j] - s[i][i])
                total += max(0.0, margin + s[j][i] - s[i][i])
    return total / batch


@given(BATCH_SIZES, SEEDS, st.sampled_from([0.05, 0.07, 1.0]))
def test_nt_xent_is_equation_2(batch: int, seed: int, temperature: float) -> None:
    similarity_BB = similarities(batch, seed)
    loss = NtXent(temperature)(similarity_BB)
    assert loss.item() == pytest.approx(
        nt_xent_by_hand(similarity_BB.tolist(), list(range(batch)), temperature), abs=1e-9
    )


@given(BATCH_SIZES, SEEDS, st.sampled_from([0.1, 0.2, 1.0]))
def test_max_margin_is_equations_9_and_10(batch: int, seed: int, margin: float) -> None:
    similarity_BB = similarities(batch, seed)
    loss = MaxMargin(margin)(similarity_BB)
    assert loss.item() == pytest.approx(
        max_margin_by_hand(similarity_BB.tolist(), list(range(batch)), margin), abs=1e-9
    )


@given(BATCH_SIZES, SEEDS)
def test_captions_of_the_same_clip_are_no_negatives_of_each_other(batch: int, seed: int) -> None:
    similarity_BB, clip_index_B = similarities(batch, seed), clips_of_pairs(batch, seed)
    clips = clip_index_B.tolist()
    assert NtXent(0.07)(similarity_BB, clip_index_B).item() == pytest.approx(
        nt_xent_by_hand(similarity_BB.tolist(), clips, 0.07), abs=1e-9
    )
    assert MaxMargin(0.2)(similarity_BB, clip_index_B).item() == pytest.approx(
        max_margin_by_hand(similarity_BB.tolist(), clips, 0.2), abs=1e-9
    )


@pytest.mark.parametrize("loss", [NtXent(), MaxMargin()])
@given(batch=BATCH_SIZES, seed=SEEDS)
def test_both_directions_count_alike(loss: torch.nn.Module, batch: int, seed: int) -> None:
    similarity_BB = similarities(batch, seed)
    assert torch.allclose(loss(similarity_BB), loss(similarity_BB.T))


@pytest.mark.parametrize("loss", [NtXent(), MaxMargin()])
@given(batch=BATCH_SIZES, seed=SEEDS)
def test_order_of_the_pairs_does_not_matter(loss: torch.nn.Module, batch: int, seed: int) -> None:
    similarity_BB, clip_index_B = similarities(batch, seed), clips_of_pairs(batch, seed)
    order_B = torch.randperm(batch, generator=torch.Generator().manual_seed(seed))
    assert torch.allclose(
        loss(similarity_BB, clip_index_B), loss(similarity_BB[order_B][:, order_B], clip_index_B[order_B])
    )


@pytest.mark.parametrize("loss", [NtXent(), MaxMargin()])
@pytest.mark.parametrize("clip_index_B", [None, torch.tensor([0, 1, 0, 2])])
def test_gradients_are_those_of_the_values(loss: torch.nn.Module, clip_index_B: Tensor | None) -> None:
    similarity_BB = similarities(4, seed=3).requires_grad_()
    assert torch.autograd.gradcheck(lambda s: loss(s, clip_index_B), (similarity_BB,))


@pytest.mark.parametrize("loss", [NtXent(temperature=1e-3), MaxMargin()])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_extreme_similarities_stay_finite(loss: torch.nn.Module, dtype: torch.dtype) -> None:
    similarity_BB = (1 - 2 * torch.eye(8)).to(dtype).requires_grad_()  # every positive -1, every negative +1
    value = loss(similarity_BB)
    value.backward()
    assert value.dtype == torch.float32 and value.isfinite()
    assert similarity_BB.grad is not None and similarity_BB.grad.isfinite().all()


def test_a_solved_batch_costs_nothing() -> None:
    assert MaxMargin(margin=0.2)(torch.eye(5)).item() == 0
    assert NtXent(temperature=0.07)(torch.eye(5)).item() == pytest.approx(0, abs=1e-4)


def test_all_pairs_of_one_clip_give_zero_loss_and_zero_gradient() -> None:
    for loss in (NtXent(), MaxMargin()):
        similarity_BB = similarities(4, seed=1).requires_grad_()
        value = loss(similarity_BB, torch.zeros(4, dtype=torch.int64))
        value.backward()
        assert value.item() == 0 and not similarity_BB.grad.any()


def test_senseless_settings_are_refused() -> None:
    with pytest.raises(UsageError, match="temperature is 0"):
        NtXent(temperature=0)
    with pytest.raises(UsageError, match="margin is -1"):
        MaxMargin(margin=-1)
