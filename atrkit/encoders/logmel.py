"""Log-mel spectra as frame embeddings: no network, so they are there on every machine."""

import math
from fractions import Fraction

import torch
from torch import Tensor

from atrkit.encoders.base import EncodedWave, Encoder, Float32Array
from atrkit.encoders.frontends import mel_spectrogram, slaney_mel_bank
from atrkit.errors import UsageError

_N_FFT = 1024
_HOP_SAMPLES = 320
_BAND_HZ = (50.0, 14000.0)
_MIN_POWER = 1e-10


class LogmelEncoder(Encoder):
    """64 log-mel bands in dB, averaged over windows of 0.32 s.

    The front end is that of PANNs, which paper 003 feeds to its recurrent audio encoder as LMS. Averaging makes
    sequences that a small recurrent network can still follow.

    Args:
        pool_time_s: length of the windows that are averaged, a multiple of 0.01 s; None keeps frames of 0.01 s. The
            last window averages what is there. The clip embedding is the mean of the 0.01 s frames in any case.
        device: where torch computes.

    Raises:
        UsageError: `pool_time_s` is no positive multiple of 0.01 s.

    Source: paper 003, section 4 (LMS); front end of PANNs (ENCODERS.md). Pooling to 0.32 s is our choice.

    Example:
        >>> import numpy as np
        >>> encoder = LogmelEncoder()
        >>> encoder.encode([np.zeros(32000, dtype=np.float32)]).frames[0].shape
        (4, 64)
    """

    name = "logmel"
    sample_rate_hz = 32000
    frame_dim = 64
    clip_dim = 64
    min_samples = _N_FFT // 2 + 1

    def __init__(self, pool_time_s: float | None = 0.32, device: str = "cpu") -> None:
        self._frames_per_pool = _frames_per_pool(pool_time_s, _HOP_SAMPLES / self.sample_rate_hz)
        self.frame_period_s = self._frames_per_pool * _HOP_SAMPLES / self.sample_rate_hz
        self._window_W = torch.hann_window(_N_FFT, periodic=True, device=device)
        bank_KM = slaney_mel_bank(self.sample_rate_hz, _N_FFT, self.frame_dim, *_BAND_HZ)
        self._mel_bank_KM = torch.from_numpy(bank_KM).to(device)
        self.settings = {
            "front_end": f"stft {_N_FFT}/{_HOP_SAMPLES} periodic hann, centred, reflect; power; 64 slaney mels "
            f"{_BAND_HZ[0]:g}-{_BAND_HZ[1]:g} Hz; 10 log10(max(x, {_MIN_POWER:g}))",
            "pool_time_s": pool_time_s,
            "clip": "mean of 0.01 s frames",
        }

    @torch.inference_mode()
    def _encode_wave(self, wave_N: Float32Array) -> EncodedWave:
        samples = torch.from_numpy(wave_N).to(self._window_W.device)
        logmel_TF = mel_spectrogram(samples, self._window_W, _HOP_SAMPLES, self._mel_bank_KM, _to_decibel).cpu()
        clip_emb_D = logmel_TF.mean(0, dtype=torch.float64).float()
        return EncodedWave(_pool_time(logmel_TF, self._frames_per_pool).numpy(), clip_emb_D.numpy())


def _to_decibel(power: Tensor) -> Tensor:
    return 10.0 * torch.log10(power.clamp(min=_MIN_POWER))


def _frames_per_pool(pool_time_s: float | None, hop_s: float) -> int:
    if pool_time_s is None:
        return 1
    # through the decimal digits: 0.32 / 0.01 is 32 only when both are taken as written
    frames = Fraction(str(pool_time_s)) / Fraction(str(hop_s)) if math.isfinite(pool_time_s) else Fraction(0)
    if frames < 1 or frames.denominator != 1:
        raise UsageError(f"pool_time_s: {pool_time_s} s is no positive multiple of {hop_s} s")
    return frames.numerator


def _pool_time(frames_TF: Tensor, frames_per_pool: int) -> Tensor:
    """Mean over consecutive groups; the last group averages what is left."""
    if frames_per_pool == 1:
        return frames_TF
    num_whole = frames_TF.shape[0] // frames_per_pool
    whole, rest = frames_TF[: num_whole * frames_per_pool], frames_TF[num_whole * frames_per_pool :]
    pooled = whole.unflatten(0, (num_whole, frames_per_pool)).mean(1)
    return torch.cat([pooled, rest.mean(0, keepdim=True)]) if len(rest) else pooled
