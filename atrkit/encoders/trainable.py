"""An audio network that learns: samples in, frames out, with gradients and with its published weights to start from.

In evaluation mode its frames are those of the frozen encoder with the same weights. What the frozen encoder does to be
fast (BatchNorm folded into weights, weights packed, values overwritten) would stop gradients, and is not done here.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from safetensors import torch as safetensors_torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from atrkit.encoders.base import window_bounds
from atrkit.encoders.batching import split_frames
from atrkit.encoders.catalogue import ENCODERS
from atrkit.encoders.own_norm import OwnNorm, Positions
from atrkit.encoders.panns import WINDOW_S
from atrkit.encoders.panns_front_end import PannsFrontEnd
from atrkit.encoders.panns_networks import PannsNetwork, load_panns_weights, panns_network
from atrkit.encoders.time_pooling import frames_per_pool, pool_time
from atrkit.encoders.waveform import samples_of_rows
from atrkit.errors import UsageError

TRAINABLE = ("cnn14", "cnn14_16k", "cnn10", "resnet38")
BatchNorm = Literal["batch", "frozen"]

_STRIPES, _TIME_WIDTH, _BAND_WIDTH = 2, 64, 8


def trainable_network(
    name: str,
    checkpoint: Path,
    *,
    pool_time_s: float | None = None,
    batch_norm: BatchNorm = "batch",
    spec_augment: bool = True,
    dropout: float = 0.2,
) -> "TrainablePanns":
    """The network of an encoder with its weights, to be trained on.

    Args:
        name: one of `TRAINABLE`.
        checkpoint: its weights, as `load_encoder` takes them.
        pool_time_s: average frames over windows of this length; None: the network's own frames.
        batch_norm: as in `TrainablePanns`.
        spec_augment: as in `TrainablePanns`.
        dropout: as in `TrainablePanns`.

    Raises:
        UsageError: another encoder, or frames that cannot be pooled so.
        IntegrityError: the file is damaged, unsafe, or holds another network.
    """
    if name not in TRAINABLE:
        raise UsageError(f"encoder {name!r} cannot be fine-tuned; these can: {', '.join(TRAINABLE)}")
    network = panns_network(name)
    network.to_empty(device="cpu")
    load_panns_weights(network, checkpoint)
    return TrainablePanns(
        name, network, pool_time_s=pool_time_s, batch_norm=batch_norm, spec_augment=spec_augment, dropout=dropout
    )


class TrainablePanns(nn.Module):
    """A network of PANNs that takes the rows of a waveform store and gives frames, with gradients.

    Clips of unlike length in one batch take 1.3 times as long and 1.2 times the memory of equal ones (Cnn14 on a CPU,
    10 s; equal ones keep 146 MB per clip for the backward pass in float32): crops make them equal.

    The last layers, which PANNs tag with, do not hear a loss on frames; they are kept as they were, and not trained.

    Args:
        name: of the encoder, for its rate and front end.
        network: with weights, on the CPU; its entries are named as published.
        pool_time_s: average frames over windows of this length; None: the network's own frames.
        batch_norm: "batch": in training, normalise by the mean and variance of the batch, and keep running ones, as
            the public code of Mei et al. does; what lies behind the end of a shorter clip is not counted. "frozen": by
            the published mean and variance, in training too; scale and shift are learned in both.
        spec_augment: in training, set two stripes of up to 63 mel frames (0.01 s each) and two of up to 7 bands to
            zero, after the first BatchNorm.
        dropout: in training, share of the features that are dropped after each block.

    Attributes:
        frame_dim: F, width of a frame.
        frame_period_s: time from one frame to the next.
        sample_rate_hz: of the rows.

    Source: paper 001, section 4.2, which follows Mei et al. 2022, "On metric learning for audio-text cross-modal
    retrieval"; BatchNorm in training mode, the stripes, and dropout of 0.2 after each block are read from its public
    code. Statistics without padding (its code counts it), stripes whose widths depend on torch's generator alone, and
    windows of 61.44 s for longer clips, as of the frozen encoder, are our choice.
    """

    def __init__(
        self,
        name: str,
        network: PannsNetwork,
        *,
        pool_time_s: float | None = None,
        batch_norm: BatchNorm = "batch",
        spec_augment: bool = True,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        if batch_norm not in ("batch", "frozen"):
            raise UsageError(f"batch_norm: {batch_norm!r} is neither batch nor frozen")
        spec = ENCODERS[name]
        self.config = {
            "network": name,
            "pool_time_s": pool_time_s,
            "batch_norm": batch_norm,
            "spec_augment": spec_augment,
            "dropout": dropout,
        }
        self.sample_rate_hz, self.frame_dim = spec.sample_rate_hz, network.fc1.in_features
        self._frames_per_pool = frames_per_pool(pool_time_s, spec.frame_period_s)
        self.frame_period_s = self._frames_per_pool * spec.frame_period_s
        self._min_samples = spec.min_samples
        self._window_samples = round(WINDOW_S * spec.sample_rate_hz)
        self._spec_augment, self._batch_norm = spec_augment, batch_norm
        self._front_end = PannsFrontEnd(spec.sample_rate_hz)
        self._positions = Positions()
        _count_own_positions(network, self._positions)
        for module in network.modules():
            if isinstance(module, nn.Dropout):
                module.p = dropout
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        for head in (network.fc1, network.fc_audioset):
            head.requires_grad_(False)
        self.train()

    def train(self, mode: bool = True) -> "TrainablePanns":
        """Training mode, or evaluation mode; BatchNorms stay in evaluation mode where they are frozen."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d) and self._batch_norm == "frozen":
                module.eval()
        return self

    def forward(self, rows_BTR: Tensor, lengths_B: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Frames of a padded batch of clips.

        Args:
            rows_BTR: (B, T, 321) float32 of a waveform store at `sample_rate_hz`.
            lengths_B: rows of each clip.

        Returns:
            (B, T', F) float32 frames, zero behind the end of each clip, and (B,) how many each clip has.
        """
        waves = samples_of_rows(rows_BTR, lengths_B)
        clips = [self._windows(wave_N) for wave_N in waves]
        frames = self._frames_of([window_N for clip in clips for window_N in clip])
        joined, start = [], 0
        for clip in clips:
            joined.append(pool_time(torch.cat(frames[start : start + len(clip)]), self._frames_per_pool))
            start += len(clip)
        lengths = torch.tensor([len(frames_TF) for frames_TF in joined], device=rows_BTR.device)
        return pad_sequence(joined, batch_first=True), lengths

    def checkpoint_bytes(self) -> bytes:
        """The weights as a safetensors file that `load_encoder` reads: entries are named as published."""
        state = {name: value.detach().cpu().contiguous() for name, value in self.network.state_dict().items()}
        content: bytes = safetensors_torch.save(state)
        return content

    def _windows(self, wave_N: Tensor) -> list[Tensor]:
        bounds = window_bounds(len(wave_N), self._window_samples, self._min_samples)
        windows = [wave_N[start:stop] for start, stop in bounds]
        return [functional.pad(window_N, (0, max(0, self._min_samples - len(window_N)))) for window_N in windows]

    def _frames_of(self, windows: list[Tensor]) -> list[Tensor]:
        device = windows[0].device
        with torch.no_grad(), torch.autocast(device.type, enabled=False):
            mel_BTM, lengths_B = self._front_end(windows)
        are_equal = len(set(lengths_B)) == 1
        # a tensor of lengths lets nothing be overwritten that the backward pass needs; equal ones need no zeros
        lengths = lengths_B if are_equal else torch.tensor(lengths_B, device=device)
        with self._positions.of(None if are_equal else lengths, mel_BTM.shape[1], self.network.num_halvings):
            map_B1TM = self._normalised(mel_BTM, lengths)
            map_BFTX = self.network.feature_map(map_B1TM.contiguous(memory_format=torch.channels_last), lengths)
        frames_BTF = map_BFTX.float().mean(3).mT
        return split_frames(frames_BTF, [length >> self.network.num_halvings for length in lengths_B])

    def _normalised(self, mel_BTM: Tensor, lengths: Sequence[int] | Tensor) -> Tensor:
        map_BMT1: Tensor = self.network.bn0(mel_BTM.mT[..., None])
        map_B1TM = map_BMT1.permute(0, 3, 2, 1)
        if self.training and self._spec_augment:
            map_B1TM = map_B1TM.masked_fill(_stripes(map_B1TM.shape, lengths, map_B1TM.device), 0.0)
        if isinstance(lengths, Tensor):
            steps_T = torch.arange(map_B1TM.shape[2], device=map_B1TM.device)
            map_B1TM = map_B1TM.masked_fill((steps_T >= lengths[:, None])[:, None, :, None], 0.0)
        return map_B1TM


def _count_own_positions(network: nn.Module, positions: Positions) -> None:
    """Put norms in the place of a network's that leave out what lies behind the end of a clip; weights stay."""
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, name, OwnNorm.like(child, positions))


def _stripes(shape: torch.Size, lengths: Sequence[int] | Tensor, device: torch.device) -> Tensor:
    """Which values are set to zero, (B, 1, T, M): stripes over time within each clip, and over bands."""
    batch_size, _, num_frames, num_bands = shape
    ends_B = torch.as_tensor(lengths).cpu()
    over_time_BT = _drawn_stripes(num_frames, ends_B, _TIME_WIDTH)
    over_bands_BM = _drawn_stripes(num_bands, torch.full((batch_size,), num_bands), _BAND_WIDTH)
    return (over_time_BT[:, None, :, None] | over_bands_BM[:, None, None, :]).to(device)


def _drawn_stripes(size: int, ends_B: Tensor, largest_width: int) -> Tensor:
    """(B, size), True in two stripes of each row that begin anywhere where they fit; drawn from torch's generator."""
    draws_2BS = torch.rand(2, len(ends_B), _STRIPES)
    width_BS = torch.minimum((draws_2BS[0] * largest_width).long(), ends_B[:, None])
    first_BS = (draws_2BS[1] * (ends_B[:, None] - width_BS)).long()
    offset_BSN = torch.arange(size) - first_BS[..., None]
    return ((offset_BSN >= 0) & (offset_BSN < width_BS[..., None])).any(dim=1)
