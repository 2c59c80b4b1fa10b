"""VGGSound's ResNet-18, the frozen audio encoder of paper 003's ResNet18 row."""

import math
from importlib import resources
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from atrkit.encoders.base import EncodedWindow, Encoder, Float32Array, Running
from atrkit.encoders.checkpoints import Checkpoint
from atrkit.encoders.folding import fold_batch_norms
from atrkit.encoders.ten_seconds import (
    FRAMES_PER_WINDOW,
    left_out_samples,
    mean_over_time,
    of_its_own,
    window_starts,
)
from atrkit.encoders.weights import load_weights
from atrkit.errors import UsageError

_SAMPLE_RATE_HZ = 16000
_WINDOW_SAMPLES = 10 * _SAMPLE_RATE_HZ
_SEGMENT_SAMPLES = 512
_HOP_SAMPLES = 159
_TAPERED = 0.25  # of the Tukey window
_WIDTH = 512
_WINDOWS = {
    "windows": "10 s each; a rest under 0.15625 s is left out, a longer one repeated up to 10 s and its own frames "
    "kept; mean of the kept frames, weighted by their seconds",
    "first": "the first 10 s only",
}


class ResNet18(nn.Module):
    """ResNet-18 with one input channel and VGGSound's classifier; entries are named as published.

    Source: He et al., "Deep residual learning for image recognition", CVPR 2016, table 1; Chen et al., "VGGSound: a
    large-scale audio-visual dataset", ICASSP 2020, section 4 (model H: average pool).
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 64, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = nn.Sequential(_Block(64, 64), _Block(64, 64))
        self.layer2 = nn.Sequential(_Block(64, 128, stride=2), _Block(128, 128))
        self.layer3 = nn.Sequential(_Block(128, 256, stride=2), _Block(256, 256))
        self.layer4 = nn.Sequential(_Block(256, _WIDTH, stride=2), _Block(_WIDTH, _WIDTH))
        self.fc = nn.Linear(_WIDTH, num_classes)

    def forward(self, spectrogram_BKT: Tensor) -> Tensor:
        """Last map averaged over frequency, (B, 32, 512) float32, of spectrograms of 10 s, (B, 257 bins, 1004)."""
        map_BCKT = torch.relu_(self.bn1(self.conv1(spectrogram_BKT[:, None].to(self.conv1.weight.dtype))))
        map_BCKT = nn.functional.max_pool2d(map_BCKT, kernel_size=3, stride=2, padding=1)
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            map_BCKT = layer(map_BCKT)
        return map_BCKT.float().mean(2).transpose(1, 2)

    def convolutions_to(self, dtype: torch.dtype) -> None:
        """Compute all but the classifier in `dtype`."""
        for part in (self.conv1, self.bn1, self.layer1, self.layer2, self.layer3, self.layer4):
            part.to(dtype)


class _Block(nn.Module):
    """Two convolutions and the input, which a third brings to the same shape where they halve the map."""

    def __init__(self, width: int, wider: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, wider, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(wider)
        self.conv2 = nn.Conv2d(wider, wider, kernel_size=3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(wider)
        self.downsample: nn.Module | None = None
        if stride > 1:
            shortcut = nn.Conv2d(width, wider, kernel_size=1, stride=stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(wider))

    def forward(self, map_BCKT: Tensor) -> Tensor:
        branch_BCKT: Tensor = self.bn2(self.conv2(torch.relu_(self.bn1(self.conv1(map_BCKT)))))
        return branch_BCKT.add_(self.downsample(map_BCKT) if self.downsample is not None else map_BCKT).relu_()


class VggsoundResnet18Encoder(Encoder):
    """vggsound_resnet18: frames of 512 every 0.3125 s, their mean as clip embedding, and VGGSound's 309 classes.

    The network always sees ten seconds. A shorter clip is repeated up to ten seconds, as the original does, and gives
    all 32 frames. A longer clip is seen in windows of ten seconds. Its rest is left out under half a frame (0.15625 s);
    a longer one is repeated too, but only the frames that it has begun are kept, so that frames keep time. In the clip
    embedding a frame weighs the time that is its own, so that every second that is not left out counts alike.

    Args:
        checkpoint: the weights.
        running: how to run.
        long_audio: "windows", or "first": only the first ten seconds, as the original.

    Raises:
        IntegrityError: as in `weights.load_weights`.
        UsageError: `long_audio` is neither.

    Source: as `ResNet18`; front end, model H and order of the classes of github.com/hche11/VGGSound, whose own
    repetition ends at ten times the clip. Windows and frames as the mean over frequency are our choice.
    """

    name = "vggsound_resnet18"
    sample_rate_hz = _SAMPLE_RATE_HZ
    frame_dim = _WIDTH
    clip_dim = _WIDTH
    min_samples = 1
    window_samples = _WINDOW_SAMPLES

    def __init__(
        self, checkpoint: Checkpoint, running: Running, long_audio: Literal["windows", "first"] = "windows"
    ) -> None:
        if long_audio not in _WINDOWS:
            raise UsageError(f"long_audio: {long_audio!r} is none of {', '.join(_WINDOWS)}")
        self._long_audio = long_audio
        settings = {
            "front_end": f"samples clipped to -1..1; spectrogram {_SEGMENT_SAMPLES}/{_HOP_SAMPLES}, tukey {_TAPERED}, "
            "mean of each segment removed, density; ln(x + 1e-7); mean 0 and deviation 1 over 10 s",
            "frames": "mean over frequency",
            "clip": "mean over frames",
            "windows": _WINDOWS[long_audio],
            "short_audio": "repeated up to 10 s",
        }
        self._start(_WINDOW_SAMPLES / FRAMES_PER_WINDOW / _SAMPLE_RATE_HZ, running, settings)
        self.checkpoint_path, self.checkpoint_sha256 = checkpoint.path, checkpoint.sha256
        self.checkpoint_note = checkpoint.note
        self.labels = vggsound_labels()
        self.num_classes = len(self.labels)
        self._network = ResNet18(self.num_classes).eval().requires_grad_(False)
        load_weights(self._network, checkpoint.path, nesting="model_state_dict", prefix="audnet.")
        fold_batch_norms(self._network)
        self._network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._network.convolutions_to(self.dtype)
        if running.compile:
            self._network.compile(dynamic=True)

    def unheard_samples(self, num_samples: int) -> int:
        """Samples at the end of a wave of this length that leave no trace in the output."""
        if self._long_audio == "first":
            return max(0, num_samples - _WINDOW_SAMPLES)
        return left_out_samples(num_samples, _WINDOW_SAMPLES)

    def _windows(self, wave_N: Float32Array) -> list[Float32Array]:
        heard_N = wave_N if self._long_audio == "windows" else wave_N[:_WINDOW_SAMPLES]
        return [heard_N[start : start + _WINDOW_SAMPLES] for start in window_starts(len(heard_N), _WINDOW_SAMPLES)]

    def _encode_windows(self, waves: list[Float32Array]) -> list[list[EncodedWindow]]:
        clips = super()._encode_windows(waves)
        return [of_its_own(clip, len(wave_N), _WINDOW_SAMPLES) for clip, wave_N in zip(clips, waves, strict=True)]

    def _frames_of(self, windows: list[Float32Array]) -> list[EncodedWindow]:
        frames_BTF = self._network(self.spectrogram(windows))
        return [EncodedWindow(frames_TF, samples=_WINDOW_SAMPLES) for frames_TF in frames_BTF]

    def _clips_of(self, clips: list[list[EncodedWindow]]) -> tuple[Tensor, Tensor]:
        clip_emb_BD = torch.stack([mean_over_time(clip, _WINDOW_SAMPLES) for clip in clips])
        return clip_emb_BD, self._network.fc(clip_emb_BD)

    def spectrogram(self, waves: list[Float32Array]) -> Tensor:
        """The network's input, (B, 257 bins, 1004 frames), of waves of up to 10 s, repeated up to 10 s."""
        ten_seconds_BN = np.stack([np.resize(wave_N, _WINDOW_SAMPLES) for wave_N in waves])
        return vggsound_spectrogram(torch.from_numpy(ten_seconds_BN).to(self.device))


