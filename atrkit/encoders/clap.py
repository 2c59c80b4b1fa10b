"""The audio side of CLAP: vectors that lie beside those of captions, of any `ClapModel` of transformers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from atrkit.encoders.base import EncodedWindow, Encoder, Float32Array, Running
from atrkit.encoders.clap_files import ClapFiles, ClapFrontEnd, find_clap, front_end_of, read_audio_weights
from atrkit.encoders.frontends import mel_spectrogram_batch, to_decibel
from atrkit.encoders.ten_seconds import FRAMES_PER_WINDOW, left_out_samples, of_its_own, window_starts
from atrkit.encoders.weights import fill
from atrkit.errors import UsageError

_SAMPLE_RATE_HZ = 48000
_N_FFT = 1024
_HOP_SAMPLES = 480
_NUM_BANDS = 64
_WINDOW_SAMPLES = 10 * _SAMPLE_RATE_HZ
_COMPUTED_ENTRY = "relative_position_index"  # of the attention's windows: follows from their size


class _AudioTower(nn.Module):
    """HTSAT and the projection, of transformers: the feature map, and the vector of the whole window."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, mel_BTM: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 1001, 64) decibels to (B, C, 2, 32) and (B, D) of any norm.

        One channel also for models with feature fusion: of clips that are not longer than ten seconds they look at the
        first of the four only.
        """
        is_longer_B1 = torch.zeros(len(mel_BTM), 1, dtype=torch.bool, device=mel_BTM.device)
        output: Any = self.network(input_features=mel_BTM[:, None], is_longer=is_longer_B1)
        return output.last_hidden_state, output.audio_embeds


class ClapEncoder(Encoder):
    """CLAP: frames of the audio tower every 0.3125 s, and clip vectors of norm 1 in the space shared with captions.

    The network sees ten seconds. The original takes random ten seconds of a longer clip; here a longer clip is seen in
    windows of 10 s, and its vector is the mean of the windows' vectors, weighted by their seconds, on the sphere again.
    A shorter clip, and the rest of a longer one, is repeated as often as it fits whole, then zeros follow, as the
    original does; a rest under half a frame (0.15625 s) is left out.

    Args:
        checkpoint: a folder of a `ClapModel` that transformers saved, or a hub id as laion/clap-htsat-unfused. Only
            safetensors or a pickle of tensors is read; no code of the model's is run.
        running: how to run.
        on_remark: told before a model is downloaded, and which commit of it is used.

    Raises:
        UsageError: no checkpoint, or a model with another front end or another length of window.
        MissingPrerequisiteError, NetworkError: as in `clap_files.find_clap`.
        IntegrityError: the weights are damaged, unsafe, or others than the configuration says.

    Source: Wu et al., "Large-scale contrastive language-audio pretraining with feature fusion and keyword-to-caption
    augmentation", ICASSP 2023; front end of transformers' ClapFeatureExtractor. Windows, and frames as the mean over
    the 2 rows of frequency, are our choice.
    """

    name = "clap"
    sample_rate_hz = _SAMPLE_RATE_HZ
    min_samples = 1
    window_samples = _WINDOW_SAMPLES

    def __init__(
        self, checkpoint: str | Path | None, running: Running, on_remark: Callable[[str], None] | None = None
    ) -> None:
        files = find_clap(checkpoint, on_remark)
        front_end = front_end_of(files)
        self._start(_WINDOW_SAMPLES / FRAMES_PER_WINDOW / _SAMPLE_RATE_HZ, running, _outputs(front_end))
        self.checkpoint_path, self.checkpoint_sha256 = files.folder, files.sha256
        if front_end.is_assumed:
            self.checkpoint_note = (
                f"{files.folder} has no preprocessor_config.json: {self.settings['front_end']} is assumed"
            )
        tower = _audio_tower(files)
        config: Any = tower.network.config
        self.frame_dim, self.clip_dim = config.hidden_size, config.projection_dim
        tower.eval().to(self.device)
        self._tower: nn.Module = torch.compile(tower, dynamic=True) if running.compile else tower  # type: ignore[assignment]
        self._window_W = torch.hann_window(_N_FFT, periodic=True, device=self.device)
        self._mel_bank_KM = torch.from_numpy(_mel_bank(front_end)).to(self.device)

    def mel(self, windows: list[Float32Array]) -> Tensor:
        """The network's input for windows of 10 s: (B, 1001 frames, 64 bands) in decibels."""
        waves = [torch.from_numpy(window_N).to(self.device) for window_N in windows]
        return mel_spectrogram_batch(waves, self._window_W, _HOP_SAMPLES, self._mel_bank_KM, to_decibel)[0]

    def unheard_samples(self, num_samples: int) -> int:
        """Samples at the end of a wave of this length that leave no trace in the output."""
        return left_out_samples(num_samples, _WINDOW_SAMPLES)

    def _windows(self, wave_N: Float32Array) -> list[Float32Array]:
        starts = window_starts(len(wave_N), _WINDOW_SAMPLES)
        return [_repeated(wave_N[start : start + _WINDOW_SAMPLES]) for start in starts]

    def _encode_windows(self, waves: list[Float32Array]) -> list[list[EncodedWindow]]:
        clips = super()._encode_windows(waves)
        return [of_its_own(clip, len(wave_N), _WINDOW_SAMPLES) for clip, wave_N in zip(clips, waves, strict=True)]

    def _frames_of(self, windows: list[Float32Array]) -> list[EncodedWindow]:
        mel_BTM = self.mel(windows)
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            map_BCFT, clip_emb_BD = self._tower(mel_BTM)
        frames_BTC = map_BCFT.float().mean(2).mT
        return [
            EncodedWindow(frames_TF, summary_S, _WINDOW_SAMPLES)
            for frames_TF, summary_S in zip(frames_BTC, functional.normalize(clip_emb_BD.float(), dim=-1), strict=True)
        ]

    def _clips_of(self, clips: list[list[EncodedWindow]]) -> tuple[Tensor, None]:
        return torch.stack([functional.normalize(_weighted_mean(clip), dim=-1) for clip in clips]), None


