"""Windows of ten seconds: what of a recording is one vector, so that a hit says where in the file it is."""

import numpy as np
import numpy.typing as npt

WINDOW_S = 10.0


def window_bounds(num_samples: int, window_samples: int) -> list[tuple[int, int]]:
    """Where a wave is cut: one window behind the other, and the last one begins earlier so that it is full.

    A rest of a second would be a vector of a second among vectors of ten, and would win or lose for its length. A wave
    that is shorter than a window is one window.

    Args:
        num_samples: of the wave, at least 1.
        window_samples: of a window.

    Returns:
        (start, stop) of each window, in order of time.

    Source: our choice.

    Example:
        >>> window_bounds(25, window_samples=10), window_bounds(20, window_samples=10), window_bounds(7, 10)
        ([(0, 10), (10, 20), (15, 25)], [(0, 10), (10, 20)], [(0, 7)])
    """
    if num_samples <= window_samples:
        return [(0, num_samples)]
    starts = [*range(0, num_samples - window_samples, window_samples), num_samples - window_samples]
    return [(start, start + window_samples) for start in starts]


def window_times(
    duration_s_A: npt.ArrayLike, windows_A: npt.ArrayLike
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Where the windows of several recordings begin and end, in seconds.

    Args:
        duration_s_A: length of each recording.
        windows_A: how many windows each was cut into: after resampling, so that the length alone does not say it.

    Returns:
        start_s_W and end_s_W, of all windows, one recording behind the other.

    Example:
        >>> start_s_W, end_s_W = window_times([25.0, 7.0], [3, 1])
        >>> start_s_W.tolist(), end_s_W.tolist()
        ([0.0, 10.0, 15.0, 0.0], [10.0, 20.0, 25.0, 7.0])
    """
    counts_A = np.asarray(windows_A, dtype=np.int64)
    duration_s_W = np.repeat(np.asarray(duration_s_A, dtype=np.float64), counts_A)
    first_W = np.repeat(np.cumsum(counts_A) - counts_A, counts_A)
    grid_s_W = (np.arange(len(duration_s_W)) - first_W) * WINDOW_S
    start_s_W = np.minimum(grid_s_W, np.maximum(duration_s_W - WINDOW_S, 0.0))
    return start_s_W, np.minimum(start_s_W + WINDOW_S, duration_s_W)
