"""Filter banks against librosa and torchaudio, which are the oracles and never the product."""

import numpy as np
import pytest

from atrkit.encoders.frontends import kaldi_mel_bank, slaney_mel_bank


@pytest.mark.parametrize(
    ("sample_rate_hz", "n_fft", "bands", "lowest_hz", "highest_hz"),
    [
        (32000, 1024, 64, 50, 14000),
        (16000, 512, 64, 50, 8000),
        (32000, 1024, 224, 50, 14000),
        (48000, 1024, 64, 0, 14000),
    ],
)
def test_slaney_bank_is_librosas(sample_rate_hz, n_fft, bands, lowest_hz, highest_hz):
    from librosa.filters import mel

    bank = slaney_mel_bank(sample_rate_hz, n_fft, bands, lowest_hz, highest_hz)
    expected = mel(sr=sample_rate_hz, n_fft=n_fft, n_mels=bands, fmin=lowest_hz, fmax=highest_hz).T
    assert bank.dtype == np.float32
    np.testing.assert_allclose(bank, expected, rtol=0, atol=2e-7 * expected.max())


@pytest.mark.parametrize(
    ("sample_rate_hz", "bands", "highest_hz"), [(32000, 128, 16000.0), (32000, 23, 16000.0), (16000, 80, 7600.0)]
)
def test_kaldi_bank_is_torchaudios_to_the_bit_with_nothing_at_nyquist(sample_rate_hz, bands, highest_hz):
    from torchaudio.compliance.kaldi import get_mel_banks

    bank = kaldi_mel_bank(sample_rate_hz, 1024, bands, 0.0, highest_hz)
    expected, _ = get_mel_banks(bands, 1024, float(sample_rate_hz), 0.0, highest_hz, 100.0, -500.0, 1.0)
    np.testing.assert_array_equal(bank[:-1], expected.numpy().T)
    assert not bank[-1].any()
