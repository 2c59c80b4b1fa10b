"""From windows to what people are shown: each file once, with its best window."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from atrkit.errors import UsageError
from atrkit.search.exact import cosines_of_rows
from atrkit.search.index_files import IndexedFile, SearchIndex

Float32Array = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
TopWindows = Callable[[Float32Array, int, npt.NDArray[np.bool_]], tuple[Float32Array, IntArray]]

_WINDOWS_PER_FILE = 4  # that are asked for; where they are of too few files, it is asked again without these
_ROWS_AT_ONCE = 1 << 14


@dataclass(frozen=True)
class Hit:
    """A file that was found, and where in it.

    Args:
        file: of the index.
        window: the number of its best window in the index.
        start_s: where the window begins in the file.
        end_s: where it ends.
        score: cosine of the window and the query; after re-ranking, what the second stage says.
        windows: how many of the file's windows are at least as good as the best window of the last hit.
    """

    file: IndexedFile
    window: int
    start_s: float
    end_s: float
    score: float
    windows: int

    @property
    def file_id(self) -> str:
        """Of the file: what it is served by."""
        return self.file.id

    @property
    def path(self) -> str:
        """Where the file lies."""
        return str(self.file.full_path)

    @property
    def captions(self) -> tuple[str, ...]:
        """What is known of the file in words."""
        return self.file.captions


def find_hits(index: SearchIndex, top_windows: TopWindows, query_D: npt.NDArray[np.float32], k: int) -> list[Hit]:
    """The k files whose best windows fit a query best.

    Several windows of a file are one hit, so where the best windows are of too few files, the best windows of all other
    files are asked for. Each time a file is found at least, and no list is longer than a few windows for each of k
    files, however long the recordings are.

    Args:
        index: that is searched.
        top_windows: the best windows of (1, D) queries, as many as are asked for, among those that may be found:
            (1, K) scores and (1, K) windows.
        query_D: of norm 1.
        k: how many files.

    Returns:
        The hits, the best first; of equal scores the one with the smaller window number first.

    Raises:
        UsageError: k is not positive.
    """
    if k < 1:
        raise UsageError(f"-k {k}: at least one result is needed")
    k = min(k, len(index.files))
    alive_W = index.is_alive_W
    living = int(np.count_nonzero(alive_W))
    lists: list[tuple[Float32Array, IntArray]] = []
    found: set[int] = set()
    while living and len(found) < k:
        scores_QK, windows_QK = top_windows(query_D[None], min(_WINDOWS_PER_FILE * k, living), alive_W)
        lists.append((scores_QK[0], windows_QK[0]))
        new = {int(file) for file in index.file_of_window_W[windows_QK[0]]}
        found |= new
        if len(found) < k:
            alive_W = alive_W.copy()
            for file in new:
                alive_W[index.windows_of(index.files[file])] = False
            living = int(np.count_nonzero(alive_W))
    return _hits(index, query_D, lists, k) if lists else []


def with_living_file(index: SearchIndex, hit: Hit, is_there: Callable[[IndexedFile], bool]) -> Hit:
    """The hit, of a copy with the same content where its own file is gone and a copy is not.

    Args:
        index: that the hit is of.
        hit: of a file that may be gone by now.
        is_there: whether a file can still be opened.
    """
    if is_there(hit.file):
        return hit
    copies = (index.file_of_id[copy] for copy in hit.file.copies)
    living = next(filter(is_there, copies), hit.file)
    return replace(hit, file=living)


def _hits(
    index: SearchIndex, query_D: Float32Array, lists: Sequence[tuple[Float32Array, IntArray]], k: int
) -> list[Hit]:
    scores_K, windows_K = (np.concatenate(parts) for parts in zip(*lists, strict=True))
    order_K = np.lexsort((windows_K, -scores_K))
    scores_K, windows_K = scores_K[order_K], windows_K[order_K]
    files_K = index.file_of_window_W[windows_K]
    _, first_A = np.unique(files_K, return_index=True)  # the scores fall, so the first window of a file is its best
    first_A = np.sort(first_A)[:k]
    least = scores_K[first_A[-1]]
    hits = []
    for place in first_A:
        window, file = int(windows_K[place]), int(files_K[place])
        if len(lists) == 1:  # all windows as good as the last hit are on it
            others = int(np.count_nonzero(files_K[scores_K >= least] == file))
        else:
            others = _windows_from(index.vectors_of(index.files[file]), query_D, least)
        where = (float(index.start_s_W[window]), float(index.end_s_W[window]))
        hits.append(Hit(index.files[file], window, *where, float(scores_K[place]), others))
    return hits


def _windows_from(vectors_WD: Float32Array, query_D: Float32Array, least: np.float32) -> int:
    """How many windows of a file have at least that cosine."""
    tolerance = len(query_D) * np.finfo(np.float32).eps  # a product in float32 is not off by more
    count = 0
    for first in range(0, len(vectors_WD), _ROWS_AT_ONCE):
        rows_ND = vectors_WD[first : first + _ROWS_AT_ONCE]
        with np.errstate(invalid="ignore"):  # all is finite, the search saw to it; BLAS warns sometimes
            about_N = rows_ND @ query_D
        close_N = np.abs(about_N - least) <= tolerance
        count += int(np.count_nonzero(about_N > least + tolerance))
        count += int(np.count_nonzero(cosines_of_rows(rows_ND[close_N], query_D) >= least))
    return count
