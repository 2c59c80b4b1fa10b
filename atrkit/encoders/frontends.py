"""From samples to mel bands: the windows, spectra and filter banks that the published encoders were trained with.

A front end that is slightly wrong costs accuracy and says nothing: a symmetric window, another mel scale or another
padding all give plausible pictures. Each part is therefore a plain function that the tests hold against an independent
implementation.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Float32Array = npt.NDArray[np.float32]
FloatArray = npt.NDArray[np.float64]
AnyFloatArray = npt.NDArray[np.floating]

_BLOCK_FRAMES = 4096
_MIN_POWER = 1e-10  # of decibels


def mel_spectrogram(
    wave_N: Tensor, window_W: Tensor, hop_samples: int, mel_bank_KM: Tensor, log: Callable[[Tensor], Tensor]
) -> Tensor:
    """Centred power spectrogram in mel bands, in pieces of bounded memory.

    An hour at 32 kHz has 360,000 frames of 513 complex bins, 1.5 GB; in pieces it needs a few MB and gives the same
    frames as the whole, because the samples are reflected at the ends of the wave once, before it is cut.

    Args:
        wave_N: samples, more than half an FFT of them.
        window_W: analysis window; shorter than the FFT it is centred in it.
        hop_samples: step between frames.
        mel_bank_KM: (K = n_fft / 2 + 1 bins, M bands).
        log: compresses the band powers, element by element.

    Returns:
        (N // hop + 1 frames, M bands).
    """
    mel_BTM, _ = mel_spectrogram_batch([wave_N], window_W, hop_samples, mel_bank_KM, log)
    return mel_BTM[0]


def mel_spectrogram_batch(
    waves: Sequence[Tensor],
    window_W: Tensor,
    hop_samples: int,
    mel_bank_KM: Tensor,
    log: Callable[[Tensor], Tensor],
) -> tuple[Tensor, list[int]]:
    """`mel_spectrogram` of several waves at once, each as if it were alone.

    Every wave is reflected at its own end before shorter ones are filled up with zeros, so that no frame of a wave
    sees what stands behind it in the batch.

    Args:
        waves: B waves on one device, (N_b,) each; the rest as in `mel_spectrogram`.

    Returns:
        (B, T, M bands), T frames of the longest wave, and how many frames of each wave are its own; those behind
        hold no sound and are to be ignored.
    """
    n_fft = 2 * (mel_bank_KM.shape[0] - 1)
    reflected_BN = _reflected(waves, n_fft // 2)
    num_frames_B = [len(wave_N) // hop_samples + 1 for wave_N in waves]
    longest, block_frames = max(num_frames_B), max(1, _BLOCK_FRAMES // len(waves))
    mel_BTM = torch.empty(len(waves), longest, mel_bank_KM.shape[1], device=mel_bank_KM.device)
    for start in range(0, longest, block_frames):
        stop = min(start + block_frames, longest)
        piece_BN = reflected_BN[:, start * hop_samples : (stop - 1) * hop_samples + n_fft]
        spectrum_BKT = torch.stft(
            piece_BN, n_fft, hop_samples, len(window_W), window_W, center=False, return_complex=True
        )
        power_BTK = torch.view_as_real(spectrum_BKT).square().sum(-1).mT
        mel_BTM[:, start:stop] = log(power_BTK @ mel_bank_KM)
    return mel_BTM, num_frames_B


def to_decibel(power: Tensor) -> Tensor:
    """10 log10 of powers, from -100 dB up: the compression of PANNs and ConvNeXt.

    >>> to_decibel(torch.tensor([1.0, 0.01, 0.0])).tolist()
    [0.0, -20.0, -100.0]
    """
    return power.clamp(min=_MIN_POWER).log10_().mul_(10.0)


def _reflected(waves: Sequence[Tensor], pad_samples: int) -> Tensor:
    """Each wave mirrored at both ends, then zeros up to the longest: (B, longest + 2 x pad)."""
    longest = max(len(wave_N) for wave_N in waves)
    reflected = [
        torch.nn.functional.pad(wave_N[None], (pad_samples, pad_samples), mode="reflect")[0] for wave_N in waves
    ]
    if all(len(wave_N) == longest for wave_N in waves):
        return torch.stack(reflected)
    return torch.nn.utils.rnn.pad_sequence(reflected, batch_first=True)


def slaney_mel_bank(
    sample_rate_hz: int, n_fft: int, num_bands: int, lowest_hz: float, highest_hz: float
) -> Float32Array:
    """Triangles on Slaney's mel scale with Slaney's norm, as librosa makes them by default.

    librosa takes a second to import; this is its default bank to 2e-9.

    Args:
        sample_rate_hz: of the audio.
        n_fft: FFT length in samples.
        num_bands: M.
        lowest_hz: lower edge of the first triangle.
        highest_hz: upper edge of the last triangle.

    Returns:
        (K = n_fft / 2 + 1 bins, M bands); each triangle has unit area in Hz.

    Source: Slaney, Auditory Toolbox (1998): linear up to 1 kHz, 27 steps per factor 6.4 above.
    """
    lowest_mel, highest_mel = _hz_to_slaney(np.array([lowest_hz, highest_hz])).tolist()
    edges_hz = _slaney_to_hz(np.linspace(lowest_mel, highest_mel, num_bands + 2))
    bins_hz = np.arange(n_fft // 2 + 1) * sample_rate_hz / n_fft
    area = 2.0 / (edges_hz[2:] - edges_hz[:-2])
    return (_triangles(bins_hz, edges_hz) * area).astype(np.float32)


def kaldi_mel_bank(
    sample_rate_hz: int, n_fft: int, num_bands: int, lowest_hz: float, highest_hz: float
) -> Float32Array:
    """Kaldi's triangles: straight in the mel domain rather than in Hz, peak 1, and nothing for the Nyquist bin.

    Differences of nearby mels lose digits in float32, 2e-5 of a peak; the published networks were trained with that
    rounding, so it is kept: computed in double, the embeddings of mn04 move by 3e-5, else by 6e-6.

    Args:
        sample_rate_hz: of the audio.
        n_fft: FFT length in samples.
        num_bands: M.
        lowest_hz: lower edge of the first triangle.
        highest_hz: upper edge of the last triangle.

    Returns:
        (K = n_fft / 2 + 1 bins, M bands).

    Source: Kaldi, feat/mel-computations.cc, with mel = 1127 ln(1 + f / 700); rounding as in torchaudio.
    """
    lowest_mel, highest_mel = (1127.0 * math.log(1.0 + hz / 700.0) for hz in (lowest_hz, highest_hz))
    edges_mel = lowest_mel + torch.arange(num_bands + 2) * ((highest_mel - lowest_mel) / (num_bands + 1))
    bins_hz = torch.arange(n_fft // 2 + 1) * (sample_rate_hz / n_fft)
    bank_KM = _triangles((1127.0 * (1.0 + bins_hz / 700.0).log()).numpy(), edges_mel.numpy())
    bank_KM[-1] = 0.0  # Kaldi leaves the Nyquist bin out
    return bank_KM.astype(np.float32)


def _triangles(bins: AnyFloatArray, edges: AnyFloatArray) -> AnyFloatArray:
    rising = (bins[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins[:, None]) / (edges[2:] - edges[1:-1])
    return np.maximum(0.0, np.minimum(rising, falling))


_SLANEY_LINEAR_HZ = 200.0 / 3.0
_SLANEY_BREAK_MEL = 15.0
_SLANEY_LOG_STEP = np.log(6.4) / 27.0


def _hz_to_slaney(hz: FloatArray) -> FloatArray:
    logarithmic = _SLANEY_BREAK_MEL + np.log(np.maximum(hz, 1000.0) / 1000.0) / _SLANEY_LOG_STEP
    return np.where(hz >= 1000.0, logarithmic, hz / _SLANEY_LINEAR_HZ)


def _slaney_to_hz(mel: FloatArray) -> FloatArray:
    logarithmic = 1000.0 * np.exp(_SLANEY_LOG_STEP * (mel - _SLANEY_BREAK_MEL))
    return np.where(mel >= _SLANEY_BREAK_MEL, logarithmic, mel * _SLANEY_LINEAR_HZ)
