"""Networks that see ten seconds: which windows a clip has, and how its last one counts."""

import numpy as np
import pytest
import torch

from atrkit.encoders.base import EncodedWindow
from atrkit.encoders.ten_seconds import left_out_samples, mean_over_time, of_its_own, window_starts

WINDOW, FRAME, HALF_A_FRAME = 160_000, 5_000, 2_500


@pytest.mark.parametrize(
    ("samples", "starts", "left_out"),
    [
        (1, [0], 0),
        (WINDOW, [0], 0),
        (WINDOW + 320, [0], 320),  # 10.02 s, as AudioCaps is full of
        (WINDOW + HALF_A_FRAME - 1, [0], HALF_A_FRAME - 1),
        (WINDOW + HALF_A_FRAME, [0, WINDOW], 0),
        (2 * WINDOW, [0, WINDOW], 0),
        (2 * WINDOW + 320, [0, WINDOW], 320),
        (3 * WINDOW - 1, [0, WINDOW, 2 * WINDOW], 0),
    ],
)
def test_a_rest_under_half_a_frame_begins_no_window(samples, starts, left_out):
    assert list(window_starts(samples, WINDOW)) == starts
    assert left_out_samples(samples, WINDOW) == left_out


def encoded(windows: int) -> list[EncodedWindow]:
    rng = np.random.default_rng(windows)
    return [
        EncodedWindow(torch.from_numpy(rng.standard_normal((32, 3)).astype(np.float32)), samples=WINDOW)
        for _ in range(windows)
    ]


@pytest.mark.parametrize(
    ("rest", "frames"), [(HALF_A_FRAME, 1), (FRAME, 1), (FRAME + 1, 2), (WINDOW - 1, 32), (WINDOW, 32)]
)
def test_the_last_window_keeps_the_frames_that_it_has_begun(rest, frames):
    first, last = of_its_own(encoded(2), WINDOW + rest, WINDOW)
    assert (len(first.frames_TF), first.samples) == (32, WINDOW)
    assert (len(last.frames_TF), last.samples) == (frames, rest)


@pytest.mark.parametrize("samples", [1, 3_000, WINDOW, WINDOW + 320])
def test_a_single_window_is_whole_because_it_was_repeated(samples):
    (only,) = of_its_own(encoded(1), samples, WINDOW)
    assert (len(only.frames_TF), only.samples) == (32, WINDOW)


def test_what_is_left_out_is_no_part_of_the_last_window():
    last = of_its_own(encoded(2), 2 * WINDOW + 320, WINDOW)[-1]
    assert (len(last.frames_TF), last.samples) == (32, WINDOW)


@pytest.mark.parametrize("rest", [HALF_A_FRAME, 7_500, 3 * FRAME + 1, WINDOW - 1, WINDOW])
def test_every_sample_counts_alike_in_the_mean(rest):
    clip = of_its_own(encoded(2), WINDOW + rest, WINDOW)
    frames_TF = np.concatenate([window.frames_TF.numpy() for window in clip]).astype(np.float64)
    every_sample_NF = np.repeat(frames_TF, FRAME, axis=0)[: WINDOW + rest]
    np.testing.assert_allclose(mean_over_time(clip, WINDOW), every_sample_NF.mean(0), atol=1e-6)


def test_the_mean_of_hours_is_exact():
    clip = [EncodedWindow(torch.ones(32, 2), samples=WINDOW)] * 1000 + [EncodedWindow(torch.ones(2, 2), samples=7_500)]
    np.testing.assert_allclose(mean_over_time(clip, WINDOW), [1, 1], rtol=1e-6)
