"""VGGish: one vector per patch of 0.96 s, of a VGG network trained on YouTube-8M."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from atrkit.encoders.base import EncodedWindow, Encoder, Float32Array, Running, frames_of_clips
from atrkit.encoders.checkpoints import Checkpoint
from atrkit.encoders.weights import load_weights

_WINDOW_SAMPLES = 400
_HOP_SAMPLES = 160
_N_FFT = 512
_NUM_BANDS = 64
_BAND_HZ = (125.0, 7500.0)
_LOG_OFFSET = 0.01
_FRAMES_PER_PATCH = 96
_SAMPLES_PER_PATCH = _FRAMES_PER_PATCH * _HOP_SAMPLES
_OVERLAP_SAMPLES = _WINDOW_SAMPLES - _HOP_SAMPLES  # the last window of a patch reaches into the next one
_PATCHES_PER_WINDOW = 16
_EMBEDDING_DIM = 128


class Vggish(nn.Module):
    """The network: six convolutions and three fully connected layers; entries are named as torchvggish has them.

    Source: Hershey et al., "CNN architectures for large-scale audio classification", ICASSP 2017 (VGG, with the
    changes that github.com/tensorflow/models, research/audioset/vggish, states).
    """

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 1
        for convolutions in ((64,), (128,), (256, 256), (512, 512)):
            for out_channels in convolutions:
                layers += [nn.Conv2d(channels, out_channels, 3, padding=1), nn.ReLU(inplace=True)]
                channels = out_channels
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.embeddings = nn.Sequential(
            *(nn.Linear(512 * 6 * 4, 4096), nn.ReLU(inplace=True)),
            *(nn.Linear(4096, 4096), nn.ReLU(inplace=True)),
            *(nn.Linear(4096, _EMBEDDING_DIM), nn.ReLU(inplace=True)),
        )

    def forward(self, patches_PTM: Tensor) -> Tensor:
        """One embedding per patch: (P, 96, 64) to (P, 128)."""
        map_PFTM: Tensor = self.features(patches_PTM[:, None])
        embedding_PF: Tensor = self.embeddings(map_PFTM.permute(0, 2, 3, 1).flatten(1))  # channels last, as TensorFlow
        return embedding_PF


class _PrincipalComponents(nn.Module):
    """Whitening and 8 bits: what AudioSet's published embeddings went through."""

    pca_eigen_vectors: Tensor
    pca_means: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("pca_eigen_vectors", torch.zeros(_EMBEDDING_DIM, _EMBEDDING_DIM))
        self.register_buffer("pca_means", torch.zeros(_EMBEDDING_DIM, 1))

    def forward(self, embedding_PF: Tensor) -> Tensor:
        whitened_PF = (embedding_PF - self.pca_means[:, 0]) @ self.pca_eigen_vectors.T
        return torch.round((whitened_PF.clamp(-2.0, 2.0) + 2.0) * (255.0 / 4.0))


