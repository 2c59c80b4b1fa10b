"""Log-mel spectra as frame embeddings: no network, so they are there on every machine."""

import torch
from torch import Tensor

from atrkit.encoders.base import EncodedWindow, Encoder, Float32Array, Running, frames_of_clips
from atrkit.encoders.frontends import mel_spectrogram, slaney_mel_bank, to_decibel

_N_FFT = 1024
_HOP_SAMPLES = 320
_BAND_HZ = (50.0, 14000.0)


class LogmelEncoder(Encoder):
    """64 log-mel bands in dB, averaged over windows of 0.32 s.

    The front end is that of PANNs, which paper 003 feeds to its recurrent audio encoder as LMS. Averaging makes
    sequences that a small recurrent network can still follow.

    Args:
        running: how to run; `pool_time_s` is the length of the windows that are averaged, a multiple of 0.01 s; None
            keeps frames of 0.01 s. The last window averages what is there. The clip embedding is the mean of the
            0.01 s frames in any case.

    Raises:
        UsageError: `pool_time_s` is no positive multiple of 0.01 s.

    Source: paper 003, section 4 (LMS); front end of PANNs (ENCODERS.md). Pooling to 0.32 s is our choice.

    Example:
        >>> import numpy as np
        >>> encoder = LogmelEncoder(Running(pool_time_s=0.32))
        >>> encoder.encode([np.zeros(32000, dtype=np.float32)]).frames[0].shape
        (4, 64)
    """

    name = "logmel"
    sample_rate_hz = 32000
    frame_dim = 64
    clip_dim = 64
    min_samples = _N_FFT // 2 + 1
    window_samples = 0  # see `_windows`

    def __init__(self, running: Running) -> None:
        settings = {
            "front_end": f"stft {_N_FFT}/{_HOP_SAMPLES} periodic hann, centred, reflect; power; 64 slaney mels "
            f"{_BAND_HZ[0]:g}-{_BAND_HZ[1]:g} Hz; 10 log10(max(x, 1e-10))",
            "clip": "mean of 0.01 s frames",
        }
        self._start(_HOP_SAMPLES / self.sample_rate_hz, running, settings)
        self._window_W = torch.hann_window(_N_FFT, periodic=True, device=self.device)
        bank_KM = slaney_mel_bank(self.sample_rate_hz, _N_FFT, self.frame_dim, *_BAND_HZ)
        self._mel_bank_KM = torch.from_numpy(bank_KM).to(self.device)

    def _frames_of(self, windows: list[Float32Array]) -> list[EncodedWindow]:
        return [EncodedWindow(self._logmel(window_N), samples=len(window_N)) for window_N in windows]

    def _logmel(self, wave_N: Float32Array) -> Tensor:
        samples = torch.from_numpy(wave_N).to(self.device)
        return mel_spectrogram(samples, self._window_W, _HOP_SAMPLES, self._mel_bank_KM, to_decibel)

    def _clips_of(self, clips: list[list[EncodedWindow]]) -> tuple[Tensor, None]:
        return torch.stack([frames_TF.double().mean(0).float() for frames_TF in frames_of_clips(clips)]), None

    def _windows(self, wave_N: Float32Array) -> list[Float32Array]:
        return [wave_N]  # whole, however long: the front end itself works in pieces
