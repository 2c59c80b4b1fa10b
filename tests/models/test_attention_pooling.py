"""Attention pooling against equation 3 of paper 001 in numpy, and what no padding, order or batch may change."""

import numpy as np
import numpy.typing as npt
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from atrkit.models.attention_pooling import AttentionPooling

DIM, PARTS = 4, 3
Array = npt.NDArray[np.float64]


def pooling_of(seed: int = 1, parts: int = PARTS) -> AttentionPooling:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return AttentionPooling(DIM, parts).double()


def clips_of(lengths: list[int], seed: int = 1) -> list[Array]:
    rng = np.random.default_rng(seed)
    return [rng.normal(0, 2, (length, DIM)) for length in lengths]


def padded(clips: list[Array], padding: float = 0.0, extra: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    lengths = [len(clip) for clip in clips]
    x_BTD = torch.full((len(clips), max(lengths) + extra, DIM), padding, dtype=torch.float64)
    for row, clip in zip(x_BTD, clips, strict=True):
        row[: len(clip)] = torch.from_numpy(clip)
    return x_BTD, torch.tensor(lengths)


def expected_parts(pooling: AttentionPooling, clip_TD: Array) -> Array:
    """softmax(A W)^T h(A), one part after the other."""
    weights = {name: value.numpy() for name, value in pooling.state_dict().items()}
    inner = np.maximum(clip_TD @ weights["features.0.weight"].T + weights["features.0.bias"], 0)
    h_TD = inner @ weights["features.2.weight"].T + weights["features.2.bias"]
    parts = []
    for w_D in weights["part_weights.weight"]:
        likely_T = np.exp(clip_TD @ w_D)
        parts.append((likely_T[:, None] * h_TD).sum(axis=0) / likely_T.sum())
    return np.array(parts)


def test_each_part_is_equation_3() -> None:
    pooling, clips = pooling_of(), clips_of([5, 1, 3])
    parts_BSD = pooling(*padded(clips)).detach().numpy()
    for parts_SD, clip in zip(parts_BSD, clips, strict=True):
        np.testing.assert_allclose(parts_SD, expected_parts(pooling, clip), rtol=0, atol=1e-12)


def test_the_hidden_layer_is_twice_as_wide() -> None:
    assert [tuple(p.shape) for p in pooling_of().features.parameters()] == [(8, 4), (8,), (4, 8), (4,)]


@settings(max_examples=25, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 7), min_size=1, max_size=4),
    padding=st.sampled_from([0.0, 1e3, -1e3]),
    extra=st.integers(0, 3),
    seed=st.integers(0, 99),
)
def test_padding_and_batch_change_nothing(lengths: list[int], padding: float, extra: int, seed: int) -> None:
    pooling, clips = pooling_of(), clips_of(lengths, seed)
    alone = torch.cat([pooling(*padded([clip])) for clip in clips])
    torch.testing.assert_close(pooling(*padded(clips, padding, extra)), alone, rtol=0, atol=1e-11)


def test_the_order_of_frames_changes_nothing() -> None:
    pooling, (clip,) = pooling_of(), clips_of([6])
    shuffled = clip[np.random.default_rng(2).permutation(6)]
    torch.testing.assert_close(pooling(*padded([clip])), pooling(*padded([shuffled])), rtol=0, atol=1e-12)


def test_equal_frames_give_what_one_of_them_gives() -> None:
    """Weights over frames sum to 1, whatever their number."""
    pooling, (frame,) = pooling_of(), clips_of([1])
    many = np.repeat(frame, 9, axis=0)
    torch.testing.assert_close(pooling(*padded([many])), pooling(*padded([frame])), rtol=0, atol=1e-12)


def test_gradients_are_finite_and_do_not_reach_the_padding() -> None:
    x_BTD, lengths_B = padded(clips_of([2, 5, 1]), padding=3.0, extra=2)
    pooling = pooling_of()
    pooling(x_BTD.requires_grad_(), lengths_B).square().sum().backward()
    assert x_BTD.grad is not None and x_BTD.grad.isfinite().all()
    for gradient_TD, length in zip(x_BTD.grad, lengths_B, strict=True):
        assert gradient_TD[:length].any() and not gradient_TD[length:].any()
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.any() for p in pooling.parameters())
