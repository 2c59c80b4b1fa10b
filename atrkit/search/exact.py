"""Exact search: the windows whose vectors have the largest cosine with a query.

A matrix product in float32 finds who may be among the best; those few are scored again in float64, each by itself. So
equal vectors get equal scores wherever they lie, and neither the size of blocks, nor the number of queries, nor that of
threads changes a result.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from atrkit.errors import DivergedError, IntegrityError, UsageError

Float32Array = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

# a product of a segment and one query holds a number for each row, that of several queries a number for each of them;
# few large products are faster on busy cores, where threads wait for each other after each
BLOCK_ROWS = 1 << 20
BLOCK_ROWS_OF_SEVERAL = 1 << 15
BLOCK_QUERIES = 256
_RESCORED_AT_ONCE = 4_096
_NORM_LIMIT = 1.001  # of a row of norm 1 that was rounded


@dataclass(eq=False)
class _Best:
    """The best windows of one query so far, the best first."""

    scores_N: Float32Array
    windows_N: IntArray

    def join(self, scores_N: Float32Array, windows_N: IntArray, k: int) -> None:
        """Keep the k best of these and the others; of equal scores the first window."""
        scores_N = np.concatenate([self.scores_N, scores_N])
        windows_N = np.concatenate([self.windows_N, windows_N])
        order_N = np.lexsort((windows_N, -scores_N))[:k]
        self.scores_N, self.windows_N = scores_N[order_N], windows_N[order_N]


def top_windows(
    vectors: Sequence[npt.NDArray[np.float32]],
    query_QD: npt.ArrayLike,
    k: int,
    alive: npt.ArrayLike | None = None,
    *,
    block_rows: int | None = None,
) -> tuple[Float32Array, IntArray]:
    """The k windows with the largest cosine for each query; ties are broken by window number, the smaller one first.

    Args:
        vectors: the segments, each (W_s, D) float32 with rows of norm 1, memory-mapped or not. Windows are numbered
            through all of them.
        query_QD: queries, rows of norm 1; one query may come as (D,).
        k: windows per query; where fewer are alive, all of those are given.
        alive: (W,) whether a window may be found; None: all may.
        block_rows: windows that are compared at once; changes speed and memory, not the result. None: many.

    Returns:
        (Q, K) cosines, in float32, from the largest to the smallest, and the (Q, K) numbers of their windows.

    Raises:
        UsageError: k is not positive, or widths or counts do not fit.
        DivergedError: a query is NaN or infinite.
        IntegrityError: a living vector is NaN or infinite; names the window.

    Source: our choice.

    Example:
        >>> first, second = np.eye(3, dtype=np.float32), np.eye(3, dtype=np.float32)[:2]
        >>> scores_QK, windows_QK = top_windows([first, second], [0.0, 1.0, 0.0], k=3)
        >>> scores_QK.tolist(), windows_QK.tolist()
        ([[1.0, 1.0, 0.0]], [[1, 4, 0]])
    """
    queries_QD, alive_W = checked_queries(vectors, query_QD, k, alive)
    k = min(k, int(alive_W.sum()))
    best = [_Best(np.zeros(0, np.float32), np.zeros(0, np.int64)) for _ in queries_QD]
    if block_rows is None:
        block_rows = BLOCK_ROWS if len(queries_QD) == 1 else BLOCK_ROWS_OF_SEVERAL
    for start, block_BD in _blocks(vectors, block_rows):
        alive_B = alive_W[start : start + len(block_BD)]
        if k and alive_B.any():
            for first in range(0, len(queries_QD), BLOCK_QUERIES):
                some = slice(first, first + BLOCK_QUERIES)
                _search_block(block_BD, start, alive_B, queries_QD[some], k, best[some])
    scores_QK = np.array([each.scores_N for each in best], dtype=np.float32).reshape(len(best), k)
    windows_QK = np.array([each.windows_N for each in best], dtype=np.int64).reshape(len(best), k)
    return scores_QK, windows_QK


def rescored(
    vectors: Sequence[npt.NDArray[np.float32]], query_D: Float32Array, windows_N: IntArray, k: int
) -> tuple[Float32Array, IntArray]:
    """Order a shortlist of one query by exact cosines.

    Args:
        vectors: the segments.
        query_D: of norm 1.
        windows_N: the shortlist, in any order, each window once.
        k: how many are kept.

    Returns:
        Cosines and windows of the best, as `top_windows` gives them.

    Raises:
        IntegrityError: a vector is NaN or infinite; names the window.
    """
    windows_N = np.sort(windows_N)
    starts_S = np.concatenate([[0], np.cumsum([len(segment) for segment in vectors])])
    scores_N = np.empty(len(windows_N), np.float32)
    for number, segment in enumerate(vectors):
        low, high = np.searchsorted(windows_N, starts_S[number : number + 2])
        if high > low:
            scores_N[low:high] = cosines_of_rows(segment[windows_N[low:high] - starts_S[number]], query_D)
    if len(broken_N := windows_N[~np.isfinite(scores_N)]):
        raise _broken(int(broken_N[0]))
    best = _Best(np.zeros(0, np.float32), np.zeros(0, np.int64))
    best.join(scores_N, windows_N, k)
    return best.scores_N, best.windows_N


def cosines_of_rows(rows_ND: Float32Array, query_D: Float32Array) -> Float32Array:
    """Scores of rows and a query of norm 1, added up in float64, so that equal rows get equal bits wherever they are.

    >>> cosines_of_rows(np.array([[0.6, 0.8], [0.8, 0.6]], np.float32), np.array([0.6, 0.8], np.float32)).round(3)
    array([1.  , 0.96], dtype=float32)
    """
    product_ND = rows_ND.astype(np.float64)
    product_ND *= query_D.astype(np.float64)
    scores_N: Float32Array = product_ND.sum(axis=1).astype(np.float32)
    return scores_N


def checked_queries(
    vectors: Sequence[npt.NDArray[np.float32]], query_QD: npt.ArrayLike, k: int, alive: npt.ArrayLike | None
) -> tuple[Float32Array, BoolArray]:
    """The arguments of `top_windows` as (Q, D) queries and (W,) flags; refuses what it refuses of them."""
    if k < 1:
        raise UsageError(f"-k {k}: at least one result is needed")
    queries_QD = np.atleast_2d(np.ascontiguousarray(query_QD, dtype=np.float32))
    for segment in vectors:
        if segment.ndim != 2 or segment.shape[1] != queries_QD.shape[1]:
            raise UsageError(f"queries have {queries_QD.shape[1]} dimensions, vectors of the index {segment.shape[-1]}")
    if not np.isfinite(queries_QD).all():
        broken = int(np.flatnonzero(~np.isfinite(queries_QD).all(axis=1))[0])
        raise DivergedError(f"the embedding of query {broken + 1} is not finite: the model cannot be used for it")
    count = sum(len(segment) for segment in vectors)
    alive_W = np.ones(count, dtype=bool) if alive is None else np.asarray(alive, dtype=bool)
    if alive_W.shape != (count,):
        raise UsageError(f"{count} windows, and {len(alive_W)} flags that say which are alive")
    return queries_QD, alive_W


def _blocks(vectors: Sequence[npt.NDArray[np.float32]], rows: int) -> Iterator[tuple[int, Float32Array]]:
    """Pieces of the segments, each with the number of its first window."""
    before = 0
    for segment in vectors:
        for start in range(0, len(segment), rows):
            yield before + start, segment[start : start + rows]
        before += len(segment)


def _search_block(
    block_BD: Float32Array, start: int, alive_B: BoolArray, queries_QD: Float32Array, k: int, best: Sequence[_Best]
) -> None:
    is_all_alive = bool(alive_B.all())
    with np.errstate(invalid="ignore", over="ignore"):  # what is not finite is looked for below
        if len(queries_QD) == 1:
            scores_QB = (block_BD @ queries_QD[0])[None]
        else:  # in this order the product is faster by half, also with the copy that puts a query's scores side by side
            scores_QB = np.ascontiguousarray((block_BD @ queries_QD.T).T)
    if not is_all_alive:
        scores_QB[:, ~alive_B] = 0
    if not (np.isfinite(scores_QB.min()) and np.isfinite(scores_QB.max())):
        raise _broken(start + int(np.flatnonzero(~np.isfinite(scores_QB).all(axis=0))[0]))
    if not is_all_alive:
        scores_QB[:, ~alive_B] = -np.inf
    living = int(alive_B.sum())
    for query_D, scores_B, of_query in zip(queries_QD, scores_QB, best, strict=True):
        # a product in float32 is off by this at most, whatever its order of summation
        tolerance = len(query_D) * np.finfo(np.float32).eps / 2 * np.linalg.norm(query_D) * _NORM_LIMIT
        least = np.finfo(np.float32).min
        if len(of_query.scores_N) == k:
            least = of_query.scores_N[-1] - tolerance
        elif living > k:
            least = np.partition(scores_B, -k)[-k] - 2 * tolerance
        listed_N = np.flatnonzero(scores_B >= least)
        for first in range(0, len(listed_N), _RESCORED_AT_ONCE):
            rows_N = listed_N[first : first + _RESCORED_AT_ONCE]
            of_query.join(cosines_of_rows(block_BD[rows_N], query_D), rows_N + start, k)


def _broken(window: int) -> IntegrityError:
    return IntegrityError(f"the vector of window {window} is not finite: make the index again with --overwrite")
