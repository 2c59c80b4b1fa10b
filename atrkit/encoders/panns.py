"""PANNs: convolutional networks trained to tag AudioSet, the audio encoders of papers 001 and 003."""

from typing import Literal

import torch
from torch import Tensor

from atrkit.encoders.base import EncodedWindow, Encoder, Float32Array, Running, frames_of_clips
from atrkit.encoders.batching import split_frames, zero_padding_
from atrkit.encoders.catalogue import ENCODERS
from atrkit.encoders.checkpoints import Checkpoint
from atrkit.encoders.folding import can_pack, convolution_input_sizes, fold_batch_norms, pack_convolutions
from atrkit.encoders.mobilenet import audioset_labels
from atrkit.encoders.panns_front_end import PannsFrontEnd
from atrkit.encoders.panns_networks import NUM_BANDS, PannsNetwork, load_panns_weights, panns_network
from atrkit.errors import UsageError

ClipOutput = Literal["embedding", "clip"]

WINDOW_S = 61.44  # whole frames of every network, so that frame t begins t x period after the start in every window
_USUAL_CLIP_S = 10
_CLIP_VECTORS = {"embedding": "relu(fc1(max + mean over frames))", "clip": "max + mean over frames"}


class PannsEncoder(Encoder):
    """Cnn14, Cnn14 at 16 kHz, Cnn10 or ResNet38: frames every 0.32 s (Cnn10: 0.16 s), a clip vector, 527 tags.

    A clip of up to 61.44 s is seen whole, as the published networks do. A longer one is seen in windows of 61.44 s (a
    rest too short for a frame joins the one before), because memory would grow with the recording; its clip vector
    and its tags are made from all of its frames.

    On a CPU the convolutions are packed (`folding`), which torch's compiler leaves out where lengths vary: there
    `compile` makes Cnn14 slower (measured: 0.56 s of one thread for a clip of 10 s instead of 0.40 s).

    Args:
        name: "cnn14", "cnn14_16k", "cnn10" or "resnet38".
        checkpoint: the weights.
        running: how to run.
        clip_output: the clip vector: "embedding", after the first fully connected layer, as published, or "clip", max
            + mean of the frames before it, which papers 001 and 003 take.

    Raises:
        UsageError: `clip_output` is neither.
        IntegrityError: as in `weights.load_weights`.

    Source: as `panns_networks`. Windows, and zeros appended to clips that are too short for a frame, are our choice.
    """

    def __init__(
        self, name: str, checkpoint: Checkpoint, running: Running, clip_output: ClipOutput = "embedding"
    ) -> None:
        if clip_output not in _CLIP_VECTORS:
            raise UsageError(f"clip_output: {clip_output!r} is none of {', '.join(_CLIP_VECTORS)}")
        spec = ENCODERS[name]
        self.name, self.sample_rate_hz, self.min_samples = name, spec.sample_rate_hz, spec.min_samples
        self.frame_dim = self.clip_dim = spec.frame_dim
        self.window_samples = round(WINDOW_S * spec.sample_rate_hz)
        self._front_end = PannsFrontEnd(spec.sample_rate_hz)
        settings = {
            "front_end": self._front_end.description,
            "frames": "mean over frequency",
            "clip": _CLIP_VECTORS[clip_output],
            "long_audio": f"windows of {WINDOW_S:g} s, clip vector and tags of all frames",
            "short_audio": f"zeros appended up to {spec.min_samples} samples",
        }
        self._start(spec.frame_period_s, running, settings)
        self._clip_output = clip_output
        self.checkpoint_path, self.checkpoint_sha256 = checkpoint.path, checkpoint.sha256
        self.checkpoint_note = checkpoint.note
        self._front_end.to(self.device)
        self._load_network(checkpoint, running.compile)
        self.labels = audioset_labels()
        self.num_classes = len(self.labels)

    def _load_network(self, checkpoint: Checkpoint, is_compiled: bool) -> None:
        self._network = panns_network(self.name)
        input_sizes = convolution_input_sizes(self._network, self._run_without_values)
        self._network.to_empty(device="cpu")
        load_panns_weights(self._network, checkpoint.path)
        fold_batch_norms(self._network)
        self._network.to(self.device)
        for name in input_sizes:
            convolution = self._network.get_submodule(name)
            convolution.to(dtype=self.dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._feature_map = self._network.feature_map
        if is_compiled:
            self._feature_map = torch.compile(self._network.feature_map, dynamic=True)
        elif self.device.type == "cpu" and can_pack(self.dtype):
            pack_convolutions(self._network, input_sizes)
        self._is_compiled = is_compiled

    def _run_without_values(self, network: PannsNetwork) -> None:
        num_frames = _USUAL_CLIP_S * self.sample_rate_hz // self._front_end.hop_samples + 1
        network.feature_map(torch.empty(1, 1, num_frames, NUM_BANDS, device="meta"), [num_frames])

    def mel(self, waves: list[Float32Array]) -> tuple[Tensor, list[int]]:
        """The network's input: (B, n // hop + 1 frames, 64 bands) in dB, and how many frames are each wave's own."""
        samples = [torch.from_numpy(wave_N).to(self.device) for wave_N in waves]
        mel_BTM, lengths_B = self._front_end(samples)
        return mel_BTM, lengths_B

    def _frames_of(self, windows: list[Float32Array]) -> list[EncodedWindow]:
        mel_BTM, lengths_B = self.mel(windows)
        map_B1TM = zero_padding_(self._network.normalised(mel_BTM), lengths_B)
        lengths = torch.tensor(lengths_B, device=self.device) if self._is_compiled else lengths_B
        map_BFTX = self._feature_map(map_B1TM.to(self.dtype, memory_format=torch.channels_last), lengths)
        frames_BTF = map_BFTX.float().mean(3).mT
        frames = split_frames(frames_BTF, [length >> self._network.num_halvings for length in lengths_B])
        return [
            EncodedWindow(frames_TF, samples=len(window_N)) for frames_TF, window_N in zip(frames, windows, strict=True)
        ]

    def _clips_of(self, clips: list[list[EncodedWindow]]) -> tuple[Tensor, Tensor]:
        pooled = [frames_TF.amax(0) + frames_TF.mean(0) for frames_TF in frames_of_clips(clips)]
        pooled_BF = torch.stack(pooled)
        embedding_BF = self._network.embedding(pooled_BF)
        clip_emb_BD = embedding_BF if self._clip_output == "embedding" else pooled_BF
        return clip_emb_BD, self._network.logits(embedding_BF)
