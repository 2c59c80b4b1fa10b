import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from atrkit.errors import UsageError
from atrkit.losses import CaptionCrossEntropy, MaxMargin, NtXent

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


# --- a captioner's cross-entropy ---

SMOOTHINGS = st.sampled_from([0.0, 0.2, 0.9])


def words_to_say(batch: int, seed: int, vocab_size: int = 7) -> tuple[Tensor, Tensor]:
    """Logits, and captions of different lengths, padded with 0."""
    generator = torch.Generator().manual_seed(seed)
    lengths_B = torch.randint(1, 6, (batch,), generator=generator)
    targets_BL = torch.randint(1, vocab_size, (batch, int(lengths_B.max())), generator=generator)
    targets_BL[torch.arange(targets_BL.shape[1]) >= lengths_B[:, None]] = 0
    return torch.randn(*targets_BL.shape, vocab_size, generator=generator, dtype=torch.float64) * 4, targets_BL


def caption_cross_entropy_by_hand(logits_BLV: Tensor, targets_BL: Tensor, smoothing: float) -> float:
    """Minus the expected log-probability under the smoothed target, token by token."""
    terms = []
    for logits_LV, targets_L in zip(logits_BLV.numpy(), targets_BL.tolist(), strict=True):
        for logits_V, target in zip(logits_LV, targets_L, strict=True):
            if target == 0:
                continue
            log_p_V = logits_V - np.log(np.exp(logits_V).sum())
            wanted_V = np.full(len(logits_V), smoothing / len(logits_V))
            wanted_V[target] += 1 - smoothing
            terms.append(-(wanted_V * log_p_V).sum())
    return float(np.mean(terms))


@given(BATCH_SIZES, SEEDS, SMOOTHINGS)
def test_caption_cross_entropy_is_the_mean_over_tokens(batch: int, seed: int, smoothing: float) -> None:
    logits_BLV, targets_BL = words_to_say(batch, seed)
    loss = CaptionCrossEntropy(smoothing)(logits_BLV, targets_BL)
    assert loss.item() == pytest.approx(caption_cross_entropy_by_hand(logits_BLV, targets_BL, smoothing), abs=1e-9)
    torchs = F.cross_entropy(logits_BLV.transpose(1, 2), targets_BL, ignore_index=0, label_smoothing=smoothing)
    torch.testing.assert_close(loss, torchs)


@given(BATCH_SIZES, SEEDS, SMOOTHINGS)
def test_padding_changes_neither_the_loss_nor_its_gradient(batch: int, seed: int, smoothing: float) -> None:
    loss = CaptionCrossEntropy(smoothing)
    logits_BLV, targets_BL = words_to_say(batch, seed)
    wider_BLV = torch.cat([logits_BLV, torch.full((batch, 2, 7), 9.0, dtype=torch.float64)], dim=1)
    for logits in (logits_BLV, wider_BLV):
        logits.requires_grad_()
    value, wider = loss(logits_BLV, targets_BL), loss(wider_BLV, F.pad(targets_BL, (0, 2)))
    torch.testing.assert_close(value, wider)
    value.backward(), wider.backward()
    torch.testing.assert_close(wider_BLV.grad[:, :-2], logits_BLV.grad)
    assert not logits_BLV.grad[targets_BL == 0].any() and not wider_BLV.grad[:, -2:].any()


def test_caption_cross_entropy_computes_in_float32() -> None:
    logits_BLV = torch.full((1, 1, 5000), 8.0, dtype=torch.bfloat16)
    loss = CaptionCrossEntropy(0.1)(logits_BLV, torch.tensor([[3]]))
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(math.log(5000), rel=1e-6)


@pytest.mark.parametrize("share", [-0.1, 1.0, math.nan])
def test_a_share_of_the_target_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(UsageError, match="label_smoothing is"):
        CaptionCrossEntropy(share)
