"""Clips of any length for networks that see ten seconds: which windows there are, and what of the last one counts."""

import math
from dataclasses import replace

import torch
from torch import Tensor

from atrkit.encoders.base import EncodedWindow

FRAMES_PER_WINDOW = 32


def window_starts(num_samples: int, window_samples: int) -> range:
    """Where the windows of a clip begin; a rest under half a frame (0.15625 s of 10 s) begins none.

    Many a clip of ten seconds is some hundredths longer. A window for them would double the work, and its one frame
    would have heard a moment repeated over ten seconds.

    Source: our choice.

    Example:
        >>> list(window_starts(162_499, 160_000)), list(window_starts(162_500, 160_000))
        ([0], [0, 160000])
    """
    least_rest = window_samples // (2 * FRAMES_PER_WINDOW)
    return range(0, max(1, num_samples - least_rest + 1), window_samples)


def left_out_samples(num_samples: int, window_samples: int) -> int:
    """Samples at the end of a clip that are in none of its windows."""
    return max(0, num_samples - window_starts(num_samples, window_samples)[-1] - window_samples)


def of_its_own(clip: list[EncodedWindow], num_samples: int, window_samples: int) -> list[EncodedWindow]:
    """The windows of a clip; the last of several gets its own length, and keeps the frames of its own sound.

    Args:
        clip: all of `window_samples`, the last one filled up with repetitions.
        num_samples: of the clip.
        window_samples: of ten seconds.
    """
    if len(clip) == 1:
        return clip
    *whole, last = clip
    rest_samples = min(num_samples - len(whole) * window_samples, window_samples)
    own_frames = math.ceil(rest_samples * FRAMES_PER_WINDOW / window_samples)
    return [*whole, replace(last, frames_TF=last.frames_TF[:own_frames], samples=rest_samples)]


def mean_over_time(clip: list[EncodedWindow], window_samples: int) -> Tensor:
    """Mean of a clip's frames, (F,); the last one, which may be of less than a frame's time, weighs its own samples."""
    frames_TF = torch.cat([window.frames_TF for window in clip])
    frame_samples = window_samples // FRAMES_PER_WINDOW
    num_samples = sum(window.samples for window in clip)
    starts_T = torch.arange(len(frames_TF), device=frames_TF.device) * frame_samples
    weights_T = (num_samples - starts_T).clamp(max=frame_samples).to(frames_TF.dtype) / num_samples
    return (weights_T[:, None] * frames_TF).sum(0)  # a product of matrices loses digits over hours
