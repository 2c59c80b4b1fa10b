"""EfficientAT's mn04: a small MobileNetV3 trained on AudioSet, fast on a CPU, that knows 527 sounds by name."""

from importlib import resources

import torch
from torch import Tensor, nn

from atrkit.encoders.base import EncodedWindow, Encoder, Float32Array, Running, frames_of_clips
from atrkit.encoders.checkpoints import Checkpoint
from atrkit.encoders.frontends import kaldi_mel_bank, mel_spectrogram
from atrkit.encoders.weights import load_weights

_N_FFT = 1024
_WINDOW_SAMPLES = 800
_HOP_SAMPLES = 320
_NUM_BANDS = 128
_PRE_EMPHASIS = 0.97
_HOPS_PER_FRAME = 32  # five strides of two
_SAMPLES_PER_FRAME = _HOPS_PER_FRAME * _HOP_SAMPLES
_WINDOW_FRAMES = 192  # 61.44 s: whole frames, so that frame t begins t x 0.32 s after the start in every window


class MobileNet(nn.Module):
    """MobileNetV3-large at width 0.4 with one input channel and a tagging head; entries are named as published.

    Source: Schmid, Koutini and Widmer, "Efficient large-scale audio tagging via transformer-to-CNN knowledge
    distillation", ICASSP 2023; Howard et al., "Searching for MobileNetV3", ICCV 2019, table 1. What neither states
    and METHODS.md does: BatchNorm eps 1e-3, squeeze-excitation with a plain sigmoid.
    """

    def __init__(self) -> None:
        super().__init__()
        relu, hard_swish = nn.ReLU, nn.Hardswish
        self.features = nn.Sequential(
            _conv(1, 8, kernel=3, stride=2, activation=hard_swish),
            _InvertedResidual(8, 3, 8, 8, relu),
            _InvertedResidual(8, 3, 24, 16, relu, stride=2),
            _InvertedResidual(16, 3, 32, 16, relu),
            _InvertedResidual(16, 5, 32, 16, relu, stride=2, excite=True),
            _InvertedResidual(16, 5, 48, 16, relu, excite=True),
            _InvertedResidual(16, 5, 48, 16, relu, excite=True),
            _InvertedResidual(16, 3, 96, 32, hard_swish, stride=2),
            _InvertedResidual(32, 3, 80, 32, hard_swish),
            _InvertedResidual(32, 3, 72, 32, hard_swish),
            _InvertedResidual(32, 3, 72, 32, hard_swish),
            _InvertedResidual(32, 3, 192, 48, hard_swish, excite=True),
            _InvertedResidual(48, 3, 272, 48, hard_swish, excite=True),
            _InvertedResidual(48, 5, 272, 64, hard_swish, stride=2, excite=True),
            _InvertedResidual(64, 5, 384, 64, hard_swish, excite=True),
            _InvertedResidual(64, 5, 384, 64, hard_swish, excite=True),
            _conv(64, 384, kernel=1, activation=hard_swish),
        )
        self.classifier = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(1),
            nn.Linear(384, 512),
            nn.Hardswish(),
            nn.Dropout(0.2),
            nn.Linear(512, 527),
        )

    def frames(self, mel_BMT: Tensor) -> Tensor:
        """Feature map before global pooling, averaged over frequency: (B, T, 384)."""
        map_BFMT: Tensor = self.features(mel_BMT[:, None])
        return map_BFMT.mean(2).transpose(1, 2)

    def logits(self, clip_emb_BD: Tensor) -> Tensor:
        """Tag logits of globally pooled features: (B, 527)."""
        logits_BK: Tensor = self.classifier(clip_emb_BD[:, :, None, None])
        return logits_BK


def _conv(
    in_channels: int,
    out_channels: int,
    kernel: int,
    stride: int = 1,
    groups: int = 1,
    activation: type[nn.Module] | None = None,
) -> nn.Sequential:
    convolution = nn.Conv2d(
        in_channels, out_channels, kernel, stride, padding=(kernel - 1) // 2, groups=groups, bias=False
    )
    layers: list[nn.Module] = [convolution, nn.BatchNorm2d(out_channels, eps=1e-3)]
    return nn.Sequential(*layers, *([activation()] if activation else []))


