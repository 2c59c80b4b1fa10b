"""NetVLAD and NetRVLAD against sums written out from paper 003's equations 4 to 6, frame by frame."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from atrkit.models import NetRVLAD, NetVLAD

Array = npt.NDArray[np.float64]
F, K = 3, 4
KINDS = (NetVLAD, NetRVLAD)
LENGTHS = st.lists(st.integers(1, 6), min_size=1, max_size=4)


def pooling_of(kind: type[NetRVLAD], **options: Any) -> NetRVLAD:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        pooling = kind(F, K, **options).double()
        torch.nn.init.normal_(pooling.assignment.bias)
    return pooling


def clips_of(lengths: list[int], seed: int = 0) -> list[Array]:
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(length, F)) for length in lengths]


def padded(clips: list[Array], filling: float = 7.0) -> tuple[torch.Tensor, torch.Tensor]:
    x_BTF = np.full((len(clips), max(map(len, clips)) + 1, F), filling)
    for row, clip in zip(x_BTF, clips, strict=True):
        row[: len(clip)] = clip
    return torch.from_numpy(x_BTF), torch.tensor([len(clip) for clip in clips])


def written_out(pooling: NetRVLAD, frames: Array) -> list[float]:
    """Equations 4 (with centres) and 5 (without), as sums over frames; equation 6 puts cluster after cluster."""
    w, b = (p.detach().numpy() for p in (pooling.assignment.weight, pooling.assignment.bias))
    c = pooling.centre_KF.detach().numpy() if isinstance(pooling, NetVLAD) else np.zeros((K, F))
    descriptor = [[0.0] * F for _ in range(K)]
    for x_i in frames:
        exponentials = [math.exp(sum(w[k][j] * x_i[j] for j in range(F)) + b[k]) for k in range(K)]
        for k in range(K):
            for j in range(F):
                descriptor[k][j] += exponentials[k] / sum(exponentials) * (x_i[j] - c[k][j])
    return [value for of_cluster in descriptor for value in of_cluster]


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25, deadline=None)
@given(lengths=LENGTHS, seed=st.integers(0, 99))
def test_each_is_its_equation_whatever_stands_in_the_padding(
    kind: type[NetRVLAD], lengths: list[int], seed: int
) -> None:
    pooling, clips = pooling_of(kind), clips_of(lengths, seed)
    expected = [written_out(pooling, clip) for clip in clips]
    np.testing.assert_allclose(pooling(*padded(clips)).detach(), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_normalised_gives_every_cluster_the_same_weight_and_the_whole_norm_1(kind: type[NetRVLAD]) -> None:
    pooling, clips = pooling_of(kind, normalise=True), clips_of([2, 5])
    for clip, pooled in zip(clips, pooling(*padded(clips)).detach(), strict=True):
        sums_KF = np.reshape(written_out(pooling, clip), (K, F))
        unit_KF = sums_KF / np.sqrt((sums_KF**2).sum(axis=1, keepdims=True))
        np.testing.assert_allclose(pooled, unit_KF.ravel() / math.sqrt(K), rtol=0, atol=1e-12)


def test_netrvlad_is_netvlad_with_its_centres_at_zero() -> None:
    vlad, rvlad = pooling_of(NetVLAD), pooling_of(NetRVLAD)
    torch.nn.init.zeros_(vlad.centre_KF)  # type: ignore[arg-type]
    rvlad.load_state_dict({name: value for name, value in vlad.state_dict().items() if name != "centre_KF"})
    batch = padded(clips_of([4, 1]))
    assert torch.equal(vlad(*batch), rvlad(*batch))


@pytest.mark.parametrize("kind", KINDS)
@given(order=st.permutations(range(6)))
@settings(max_examples=10, deadline=None)
def test_the_order_of_frames_changes_nothing(kind: type[NetRVLAD], order: list[int]) -> None:
    pooling, (clip,) = pooling_of(kind), clips_of([6])
    torch.testing.assert_close(pooling(*padded([clip[order]])), pooling(*padded([clip])), rtol=0, atol=1e-12)


@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_finite_and_reach_every_parameter(kind: type[NetRVLAD], normalise: bool) -> None:
    pooling, silent_clip = pooling_of(kind, normalise=normalise), np.zeros((2, F))
    far_clip = 1e4 * clips_of([3])[0]  # softmax saturates
    x_BTF, lengths_B = padded([*clips_of([5, 2]), silent_clip, far_clip])
    (pooling(x_BTF.requires_grad_(), lengths_B) * torch.arange(1.0, K * F + 1)).sum().backward()
    for name, value in [*pooling.named_parameters(), ("x", x_BTF)]:
        assert value.grad is not None and value.grad.isfinite().all() and value.grad.any(), name


class LargestTensor(TorchDispatchMode):
    """Keeps the size of the largest tensor that any operation inside makes."""

    numel = 0

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = operation(*args, **(kwargs or {}))
        self.numel = max(self.numel, *(each.numel() for each in (made if isinstance(made, tuple) else (made,))))
        return made


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_larger_than_the_frames_is_made(kind: type[NetRVLAD]) -> None:
    frames, wide, clusters = 400, 64, 32
    with torch.no_grad(), LargestTensor() as largest:
        kind(wide, clusters)(torch.randn(2, frames, wide), torch.tensor([frames, 3]))
    assert largest.numel == 2 * frames * wide  # (B, T, K, F) would have 32 times as many


def test_the_paper_has_20_clusters_for_words_and_12_for_cnn14_frames() -> None:
    assert (NetRVLAD(300, clusters=20).out_dim, NetRVLAD(in_dim=2048, clusters=12).out_dim) == (6_000, 24_576)