class VggishEncoder(Encoder):
    """VGGish: frames of 128 every 0.96 s, their mean as clip embedding.

    A patch is 0.96 s of spectrum and is embedded alone, so a recording of any length is seen in windows of whole
    patches and gives the very patches that it gives as a whole. What is left at the end, under a patch, is dropped, as
    in the original.

    Args:
        checkpoint: the weights.
        pca: parameters of the original's post-processing (whitening, clipping to [-2, 2], whole numbers 0 to 255); None
            leaves it out and gives the embeddings after the last ReLU.
        running: how to run.

    Raises:
        IntegrityError: as in `weights.load_weights`.

    Source: as `Vggish`; front end, post-processing and checkpoints of github.com/harritaylor/torchvggish v0.1, which
    rounds to whole numbers where TensorFlow's vggish_postprocess cuts the fraction off. The mean as clip embedding,
    and zeros appended to clips under 15,600 samples, are our choice.
    """

    name = "vggish"
    sample_rate_hz = 16000
    frame_dim = _EMBEDDING_DIM
    clip_dim = _EMBEDDING_DIM
    min_samples = _SAMPLES_PER_PATCH + _OVERLAP_SAMPLES
    window_samples = _PATCHES_PER_WINDOW * _SAMPLES_PER_PATCH  # and the overlap, see `_windows`
    cpu_batch_size = 2  # the 280 MB of the fully connected layers are read once for a batch

    def __init__(self, checkpoint: Checkpoint, pca: Checkpoint | None, running: Running) -> None:
        self._start(_SAMPLES_PER_PATCH / self.sample_rate_hz, running, self._outputs(pca))
        self.checkpoint_path, self.checkpoint_sha256 = checkpoint.path, checkpoint.sha256
        notes = [found.note for found in (checkpoint, pca) if found is not None and found.note]
        self.checkpoint_note = "; ".join(notes) or None
        self._post_processing: nn.Module = nn.Identity()
        if pca is not None:
            self._post_processing = _PrincipalComponents()
            load_weights(self._post_processing, pca.path)
            self._post_processing.to(self.device)
        with torch.device("meta"):  # drawing 72 million random numbers takes a second, and they are replaced
            network = Vggish()
        load_weights(network.to_empty(device="cpu"), checkpoint.path)
        network.eval().to(self.device, self.dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._network: nn.Module = network
        if running.compile:
            self._network = torch.compile(network, dynamic=True)  # type: ignore[assignment]
        self._window_W = torch.hann_window(_WINDOW_SAMPLES, periodic=True, device=self.device)
        self._mel_bank_KM = torch.from_numpy(_htk_mel_bank()).to(self.device)

    @staticmethod
    def _outputs(pca: Checkpoint | None) -> dict[str, Any]:
        return {
            "front_end": f"stft {_N_FFT}/{_HOP_SAMPLES} periodic hann of {_WINDOW_SAMPLES}, not centred; magnitude; "
            f"{_NUM_BANDS} htk mels {_BAND_HZ[0]:g}-{_BAND_HZ[1]:g} Hz; ln(x + {_LOG_OFFSET}); patches of 0.96 s",
            "frames": "after the last ReLU" if pca is None else "whitened, clipped to [-2, 2], whole numbers 0 to 255",
            "clip": "mean over frames",
            "long_audio": "all patches; a rest under 0.96 s is dropped",
            "pca_sha256": None if pca is None else pca.sha256,
        }

    def examples(self, window_N: Tensor) -> Tensor:
        """The network's input: (patches, 96 frames, 64 bands)."""
        frames_TW = window_N.unfold(0, _WINDOW_SAMPLES, _HOP_SAMPLES)
        num_patches = len(frames_TW) // _FRAMES_PER_PATCH
        frames_TW = frames_TW[: num_patches * _FRAMES_PER_PATCH]
        magnitude_TK = torch.fft.rfft(frames_TW * self._window_W, n=_N_FFT).abs()
        logmel_TM = torch.log(magnitude_TK @ self._mel_bank_KM + _LOG_OFFSET)
        return logmel_TM.view(num_patches, _FRAMES_PER_PATCH, _NUM_BANDS)

    def unheard_samples(self, num_samples: int) -> int:
        """Samples at the end of a wave of this length, after its last patch, that leave no trace in the output."""
        return max(0, num_samples - self.min_samples) % _SAMPLES_PER_PATCH

    def _windows(self, wave_N: Float32Array) -> list[Float32Array]:
        last_start = len(wave_N) - self.min_samples
        starts = range(0, last_start + 1, self.window_samples)
        return [wave_N[start : start + self.window_samples + _OVERLAP_SAMPLES] for start in starts]

    def _frames_of(self, windows: list[Float32Array]) -> list[EncodedWindow]:
        patches = [self.examples(torch.from_numpy(window_N).to(self.device)) for window_N in windows]
        embedding_PF = self._network(torch.cat(patches).to(self.dtype)).float()
        frames_PF: Tensor = self._post_processing(embedding_PF)
        counts = [len(patches_PTM) for patches_PTM in patches]
        return [
            EncodedWindow(frames_TF, samples=len(window_N))
            for frames_TF, window_N in zip(frames_PF.split(counts), windows, strict=True)
        ]

    def _clips_of(self, clips: list[list[EncodedWindow]]) -> tuple[Tensor, None]:
        return torch.stack([frames_TF.mean(0) for frames_TF in frames_of_clips(clips)]), None


def _htk_mel_bank() -> Float32Array:
    """Triangles on the HTK mel scale that are straight in mel and peak at 1: (257 bins, 64 bands).

    Those of HTK, librosa and torchaudio are straight in Hz, which moves the log-mels by 6e-3.
    """
    lowest_mel, highest_mel = _hz_to_mel(np.array(_BAND_HZ)).tolist()
    edges_mel = np.linspace(lowest_mel, highest_mel, _NUM_BANDS + 2)
    bins_mel = _hz_to_mel(np.linspace(0.0, VggishEncoder.sample_rate_hz / 2, _N_FFT // 2 + 1))[:, None]
    rising = (bins_mel - edges_mel[:-2]) / (edges_mel[1:-1] - edges_mel[:-2])
    falling = (edges_mel[2:] - bins_mel) / (edges_mel[2:] - edges_mel[1:-1])
    bank_KM: Float32Array = np.maximum(0.0, np.minimum(rising, falling)).astype(np.float32)
    return bank_KM


def _hz_to_mel(hz: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    return 1127.0 * np.log1p(hz / 700.0)
