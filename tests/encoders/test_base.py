"""What every encoder says of lengths, unless it says something of its own, and what it does with a wave it is lent."""

import numpy as np
import pytest
import torch

from atrkit.encoders.base import EncodedWindow, Encoder, Running, frames_of_clips


class MeanEncoder(Encoder):
    """One frame: the mean.

    Args:
        min_samples: shorter waves get zeros.
        settings: of its own.
    """

    name, sample_rate_hz, frame_dim, clip_dim, window_samples = "mean", 100, 1, 1, 1000

    def __init__(self, min_samples: int = 1, **settings: str) -> None:
        self.min_samples = min_samples
        self._start(10.0, Running(), settings)
        self.seen: list[np.ndarray] = []

    def _frames_of(self, windows):
        self.seen += windows
        return [EncodedWindow(torch.from_numpy(window_N).mean().reshape(1, 1)) for window_N in windows]

    def _clips_of(self, clips):
        return torch.stack([frames_TF.mean(0) for frames_TF in frames_of_clips(clips)]), None


def lengths_in(encoder: Encoder) -> dict[str, str]:
    return {key: value for key, value in encoder.settings.items() if key in ("short_audio", "long_audio")}


@pytest.mark.parametrize(
    ("encoder", "said"),
    [
        (MeanEncoder(), {"long_audio": "whole"}),
        (MeanEncoder(7), {"long_audio": "whole", "short_audio": "zeros appended up to 7 samples"}),
        (MeanEncoder(7, short_audio="repeated"), {"long_audio": "whole", "short_audio": "repeated"}),
        (MeanEncoder(long_audio="the first second"), {"long_audio": "the first second"}),
    ],
    ids=["never padded", "padded", "own short", "own long"],
)
def test_what_becomes_of_short_and_long_audio_is_part_of_the_settings(encoder, said):
    assert lengths_in(encoder) == said


def test_every_sample_is_heard_unless_an_encoder_says_otherwise():
    assert [MeanEncoder().unheard_samples(num_samples) for num_samples in (0, 1, 999, 10**9)] == [0, 0, 0, 0]


def test_a_wave_is_copied_only_where_zeros_are_appended():
    """An hour at 32 kHz is half a gigabyte, and several threads encode at once."""
    encoder = MeanEncoder(5)
    long, short = np.ones(6, np.float32), np.ones(4, np.float32)
    encoded = encoder.encode([long, short])
    assert encoded.padded == [False, True]
    assert np.shares_memory(encoder.seen[0], long) and not np.shares_memory(encoder.seen[1], short)
    assert encoder.seen[1].tolist() == [1, 1, 1, 1, 0] and short.tolist() == [1] * 4


def test_a_wave_that_must_not_be_written_to_is_copied_for_torch():
    wave = np.ones(6, np.float32)
    wave.flags.writeable = False
    encoder = MeanEncoder()
    encoder.encode([wave])
    assert encoder.seen[0].flags.writeable and not np.shares_memory(encoder.seen[0], wave)
