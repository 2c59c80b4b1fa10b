"""From windows to what people are shown: each file once, with its best window."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from atrkit.errors import UsageError
from atrkit.search.index_files import IndexedFile, SearchIndex

TopWindows = Callable[[npt.NDArray[np.float32], int], tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]]

_FIRST_DEPTH = 4  # windows per file that is asked for; more are looked for where they are of too few files


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

    Several windows of a file are one hit, so windows are asked for until they are of k files, or all are found.

    Args:
        index: that is searched.
        top_windows: the best windows of (1, D) queries, as many as are asked for: (1, K) scores and (1, K) windows.
        query_D: of norm 1.
        k: how many files.

    Returns:
        The hits, the best first; of equal scores the one with the smaller window number first.

    Raises:
        UsageError: k is not positive.
    """
    if k < 1:
        raise UsageError(f"-k {k}: at least one result is needed")
    living = int(np.count_nonzero(index.is_alive_W))
    depth = min(_FIRST_DEPTH * k, living)
    while depth:
        scores_QK, windows_QK = top_windows(query_D[None], depth)
        files_K = index.file_of_window_W[windows_QK[0]]
        if len(np.unique(files_K)) >= k or depth >= living:
            return _hits(index, scores_QK[0], windows_QK[0], files_K, k)
        depth = min(_FIRST_DEPTH * depth, living)
    return []


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
    index: SearchIndex,
    scores_K: npt.NDArray[np.float32],
    windows_K: npt.NDArray[np.int64],
    files_K: npt.NDArray[np.int64],
    k: int,
) -> list[Hit]:
    _, first_A = np.unique(files_K, return_index=True)  # the scores fall, so the first window of a file is its best
    first_A = np.sort(first_A)[:k]
    shown_K = scores_K >= scores_K[first_A[-1]]
    hits = []
    for place in first_A:
        window, file = int(windows_K[place]), int(files_K[place])
        others = np.count_nonzero(files_K[shown_K] == file)
        where = (float(index.start_s_W[window]), float(index.end_s_W[window]))
        hits.append(Hit(index.files[file], window, *where, float(scores_K[place]), int(others)))
    return hits
