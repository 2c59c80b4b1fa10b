"""ConvNeXt-Tiny of Pellegrini et al., the frozen audio encoder of paper 004."""

from typing import Literal

import torch
from torch import Tensor

from atrkit.encoders.base import EncodedWindow, Encoder, Float32Array, Running, frames_of_clips
from atrkit.encoders.batching import split_frames
from atrkit.encoders.checkpoints import Checkpoint
from atrkit.encoders.convnext_network import NUM_BANDS, NUM_CLASSES, WIDTH, ConvNeXt
from atrkit.encoders.frontends import mel_spectrogram_batch, slaney_mel_bank, to_decibel
from atrkit.encoders.mobilenet import audioset_labels
from atrkit.encoders.weights import FRONT_END_BUFFERS, load_weights
from atrkit.errors import UsageError

_N_FFT = 1024
_HOP_SAMPLES = 320
_BAND_HZ = (50.0, 14000.0)
_SAMPLES_PER_FRAME = 32 * _HOP_SAMPLES  # a stride of four and three of two
_WINDOW_FRAMES = 192  # 61.44 s: whole frames, so that frame t begins t x 0.32 s after the start in every window
_CLIP_OUTPUTS = {"embedding": "layer norm of max + mean of frames", "clip": "max + mean of frames"}


class ConvNeXtEncoder(Encoder):
    """convnext_tiny: frames of 768 every 0.32 s, a clip embedding of 768, and 527 AudioSet tags.

    A clip of up to 61.44 s is seen whole, as the published network does; a longer one in windows of 61.44 s (a rest
    too short for a window joins the one before), because memory would grow with the recording. Clip embedding and
    tags are made from the frames of all windows. Clips of unlike length in one batch come out as if alone.

    Args:
        checkpoint: the weights, in either of the published nestings.
        running: how to run.
        clip_output: "embedding": LayerNorm of max + mean over the frames, what the classifier reads; "clip":
            max + mean itself.

    Raises:
        IntegrityError: as in `weights.load_weights`.
        UsageError: `clip_output` is neither.

    Source: as `ConvNeXt`; checkpoints of Zenodo records 8020843 and 10987498. Windows, zeros appended to clips under
    0.23 s, and frames as the mean over frequency are our choice.
    """

    name = "convnext_tiny"
    sample_rate_hz = 32000
    frame_dim = WIDTH
    clip_dim = WIDTH
    min_samples = 23 * _HOP_SAMPLES  # 24 mel frames are the fewest that leave one of the network's
    window_samples = _WINDOW_FRAMES * _SAMPLES_PER_FRAME
    num_classes = NUM_CLASSES

    def __init__(
        self, checkpoint: Checkpoint, running: Running, clip_output: Literal["embedding", "clip"] = "embedding"
    ) -> None:
        if clip_output not in _CLIP_OUTPUTS:
            raise UsageError(f"clip_output: {clip_output!r} is none of {', '.join(_CLIP_OUTPUTS)}")
        self._clip_output = clip_output
        settings = {
            "front_end": f"stft {_N_FFT}/{_HOP_SAMPLES} periodic hann, centred, reflect; power; {NUM_BANDS} slaney "
            f"mels {_BAND_HZ[0]:g}-{_BAND_HZ[1]:g} Hz; 10 log10(max(x, 1e-10))",
            "frames": "mean over frequency",
            "clip": _CLIP_OUTPUTS[clip_output],
            "long_audio": f"windows of {self.window_samples / self.sample_rate_hz:g} s, one clip embedding of all",
            "short_audio": f"zeros appended up to {self.min_samples} samples",
        }
        self._start(_SAMPLES_PER_FRAME / self.sample_rate_hz, running, settings)
        self.checkpoint_path, self.checkpoint_sha256 = checkpoint.path, checkpoint.sha256
        self.checkpoint_note = checkpoint.note
        self._network = self._load_network(checkpoint, running)
        self._window_W = torch.hann_window(_N_FFT, periodic=True, device=self.device)
        bank_KM = slaney_mel_bank(self.sample_rate_hz, _N_FFT, NUM_BANDS, *_BAND_HZ)
        self._mel_bank_KM = torch.from_numpy(bank_KM).to(self.device)
        self.labels = audioset_labels()

    def _load_network(self, checkpoint: Checkpoint, running: Running) -> ConvNeXt:
        network = ConvNeXt()
        load_weights(network, checkpoint.path, nesting="model", ignored=FRONT_END_BUFFERS)
        network.requires_grad_(False).eval().to(self.device)
        if self.dtype != torch.float32:
            network.lower_precision(self.dtype)
        if running.compile:
            network.compile_blocks()
        return network

    def mel(self, waves: list[Float32Array]) -> tuple[Tensor, list[int]]:
        """The network's input: (B, T, 224 bands) in dB, and how many of the T frames are each wave's own."""
        samples = [torch.from_numpy(wave_N).to(self.device) for wave_N in waves]
        return mel_spectrogram_batch(samples, self._window_W, _HOP_SAMPLES, self._mel_bank_KM, to_decibel)

    def _frames_of(self, windows: list[Float32Array]) -> list[EncodedWindow]:
        map_BTMC, lengths_B = self._network(*self.mel(windows))
        frames = split_frames(map_BTMC.mean(2), lengths_B)
        return [
            EncodedWindow(frames_TF, samples=len(window_N)) for frames_TF, window_N in zip(frames, windows, strict=True)
        ]

    def _clips_of(self, clips: list[list[EncodedWindow]]) -> tuple[Tensor, Tensor]:
        pooled_BD = torch.stack([frames_TF.amax(0) + frames_TF.mean(0) for frames_TF in frames_of_clips(clips)])
        embedding_BD = self._network.norm(pooled_BD)
        logits_BK = self._network.head_audioset(embedding_BD)
        return pooled_BD if self._clip_output == "clip" else embedding_BD, logits_BK