def vggsound_spectrogram(wave_BN: Tensor) -> Tensor:
    """Logarithmic power densities, normalised over each clip, as `scipy.signal.spectrogram` gives them.

    Computed in double: of silence the deviation is zero, and in float32 it would be rounding that is blown up to 1.

    Args:
        wave_BN: samples at 16 kHz.

    Returns:
        (B, 257 bins, T) float32, T = (N - 512) // 159 + 1.
    """
    segments_BTW = wave_BN.clamp(-1.0, 1.0).double().unfold(-1, _SEGMENT_SAMPLES, _HOP_SAMPLES)
    window_W = tukey_window(_SEGMENT_SAMPLES, _TAPERED).to(wave_BN.device)
    centred_BTW = segments_BTW - segments_BTW.mean(-1, keepdim=True)
    density_BTK = torch.view_as_real(torch.fft.rfft(centred_BTW * window_W)).square().sum(-1)
    density_BTK /= _SAMPLE_RATE_HZ * window_W.square().sum()
    density_BTK[..., 1:-1] *= 2.0  # the negative frequencies, which 0 Hz and Nyquist have not
    log_BTK = (density_BTK + 1e-7).log_()
    mean_B11 = log_BTK.mean((1, 2), keepdim=True)
    deviation_B11 = log_BTK.std((1, 2), correction=0, keepdim=True)
    return ((log_BTK - mean_B11) / (deviation_B11 + 1e-9)).float().mT


def tukey_window(length: int, tapered: float) -> Tensor:
    """Cosine-tapered window, periodic, float64.

    Args:
        length: in samples.
        tapered: how much of it the two tapers are together.
    """
    position_W = torch.arange(length, dtype=torch.float64)
    from_edge_W = torch.minimum(position_W, length - position_W) / (tapered * length / 2)
    return 0.5 - 0.5 * torch.cos(math.pi * from_edge_W.clamp(max=1.0))


def vggsound_labels() -> tuple[str, ...]:
    """The 309 class names of VGGSound in the order of its classifier (CC BY 4.0, source in the file)."""
    text = resources.files("atrkit.encoders").joinpath("vggsound_labels.txt").read_text(encoding="utf-8")
    return tuple(line for line in text.splitlines() if not line.startswith("#"))
