"""The networks of PANNs, with their entries named as published: decibels of mel bands in, a map of features out.

Every network takes clips of unlike length in one batch and gives each what it would get alone: wherever a convolution
could look behind the end of a clip there are zeros, as its own padding would be, and pooling drops an odd last frame.

Source: Kong et al., "PANNs: Large-scale pretrained audio neural networks for audio pattern recognition", IEEE/ACM
TASLP 28 (2020), tables 2 and 3 (Cnn10, Cnn14) and 5 (ResNet38). What they leave out and the published weights fix:
ResNet38 halves by averaging before a block's first convolution.
"""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from atrkit.encoders.batching import zero_padding_
from atrkit.encoders.folding import conv_add_relu_, conv_relu
from atrkit.encoders.weights import FRONT_END_BUFFERS, load_weights

NUM_BANDS = 64
NUM_CLASSES = 527
DROPOUT = 0.2

# of each clip in a batch: a list, or a tensor where torch compiles, which would compile anew for every other list
Lengths = Sequence[int] | Tensor


class PannsNetwork(nn.Module):
    """What all of them share: BatchNorm over mel bands before, and the head after the feature map.

    Args:
        num_features: F, channels of the feature map, and width of the embedding.
        num_halvings: of time and frequency from the input to the feature map.
    """

    def __init__(self, num_features: int, num_halvings: int) -> None:
        super().__init__()
        self.num_halvings = num_halvings
        self.bn0 = nn.BatchNorm2d(NUM_BANDS)
        self.dropout = nn.Dropout(DROPOUT)  # only where the network is trained
        self.fc1 = nn.Linear(num_features, num_features)
        self.fc_audioset = nn.Linear(num_features, NUM_CLASSES)

    def normalised(self, mel_BTM: Tensor) -> Tensor:
        """Decibels to the input of the convolutions: (B, 1, T, M)."""
        map_BM1T: Tensor = self.bn0(mel_BTM.mT[:, :, None])
        return map_BM1T.permute(0, 2, 3, 1)

    def feature_map(self, map_B1TM: Tensor, lengths_B: Lengths) -> Tensor:
        """Normalised bands, zero behind each clip's end, to (B, F, T >> num_halvings, rows of frequency).

        A clip of n frames has n >> num_halvings in the map; there is nonsense behind them.
        """
        raise NotImplementedError

    def embedding(self, pooled_BF: Tensor) -> Tensor:
        """From max + mean of the frames to the embedding, (B, F)."""
        return functional.relu(self.fc1(pooled_BF))

    def logits(self, embedding_BF: Tensor) -> Tensor:
        """AudioSet tags before the sigmoid, (B, 527)."""
        logits_BK: Tensor = self.fc_audioset(embedding_BF)
        return logits_BK


class Cnn(PannsNetwork):
    """Cnn10 (four blocks of two convolutions, 64 to 512 channels) and Cnn14 (six, 64 to 2048).

    Args:
        widths: channels of each block.
        num_halvings: so many of the first blocks are followed by pooling.
    """

    def __init__(self, widths: Sequence[int], num_halvings: int) -> None:
        super().__init__(widths[-1], num_halvings)
        self._num_blocks = len(widths)
        for number, (in_channels, out_channels) in enumerate(pairwise([1, *widths]), start=1):
            setattr(self, f"conv_block{number}", _ConvBlock(in_channels, out_channels))

    def feature_map(self, map_B1TM: Tensor, lengths_B: Lengths) -> Tensor:
        """As `PannsNetwork.feature_map`."""
        features = map_B1TM
        for number in range(1, self._num_blocks + 1):
            features = getattr(self, f"conv_block{number}")(features, lengths_B)
            if number <= self.num_halvings:
                features, lengths_B = _halve(features, lengths_B)
            features = self.dropout(features)
        return features


class ResNet38(PannsNetwork):
    """A block of two convolutions, 16 residual blocks of two, and a block of two to 2048 channels."""

    def __init__(self) -> None:
        super().__init__(2048, num_halvings=5)
        self.conv_block1 = _ConvBlock(1, 64)
        self.resnet = _ResidualStages()
        self.conv_block_after1 = _ConvBlock(512, 2048)

    def feature_map(self, map_B1TM: Tensor, lengths_B: Lengths) -> Tensor:
        """As `PannsNetwork.feature_map`."""
        features, lengths_B = _halve(self.conv_block1(map_B1TM, lengths_B), lengths_B)
        features, lengths_B = self.resnet(self.dropout(features), lengths_B)
        features, lengths_B = _halve(features, lengths_B)
        result: Tensor = self.dropout(self.conv_block_after1(self.dropout(features), lengths_B))
        return result


