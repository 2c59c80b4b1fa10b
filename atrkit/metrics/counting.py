"""Counting comparisons of scores, which is all that ranking needs: several times as fast as numpy's own sums."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from atrkit.score_matrix import FloatArray, IntArray

BoolArray = npt.NDArray[np.bool_]
AT_ONCE = 32  # rows whose comparisons are counted together: enough to be fast, few enough for the processor's cache

_LANES = 8  # bytes in a word
_MOST_IN_A_LANE = 255


def count_in_columns(is_RN: BoolArray) -> npt.NDArray[np.uint8]:
    """How many of at most 255 rows are true, (N,).

    >>> count_in_columns(np.array([[True, False], [True, True]])).tolist()
    [2, 1]
    """
    return np.asarray(np.add.reduce(is_RN.view(np.uint8), axis=0, dtype=np.uint8))


class ComparisonCounts:
    """Compares rows of scores with several wanted scores each, and counts along the row.

    True is a byte of 1, so that eight of them are summed as one word; a word is summed at most 255 times, before a
    byte of it would run over.

    Args:
        rows, slots: the most rows, and wanted scores of a row, that are compared at once.
        candidates: length of a row.

    Example:
        >>> counts = ComparisonCounts(rows=1, slots=2, candidates=3)
        >>> counts(np.greater, np.array([[3., 1., 2.]]), np.array([[1., 2.]])).tolist()
        [[2, 1]]
    """

    def __init__(self, rows: int, slots: int, candidates: int) -> None:
        words = -(-candidates // _LANES)
        parts = -(-words // _MOST_IN_A_LANE)
        words_of_part = -(-words // parts)
        padded = np.zeros((rows, slots, parts * words_of_part * _LANES), dtype=bool)
        self._is_true_RSN = padded[:, :, :candidates]
        self._words = padded.view(np.uint64).reshape(rows, slots, parts, words_of_part)

    def __call__(self, compare: Callable[..., object], scores_RN: FloatArray, wanted_RS: FloatArray) -> IntArray:
        """Candidates of each row for which the comparison with each wanted score holds, (R, S)."""
        rows, slots = wanted_RS.shape
        compare(scores_RN[:, None, :], wanted_RS[:, :, None], out=self._is_true_RSN[:rows, :slots])
        summed = np.add.reduce(self._words[:rows, :slots], axis=3)
        return np.asarray(summed.view(np.uint8).sum(axis=2, dtype=np.int64))
