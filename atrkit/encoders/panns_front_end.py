"""What the networks of PANNs hear: decibels of mel bands."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from atrkit.encoders.frontends import mel_spectrogram_batch, slaney_mel_bank, to_decibel
from atrkit.encoders.panns_networks import NUM_BANDS

# by sample rate: FFT and hop in samples, lowest and highest mel band in Hz
_BY_RATE = {32000: (1024, 320, 50.0, 14000.0), 16000: (512, 160, 50.0, 8000.0)}


class PannsFrontEnd(nn.Module):
    """Log-mel spectra of waves of unlike length; nothing in it is learned or saved.

    Args:
        sample_rate_hz: 32000 or 16000.

    Source: as `panns_networks`.
    """

    window_W: Tensor
    mel_bank_KM: Tensor

    def __init__(self, sample_rate_hz: int) -> None:
        super().__init__()
        n_fft, self.hop_samples, lowest_hz, highest_hz = _BY_RATE[sample_rate_hz]
        self.description = (
            f"stft {n_fft}/{self.hop_samples} periodic hann, centred, reflect; power; {NUM_BANDS} "
            f"slaney mels {lowest_hz:g}-{highest_hz:g} Hz; 10 log10(max(x, 1e-10))"
        )
        bank_KM = slaney_mel_bank(sample_rate_hz, n_fft, NUM_BANDS, lowest_hz, highest_hz)
        self.register_buffer("window_W", torch.hann_window(n_fft, periodic=True), persistent=False)
        self.register_buffer("mel_bank_KM", torch.from_numpy(bank_KM), persistent=False)

    def forward(self, waves: Sequence[Tensor]) -> tuple[Tensor, list[int]]:
        """(B, n // hop + 1 frames, 64 bands) in dB, and how many frames are each wave's own; see `frontends`."""
        return mel_spectrogram_batch(waves, self.window_W, self.hop_samples, self.mel_bank_KM, to_decibel)
