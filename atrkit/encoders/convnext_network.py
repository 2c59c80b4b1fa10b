"""ConvNeXt-Tiny for spectrograms: entries are named as published, clips of unlike length go through it together."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from atrkit.encoders.batching import zero_padding_

NUM_BANDS = 224
NUM_CLASSES = 527
WIDTH = 768

_DEPTHS = (3, 3, 9, 3)
_WIDTHS = (96, 192, 384, WIDTH)
_STEM_STRIDE = 4
_STEM_PADDING = 4  # mel frames of zeros at both ends
_NORM_EPS = 1e-6

# the widened map is made in pieces of 4 MB that stay in a CPU's cache: 1.3 times as fast for a minute of audio as whole
_CPU_HIDDEN_VALUES = 2**20


class ConvNeXt(nn.Module):
    """ConvNeXt-Tiny with one input channel and a tagging head.

    Maps are kept with their channels last, (B, T, M, C), from the stem to the end: then LayerNorms and the pointwise
    layers are plain row operations, a matrix product among them, and the depthwise convolutions take the same memory as
    channels-last images, so nothing is ever copied from one layout to another.

    Source: Liu et al., "A ConvNet for the 2020s", CVPR 2022, section 2 and figure 4; Pellegrini et al., "Adapting a
    ConvNeXt model to audio classification on AudioSet", Interspeech 2023, section 2 (224 mel bands, stem 4 x 4 with
    four frames of padding, max + mean over time).
    """

    def __init__(self) -> None:
        super().__init__()
        self._dtype = torch.float32  # of the blocks and the strided convolutions
        self.bn0 = nn.BatchNorm1d(NUM_BANDS)
        stem = nn.Conv2d(1, _WIDTHS[0], _STEM_STRIDE, _STEM_STRIDE, padding=(_STEM_PADDING, 0))
        self.downsample_layers = nn.ModuleList([nn.Sequential(stem, nn.LayerNorm(_WIDTHS[0], _NORM_EPS))])
        for width, wider in pairwise(_WIDTHS):
            halve = nn.Conv2d(width, wider, kernel_size=2, stride=2)
            self.downsample_layers.append(nn.Sequential(nn.LayerNorm(width, _NORM_EPS), halve))
        self.stages = nn.ModuleList(
            nn.ModuleList(_Block(width) for _ in range(depth)) for width, depth in zip(_WIDTHS, _DEPTHS, strict=True)
        )
        self.norm = nn.LayerNorm(WIDTH, _NORM_EPS)
        self.head_audioset = nn.Linear(WIDTH, NUM_CLASSES)

    def forward(self, mel_BTM: Tensor, mel_frames_B: Sequence[int]) -> tuple[Tensor, list[int]]:
        """The last stage's map, of each clip as if it were alone.

        A clip alone is surrounded by zeros wherever a convolution reaches over its end. In a batch there is something
        else behind the end of a shorter clip, so it is set to zero before the stem and before every depthwise
        convolution; strided convolutions of 2 x 2 never reach over an end, because lengths are floored.

        Args:
            mel_BTM: log-mel spectra in dB, T frames of 224 bands.
            mel_frames_B: how many of the T frames are each clip's own; at least 24.

        Returns:
            (B, T', 7 rows of 32 bands, 768) float32, and how many of the T' positions are each clip's own.
        """
        stem, stem_norm = self.downsample_layers[0].children()
        image_B1TM = self.bn0(mel_BTM.transpose(1, 2)).transpose(1, 2)[:, None]
        map_BTMC = stem_norm(_channels_last(stem(zero_padding_(image_B1TM, mel_frames_B))))
        lengths_B = [(frames + 2 * _STEM_PADDING - _STEM_STRIDE) // _STEM_STRIDE + 1 for frames in mel_frames_B]
        map_BTMC = self._stage(0, map_BTMC, lengths_B)
        for index in (1, 2, 3):
            norm, halve = self.downsample_layers[index].children()
            normed_BCTM = _channels_first(norm(map_BTMC)).to(self._dtype)
            lengths_B = [length // 2 for length in lengths_B]
            map_BTMC = self._stage(index, _channels_last(halve(normed_BCTM)).float(), lengths_B)
        return map_BTMC, lengths_B

    def _stage(self, index: int, map_BTMC: Tensor, lengths_B: list[int]) -> Tensor:
        for block in self.stages[index].children():
            zero_padding_(_channels_first(map_BTMC), lengths_B)
            map_BTMC = block(map_BTMC)
        return map_BTMC

    def lower_precision(self, dtype: torch.dtype) -> None:
        """Compute all that is costly in `dtype`: the blocks and the strided convolutions.

        What is passed from block to block, the layer scales, and the norms between the stages stay in float32: there
        rounding would pile up over eighteen residual sums. So does the stem, which reads decibels.
        """
        self._dtype = dtype
        for index in (1, 2, 3):
            _, halve = self.downsample_layers[index].children()
            halve.to(dtype)
        for block in self._blocks():
            for layer in (block.dwconv, block.norm, block.pwconv1, block.pwconv2):
                layer.to(dtype)

    def compile_blocks(self) -> None:
        """Let torch compile what is done at each position; the depthwise convolutions are library calls anyhow.

        Positions of all clips form one dimension, so one compilation for each stage serves all lengths and batches.
        """
        for block in self._blocks():
            block.mix_channels = torch.compile(block.mix_channels, dynamic=True)  # type: ignore[method-assign]

    def _blocks(self) -> Iterator["_Block"]:
        return (module for module in self.modules() if isinstance(module, _Block))


class _Block(nn.Module):
    """Convolve each channel alone, mix channels through four times as many, add to the input (in place)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(width, width, kernel_size=7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width, _NORM_EPS)
        self.pwconv1 = nn.Linear(width, 4 * width)
        self.pwconv2 = nn.Linear(4 * width, width)
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, map_BTMC: Tensor) -> Tensor:
        branch_BCTM = self.dwconv(_channels_first(map_BTMC).to(self.dwconv.weight.dtype))
        branch_PC, map_PC = _channels_last(branch_BCTM).flatten(0, 2), map_BTMC.view(-1, map_BTMC.shape[-1])
        positions = _CPU_HIDDEN_VALUES // self.pwconv1.out_features if map_BTMC.device.type == "cpu" else len(map_PC)
        for some_branch_PC, some_PC in zip(branch_PC.split(positions), map_PC.split(positions), strict=True):
            self.mix_channels(some_branch_PC, some_PC)
        return map_BTMC

    def mix_channels(self, branch_PC: Tensor, map_PC: Tensor) -> None:
        """Add the branch of P positions to their map, in place."""
        hidden_PH = nn.functional.gelu(self.pwconv1(self.norm(branch_PC)))
        map_PC.addcmul_(self.pwconv2(hidden_PH), self.gamma)


def _channels_first(map_BTMC: Tensor) -> Tensor:
    """The same memory as an image, (B, C, T, M), whose channels lie last."""
    return map_BTMC.permute(0, 3, 1, 2)


def _channels_last(map_BCTM: Tensor) -> Tensor:
    """(B, T, M, C): the same memory where the channels lie last already."""
    return map_BCTM.permute(0, 2, 3, 1).contiguous()