class _InvertedResidual(nn.Module):
    """Widen, convolve each channel alone, weigh channels, narrow; plus the input where the shapes agree."""

    def __init__(
        self,
        in_channels: int,
        kernel: int,
        expanded_channels: int,
        out_channels: int,
        activation: type[nn.Module],
        stride: int = 1,
        excite: bool = False,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        if expanded_channels != in_channels:
            layers.append(_conv(in_channels, expanded_channels, 1, activation=activation))
        layers.append(
            _conv(expanded_channels, expanded_channels, kernel, stride, groups=expanded_channels, activation=activation)
        )
        if excite:
            layers.append(_ChannelExcitation(expanded_channels))
        layers.append(_conv(expanded_channels, out_channels, 1))
        self.block = nn.Sequential(*layers)
        self._is_residual = stride == 1 and in_channels == out_channels

    def forward(self, map_BFMT: Tensor) -> Tensor:
        result: Tensor = self.block(map_BFMT)
        return result + map_BFMT if self._is_residual else result


class _SqueezeExcitation(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        squeezed = _round_to_eight(channels / 4)
        self.fc1 = nn.Linear(channels, squeezed)
        self.fc2 = nn.Linear(squeezed, channels)

    def forward(self, map_BFMT: Tensor) -> Tensor:
        weight_BF = torch.sigmoid(self.fc2(torch.relu(self.fc1(map_BFMT.mean((2, 3))))))
        return map_BFMT * weight_BF[:, :, None, None]


class _ChannelExcitation(nn.Module):
    """The published network can also weigh frequency and time; this one weighs channels only, under its old name."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conc_se_layers = nn.ModuleList([_SqueezeExcitation(channels)])

    def forward(self, map_BFMT: Tensor) -> Tensor:
        result: Tensor = self.conc_se_layers[0](map_BFMT)
        return result


def _round_to_eight(channels: float) -> int:
    """Nearest multiple of 8, and the next one when that loses more than a tenth (MobileNet's rule)."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


class Mn04Encoder(Encoder):
    """mn04: frames of 384 every 0.32 s, their mean as clip embedding, and 527 AudioSet tags.

    A clip of up to 61.44 s is seen whole, as the published network does. A longer one is seen in windows of 61.44 s
    (a rest too short for a window joins the one before), because memory would grow with the recording; the clip
    embedding is the mean of all frames and the tags are those of that mean, so that windows count by their length.

    Args:
        checkpoint: the weights.
        running: how to run.

    Raises:
        IntegrityError: as in `weights.load_weights`.

    Source: as `MobileNet`; front end and checkpoint of github.com/fschmid56/EfficientAT v0.0.1. Windows, zeros
    appended to clips under 514 samples, and frames as the mean over frequency are our choice.
    """

    name = "mn04"
    sample_rate_hz = 32000
    frame_dim = 384
    clip_dim = 384
    window_samples = _WINDOW_FRAMES * _SAMPLES_PER_FRAME
    min_samples = _N_FFT // 2 + 2  # what reflecting half an FFT needs, and one more for the pre-emphasis

    def __init__(self, checkpoint: Checkpoint, running: Running) -> None:
        settings = {
            "front_end": f"x[t+1] - {_PRE_EMPHASIS} x[t]; stft {_N_FFT}/{_HOP_SAMPLES} hann of {_WINDOW_SAMPLES}, "
            f"centred, reflect; power; {_NUM_BANDS} kaldi mels 0-16000 Hz; (ln(x + 1e-5) + 4.5) / 5",
            "frames": "mean over frequency",
            "clip": "mean over frames",
            "long_audio": f"windows of {self.window_samples / self.sample_rate_hz:g} s, tags of the mean",
        }
        self._start(_SAMPLES_PER_FRAME / self.sample_rate_hz, running, settings)
        self.checkpoint_path, self.checkpoint_sha256 = checkpoint.path, checkpoint.sha256
        self.checkpoint_note = checkpoint.note
        self._network = MobileNet()
        load_weights(self._network, checkpoint.path)
        self._network.to(self.device).eval()
        self._window_W = torch.hann_window(_WINDOW_SAMPLES, periodic=False, device=self.device)
        bank_KM = kaldi_mel_bank(self.sample_rate_hz, _N_FFT, _NUM_BANDS, 0.0, 16000.0)
        self._mel_bank_KM = torch.from_numpy(bank_KM).to(self.device)
        self.labels = audioset_labels()
        self.num_classes = len(self.labels)

    def _frames_of(self, windows: list[Float32Array]) -> list[EncodedWindow]:
        # one by one: on a CPU a batch outgrows the caches and is half as fast
        return [self._window(torch.from_numpy(window_N).to(self.device)) for window_N in windows]

    def _window(self, window_N: Tensor) -> EncodedWindow:
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            frames_BTF = self._network.frames(self.mel(window_N).T[None])
        return EncodedWindow(frames_BTF[0].float(), samples=len(window_N))

    def _clips_of(self, clips: list[list[EncodedWindow]]) -> tuple[Tensor, Tensor]:
        clip_embs = [frames_TF.mean(0, keepdim=True) for frames_TF in frames_of_clips(clips)]
        return torch.cat(clip_embs), torch.cat([self._network.logits(clip_emb_BD) for clip_emb_BD in clip_embs])

    def mel(self, wave_N: Tensor) -> Tensor:
        """The network's input: (n // 320 + 1 or one fewer frames, 128 bands)."""
        emphasised_N = wave_N[1:] - _PRE_EMPHASIS * wave_N[:-1]
        return mel_spectrogram(emphasised_N, self._window_W, _HOP_SAMPLES, self._mel_bank_KM, _normalised_log)


def _normalised_log(power: Tensor) -> Tensor:
    return (torch.log(power + 1e-5) + 4.5) / 5.0


def audioset_labels() -> tuple[str, ...]:
    """The 527 class names of AudioSet in the order of its classifiers (CC BY 4.0, source in the file)."""
    text = resources.files("atrkit.encoders").joinpath("audioset_labels.txt").read_text(encoding="utf-8")
    return tuple(line for line in text.splitlines() if not line.startswith("#"))
