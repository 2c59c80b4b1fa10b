"""BatchNorm without padding, against the equation in numpy."""

import numpy as np
import torch
from torch import nn

from atrkit.encoders.own_norm import OwnNorm, Positions


def test_mean_and_variance_are_of_the_clips_own_steps_and_gradients_flow_through_them():
    torch.manual_seed(1)
    positions, lengths = Positions(), torch.tensor([6, 4, 2])
    norm = OwnNorm.like(nn.BatchNorm2d(3), positions)
    with torch.no_grad():
        norm.weight.uniform_(0.5, 2.0)
        norm.bias.uniform_(-1.0, 1.0)
    map_BCTX = torch.randn(3, 3, 6, 5, requires_grad=True)
    with positions.of(lengths, num_steps=6, num_halvings=0):
        normalised = norm(map_BCTX)
    values = map_BCTX.detach().numpy().astype(np.float64)
    own = np.concatenate([values[b, :, :length].reshape(3, -1) for b, length in enumerate(lengths)], axis=1)
    mean, variance = own.mean(axis=1)[:, None, None], own.var(axis=1)[:, None, None]
    scale, shift = (p.detach().numpy()[:, None, None] for p in (norm.weight, norm.bias))
    expected = (values - mean) / np.sqrt(variance + 1e-5) * scale + shift
    for b, length in enumerate(lengths):
        np.testing.assert_allclose(normalised[b, :, :length].detach().numpy(), expected[b, :, :length], atol=1e-5)
    np.testing.assert_allclose(norm.running_mean.numpy(), 0.1 * own.mean(axis=1), atol=1e-6)
    np.testing.assert_allclose(norm.running_var.numpy(), 0.9 + 0.1 * own.var(axis=1, ddof=1), rtol=1e-5)
    assert norm.num_batches_tracked == 1
    # a shift of all own values is taken out again: its slope is zero
    own_BT = torch.arange(6) < lengths[:, None]
    (normalised * own_BT[:, None, :, None]).square().sum().backward()
    slope_C = (map_BCTX.grad * own_BT[:, None, :, None]).sum(dim=(0, 2, 3))
    np.testing.assert_allclose(slope_C.numpy(), np.zeros(3), atol=1e-3)
    assert not map_BCTX.grad[1, :, 4:].any()


def test_without_padding_and_in_evaluation_it_is_torchs_own():
    torch.manual_seed(2)
    positions, plain = Positions(), nn.BatchNorm2d(4)
    norm = OwnNorm.like(plain, positions)
    map_BCTX = torch.randn(2, 4, 5, 3)
    for lengths in (None, torch.tensor([5, 5])):
        with positions.of(lengths, num_steps=5, num_halvings=0):
            torch.testing.assert_close(norm(map_BCTX), plain(map_BCTX))
    torch.testing.assert_close(norm.state_dict(), plain.state_dict())
    with positions.of(torch.tensor([5, 2]), num_steps=5, num_halvings=0):
        torch.testing.assert_close(norm.eval()(map_BCTX), plain.eval()(map_BCTX))


def test_mixed_precision_costs_the_statistics_no_digits():
    torch.manual_seed(3)
    positions, map_BCTX = Positions(), 100.0 + torch.randn(3, 4, 8, 5)
    running = []
    for dtype in (None, torch.bfloat16):
        norm = OwnNorm.like(nn.BatchNorm2d(4), positions)
        with (
            torch.autocast("cpu", torch.bfloat16, enabled=dtype is not None),
            positions.of(torch.tensor([8, 7, 3]), num_steps=8, num_halvings=0),
        ):
            norm(map_BCTX)
        running.append(norm.running_mean)
    torch.testing.assert_close(*running, rtol=1e-6, atol=0.0)