def _outputs(front_end: ClapFrontEnd) -> dict[str, Any]:
    bands = "htk mels without norm" if front_end.is_fusion else "slaney mels"
    return {
        "front_end": f"stft {_N_FFT}/{_HOP_SAMPLES} periodic hann, centred, reflect; power; {_NUM_BANDS} {bands} "
        f"{front_end.lowest_hz:g}-{front_end.highest_hz:g} Hz; 10 log10(max(x, 1e-10))",
        "frames": "mean over frequency",
        "clip": "mean of windows of norm 1, weighted by their seconds; norm 1",
        "short_audio": "repeated as often as it fits into 10 s, then zeros; 32 frames",
        "long_audio": "windows of 10 s, the last one as short audio with the frames of its own seconds; "
        "a rest under 0.15625 s is left out",
    }


def _audio_tower(files: ClapFiles) -> _AudioTower:
    read = read_audio_weights(files.weights)  # before transformers, whose import takes seconds
    from transformers import ClapAudioModelWithProjection, ClapConfig

    try:
        config = ClapConfig.from_dict(files.config).audio_config
        network = ClapAudioModelWithProjection(config).float()
        steps = 2 ** (len(config.depths) - 1) * network.audio_model.audio_encoder.patch_stride[1]
        num_frames = config.spec_size // steps * (config.spec_size // config.num_mel_bins)
    except Exception as error:  # whatever a configuration can say wrong
        reason = str(error).strip().partition("\n")[0].rstrip(".")
        raise UsageError(f"{files.folder}: its config.json describes no CLAP network ({reason})") from error
    if num_frames != FRAMES_PER_WINDOW or config.num_mel_bins != _NUM_BANDS:
        raise UsageError(
            f"{files.folder}: its network makes {num_frames} frames of {config.num_mel_bins} bands, and only "
            f"{FRAMES_PER_WINDOW} of {_NUM_BANDS} are supported"
        )
    computed = {key: value for key, value in network.state_dict().items() if key.endswith(_COMPUTED_ENTRY)}
    fill(network, read | computed, files.weights)
    return _AudioTower(network)


def _mel_bank(front_end: ClapFrontEnd) -> Float32Array:
    """(513 bins, 64 bands), as ClapFeatureExtractor makes them."""
    from transformers.audio_utils import mel_filter_bank

    bank_KM = mel_filter_bank(
        num_frequency_bins=_N_FFT // 2 + 1,
        num_mel_filters=_NUM_BANDS,
        min_frequency=front_end.lowest_hz,
        max_frequency=front_end.highest_hz,
        sampling_rate=_SAMPLE_RATE_HZ,
        norm=None if front_end.is_fusion else "slaney",
        mel_scale="htk" if front_end.is_fusion else "slaney",
    )
    return np.asarray(bank_KM, dtype=np.float32)


def _repeated(wave_N: Float32Array) -> Float32Array:
    """Ten seconds: whole repetitions, then zeros."""
    repeated_N = np.tile(wave_N, _WINDOW_SAMPLES // len(wave_N))
    return np.pad(repeated_N, (0, _WINDOW_SAMPLES - len(repeated_N)))


def _weighted_mean(clip: list[EncodedWindow]) -> Tensor:
    summaries_WS = torch.stack([window.summary_S for window in clip if window.summary_S is not None])
    samples_W = torch.tensor([float(window.samples) for window in clip], device=summaries_WS.device)
    return (samples_W / samples_W.sum()) @ summaries_WS
