"""Folded and packed convolutions give what the published layers give one after the other."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from atrkit.encoders import folding
from atrkit.encoders.folding import (
    PackedConv2d,
    conv_add_relu_,
    conv_relu,
    convolution_input_sizes,
    fold_batch_norms,
    pack_convolutions,
)

needs_onednn = pytest.mark.skipif(not folding.can_pack(torch.float32), reason="this torch has no oneDNN")


class Block(nn.Module):
    """Layers with the names that are folded, in an order in which they are not run."""

    def __init__(self):
        super().__init__()
        self.bn0 = nn.BatchNorm2d(3)
        self.conv1 = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(8, 8, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(8)
        self.bn2 = nn.BatchNorm2d(8, eps=1e-3)
        self.downsample = nn.Sequential(nn.Identity(), nn.Conv2d(3, 8, 1, bias=False), nn.BatchNorm2d(8))
        self.alone = nn.Conv2d(8, 4, (3, 1), padding=(1, 0), stride=2)

    def forward(self, x):
        x = self.bn0(x)
        hidden = conv_relu(self.conv1, self.bn1, x)
        return self.alone(conv_add_relu_(self.conv2, self.bn2, hidden, self.downsample(x)))

    def layer_by_layer(self, x):
        x = self.bn0(x)
        hidden = functional.relu(self.bn1(self.conv1(x)))
        return self.alone(functional.relu(self.bn2(self.conv2(hidden)) + self.downsample(x)))


@pytest.fixture
def block():
    torch.manual_seed(1)
    block = Block().eval()
    for module in block.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.1, 3.0)
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
    return block


@pytest.fixture
def x():
    return torch.randn(2, 3, 20, 7, generator=torch.Generator().manual_seed(2))


@pytest.fixture
def expected(block, x):
    with torch.inference_mode():
        return block.layer_by_layer(x)


def norms(network):
    return [name for name, module in network.named_modules() if isinstance(module, nn.BatchNorm2d)]


def test_layers_as_published_can_be_run(block, x, expected):
    with torch.inference_mode():
        torch.testing.assert_close(block(x), expected)


def test_folding_changes_nothing_and_leaves_norms_without_a_convolution_before_them(block, x, expected):
    fold_batch_norms(block)
    assert norms(block) == ["bn0"]
    with torch.inference_mode():
        torch.testing.assert_close(block(x), expected)
        torch.testing.assert_close(block.layer_by_layer(x), expected)


@needs_onednn
@pytest.mark.parametrize("is_folded", [True, False], ids=["folded", "not folded"])
@pytest.mark.parametrize("size", [(2, 3, 20, 7), (1, 3, 1, 1), (5, 3, 33, 7)], ids=str)
def test_packing_changes_nothing_whatever_size_is_run(block, x, expected, size, is_folded):
    sizes = convolution_input_sizes(block, lambda network: network(torch.empty(size)))
    if is_folded:
        fold_batch_norms(block)
    pack_convolutions(block, sizes)
    assert not any(isinstance(module, nn.Conv2d) for module in block.modules())
    with torch.inference_mode():
        torch.testing.assert_close(block(x), expected)
        torch.testing.assert_close(block(x.contiguous(memory_format=torch.channels_last)), expected)


@needs_onednn
def test_packed_bf16_is_what_torch_makes_of_bf16(x):
    if not folding.can_pack(torch.bfloat16):
        pytest.skip("this CPU has no bf16")
    torch.manual_seed(3)
    convolution = nn.Conv2d(3, 8, 3, padding=1).to(torch.bfloat16)
    packed = PackedConv2d(convolution, (1, 3, 20, 7))
    with torch.inference_mode():
        result = packed(x.bfloat16(), "relu")
        assert result.dtype == torch.bfloat16
        torch.testing.assert_close(result, convolution(x.bfloat16()).relu())


def test_sizes_are_those_of_each_convolutions_input(block):
    block.to("meta")
    assert convolution_input_sizes(block, lambda network: network(torch.empty(1, 3, 20, 7, device="meta"))) == {
        "conv1": [1, 3, 20, 7],
        "conv2": [1, 8, 20, 7],
        "downsample.1": [1, 3, 20, 7],
        "alone": [1, 8, 20, 7],
    }


@pytest.mark.parametrize(("has_onednn", "dtype"), [(False, torch.float32), (False, torch.bfloat16)], ids=str)
def test_without_onednn_nothing_is_packed(monkeypatch, has_onednn, dtype):
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: has_onednn)
    assert not folding.can_pack(dtype)
