"""The sound itself in a store of frames, for audio networks that are trained and not frozen.

Training then needs no decoder: samples are read once, resampled and mixed down as for every encoder, and lie in a store
that is made in parts, checked and mapped into memory like any other.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from atrkit.encoders.base import EncodedWindow, Encoder, Float32Array, Running
from atrkit.errors import UsageError

ROW_SAMPLES = 320
ROW_DIM = ROW_SAMPLES + 1


class WaveformEncoder(Encoder):
    """Rows of 320 samples and, as number 321, the share of them that is sound: 1, and less in a clip's last row.

    The last row is filled up with zeros, up to 319 of them; the share says how many, so that `samples_of_rows` gives
    back the very samples and a network hears exactly what it would hear of the recording.

    They are to be kept in float32, 128 kB per second at 32 kHz. float16 changes what lies 72 dB or more below the
    sound (72.0 to 75.6 dB measured for sines of 0 to -80 dB of full scale, at least 72.8 dB for 74 real recordings),
    which is not heard, but is seen: many recordings have empty bands, where a network for decibels finds noise
    instead. Of 76 recordings' log-mel spectra float16 moved values by 0.46 dB on average (the median recording; 4.6
    dB the worst), one in a hundred by more than 12 dB.

    Args:
        running: how to run; frames are never averaged over time.
        sample_rate_hz: the rate of the network that is to hear them.

    Raises:
        UsageError: `pool_time_s`, which would average sound to silence, or a rate that is no positive number.

    Source: our choice. The clip vector is the sound's root mean square.

    Example:
        >>> import numpy as np
        >>> encoded = WaveformEncoder(Running()).encode([np.full(800, 0.5, np.float32)])
        >>> encoded.frames[0].shape, encoded.frames[0][:, -1].tolist(), encoded.clip.tolist()
        ((3, 321), [1.0, 1.0, 0.5], [[0.5]])
    """

    name = "waveform"
    frame_dim = ROW_DIM
    clip_dim = 1
    min_samples = 1
    window_samples = 0  # see `_windows`

    def __init__(self, running: Running, sample_rate_hz: int = 32000) -> None:
        if running.pool_time_s is not None:
            raise UsageError("encoder waveform: samples cannot be averaged over time: leave pool_time_s out")
        if sample_rate_hz < 1:
            raise UsageError(f"sample_rate_hz: {sample_rate_hz} is no positive number")
        self.sample_rate_hz = sample_rate_hz
        settings = {
            "front_end": f"rows of {ROW_SAMPLES} samples, and the share of each row that is sound",
            "clip": "root mean square",
        }
        self._start(ROW_SAMPLES / sample_rate_hz, running, settings)

    def _frames_of(self, windows: list[Float32Array]) -> list[EncodedWindow]:
        waves = [torch.from_numpy(window_N).to(self.device) for window_N in windows]
        return [EncodedWindow(_rows_of(wave_N), samples=len(wave_N)) for wave_N in waves]

    def _clips_of(self, clips: list[list[EncodedWindow]]) -> tuple[Tensor, None]:
        return torch.stack([_level(window) for (window,) in clips]), None

    def _windows(self, wave_N: Float32Array) -> list[Float32Array]:
        return [wave_N]  # whole, however long: rows are views


def _level(window: EncodedWindow) -> Tensor:
    """Root mean square, (1,); the zeros that fill the last row add nothing to the sum, and are not counted."""
    energy = window.frames_TF[:, :ROW_SAMPLES].double().square().sum()
    return (energy / window.samples).sqrt().float()[None]


def _rows_of(wave_N: Tensor) -> Tensor:
    num_rows = -(-len(wave_N) // ROW_SAMPLES)
    rows_TR = torch.zeros(num_rows, ROW_DIM, device=wave_N.device)
    rows_TR[:, ROW_SAMPLES] = 1.0
    whole = len(wave_N) // ROW_SAMPLES
    rows_TR[:whole, :ROW_SAMPLES] = wave_N[: whole * ROW_SAMPLES].unflatten(0, (whole, ROW_SAMPLES))
    if rest := len(wave_N) - whole * ROW_SAMPLES:
        rows_TR[whole, :rest] = wave_N[whole * ROW_SAMPLES :]
        rows_TR[whole, ROW_SAMPLES] = rest / ROW_SAMPLES
    return rows_TR


def samples_of_rows(rows_BTR: Tensor, lengths_B: Sequence[int]) -> list[Tensor]:
    """The waves that rows were made of, each without the zeros that fill its last row.

    Args:
        rows_BTR: (B, T, 321) of several clips, padded to the longest; float16 shares are exact enough.
        lengths_B: rows of each clip, 1 or more.

    Returns:
        B waves, (N_b,) each.

    Example:
        >>> waves = [torch.arange(1.0, 500.0), torch.ones(3)]
        >>> rows_BTR = torch.nn.utils.rnn.pad_sequence([_rows_of(wave_N) for wave_N in waves], batch_first=True)
        >>> again = samples_of_rows(rows_BTR.half().float(), [2, 1])
        >>> [torch.equal(a, b) for a, b in zip(again, waves)]
        [True, True]
    """
    last_B = torch.tensor(lengths_B, device=rows_BTR.device) - 1
    share_B = rows_BTR[torch.arange(len(rows_BTR), device=rows_BTR.device), last_B, ROW_SAMPLES]
    ends_B = (share_B * ROW_SAMPLES).round().long().tolist()
    return [
        rows_TR[:length, :ROW_SAMPLES].reshape(-1)[: (length - 1) * ROW_SAMPLES + end]
        for rows_TR, length, end in zip(rows_BTR, lengths_B, ends_B, strict=True)
    ]