class _ConvBlock(nn.Module):
    """Two 3 x 3 convolutions, each with BatchNorm and ReLU; nonsense behind the end of each clip."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = _conv3x3(in_channels, out_channels)
        self.conv2 = _conv3x3(out_channels, out_channels)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.bn2 = nn.BatchNorm2d(out_channels)

    def forward(self, map_BCTX: Tensor, lengths_B: Lengths) -> Tensor:
        hidden = zero_behind_(conv_relu(self.conv1, self.bn1, map_BCTX), lengths_B)
        return conv_relu(self.conv2, self.bn2, hidden)


class _ResidualStages(nn.Module):
    """3, 4, 6 and 3 residual blocks of 64, 128, 256 and 512 channels; all stages but the first halve."""

    def __init__(self) -> None:
        super().__init__()
        self.layer1 = _stage(3, 64, 64)
        self.layer2 = _stage(4, 64, 128)
        self.layer3 = _stage(6, 128, 256)
        self.layer4 = _stage(3, 256, 512)

    def forward(self, features: Tensor, lengths_B: Lengths) -> tuple[Tensor, Lengths]:
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            if stage is not self.layer1:
                features, lengths_B = _halve(features, lengths_B)
            for block in stage:
                features = block(features, lengths_B)
        return features, lengths_B


def _stage(num_blocks: int, in_channels: int, out_channels: int) -> nn.ModuleList:
    widths = [in_channels] + [out_channels] * num_blocks
    return nn.ModuleList(_ResidualBlock(before, after) for before, after in pairwise(widths))


class _ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions beside the input, which may be overwritten; one that widens gets it already halved."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = _conv3x3(in_channels, out_channels)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = _conv3x3(out_channels, out_channels)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.dropout = nn.Dropout(DROPOUT)
        self.downsample: nn.Module = nn.Identity()
        if in_channels != out_channels:
            # the published entries count a pooling layer first; here both branches share it (`_halve`)
            projection = nn.Conv2d(in_channels, out_channels, 1, bias=False)
            self.downsample = nn.Sequential(nn.Identity(), projection, nn.BatchNorm2d(out_channels))

    def forward(self, map_BCTX: Tensor, lengths_B: Lengths) -> Tensor:
        hidden = zero_behind_(self.dropout(conv_relu(self.conv1, self.bn1, map_BCTX)), lengths_B)
        return zero_behind_(conv_add_relu_(self.conv2, self.bn2, hidden, self.downsample(map_BCTX)), lengths_B)


def _conv3x3(in_channels: int, out_channels: int) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)


def zero_behind_(map_BCTX: Tensor, lengths_B: Lengths) -> Tensor:
    """`zero_padding_`, and the same for lengths in a tensor, which torch compiles into the operation before."""
    if not isinstance(lengths_B, Tensor):
        return zero_padding_(map_BCTX, lengths_B)
    steps_T = torch.arange(map_BCTX.shape[2], device=map_BCTX.device)
    return map_BCTX.masked_fill((steps_T >= lengths_B[:, None])[:, None, :, None], 0.0)


def _halve(map_BCTX: Tensor, lengths_B: Lengths) -> tuple[Tensor, Lengths]:
    """Means over two by two; an odd last frame of a clip is dropped, as it is when the clip is alone."""
    halved_B = lengths_B // 2 if isinstance(lengths_B, Tensor) else [length // 2 for length in lengths_B]
    return zero_behind_(functional.avg_pool2d(map_BCTX, 2), halved_B), halved_B


def panns_network(name: str) -> PannsNetwork:
    """The network of an encoder in eval mode, on torch's device "meta": its weights are not there yet.

    Random weights, which are overwritten, would take as long as reading the file.

    Args:
        name: "cnn14", "cnn14_16k", "cnn10" or "resnet38".
    """
    with torch.device("meta"):
        if name == "resnet38":
            return ResNet38().eval()
        if name == "cnn10":
            return Cnn((64, 128, 256, 512), num_halvings=4).eval()
        return Cnn((64, 128, 256, 512, 1024, 2048), num_halvings=5).eval()


def load_panns_weights(network: PannsNetwork, path: Path) -> None:
    """Fill a network, on the CPU, from a published file or one that was written after fine-tuning.

    Raises:
        IntegrityError: as in `weights.load_weights`.
    """
    load_weights(network, path, nesting="model", ignored=FRONT_END_BUFFERS)
