"""Windows cover a recording, each of them full, and their times are where they were cut."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atrkit.search.windows import WINDOW_S, window_bounds, window_times


@given(num_samples=st.integers(1, 3000), window_samples=st.integers(1, 700))
def test_every_sample_is_heard_and_every_window_is_full(num_samples, window_samples):
    bounds = window_bounds(num_samples, window_samples)
    heard = np.zeros(num_samples, int)
    for start, stop in bounds:
        assert stop - start == min(window_samples, num_samples)
        heard[start:stop] += 1
    assert heard.min() == 1 and bounds == sorted(set(bounds))
    assert len(bounds) == -(-num_samples // window_samples), "no more windows than are needed"
    assert [start for start, _ in bounds[:-1]] == [window_samples * at for at in range(len(bounds) - 1)]


def test_times_are_where_the_samples_were_cut():
    rate_hz, samples = 100, [2500, 700, 1000, 1001, 2000, 1]
    cut = [window_bounds(count, int(WINDOW_S * rate_hz)) for count in samples]
    start_s_W, end_s_W = window_times([count / rate_hz for count in samples], [len(each) for each in cut])
    expected = [(start / rate_hz, stop / rate_hz) for each in cut for start, stop in each]
    assert list(zip(start_s_W, end_s_W, strict=True)) == [pytest.approx(each) for each in expected]


def test_a_sample_more_after_resampling_is_no_window_beyond_the_end():
    # 10 s at 44.1 kHz may be 320,001 samples at 32 kHz: two windows, of which the second begins where the first does
    start_s_W, end_s_W = window_times([10.0], [2])
    assert start_s_W.tolist() == [0.0, 0.0] and end_s_W.tolist() == [10.0, 10.0]


def test_no_recordings_have_no_windows():
    start_s_W, end_s_W = window_times([], [])
    assert start_s_W.shape == end_s_W.shape == (0,)
