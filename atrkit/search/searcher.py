"""An opened index, ready for queries: approximate where that is faster, exact wherever it must be."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from atrkit.errors import IntegrityError, MissingPrerequisiteError
from atrkit.search.approximate import APPROXIMATE_FROM_WINDOWS, ApproximateIndex, open_approximate
from atrkit.search.exact import top_windows
from atrkit.search.index_files import SearchIndex
from atrkit.search.results import Hit, find_hits


@dataclass(frozen=True, eq=False)
class Searcher:
    """Finds hits; several threads may ask one searcher.

    Args:
        index: that is searched.
        approximate: its lists; None: search is exact.
    """

    index: SearchIndex
    approximate: ApproximateIndex | None = None

    def find(self, query_D: npt.NDArray[np.float32], k: int) -> list[Hit]:
        """The k files that fit best.

        Args:
            query_D: of norm 1, as `query.combined_query` gives it.
            k: how many files; fewer come where the index holds fewer.

        Raises:
            UsageError: k is not positive, or the query is of another width than the index.
            DivergedError: the query is not finite.
            IntegrityError: a vector of the index is not finite.
        """
        return find_hits(self.index, self.top_windows, query_D, k)

    def top_windows(
        self, query_QD: npt.NDArray[np.float32], k: int, alive_W: npt.NDArray[np.bool_] | None = None
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """As `exact.top_windows`, of the index; None: every living window may be found."""
        index = self.index
        alive_W = index.is_alive_W if alive_W is None else alive_W
        alive = None if alive_W.all() else alive_W
        if self.approximate is not None:
            return self.approximate.top_windows(index.vectors, query_QD, k, alive)
        return top_windows(index.vectors, query_QD, k, alive)


def open_searcher(index: SearchIndex, say: Callable[[str], None]) -> Searcher:
    """Make an index ready; where its lists cannot be used, search is exact, and why is said.

    Args:
        index: opened.
        say: takes the line.
    """
    record = index.about.get("faiss")
    windows = len(index.file_of_window_W)
    if record is None:
        if windows >= APPROXIMATE_FROM_WINDOWS:
            say(f"search is exact, which takes long with {windows:,} windows: run atrkit index again to make lists")
        return Searcher(index)
    try:
        return Searcher(index, open_approximate(index.folder, record, segment_hashes(index)))
    except (IntegrityError, MissingPrerequisiteError) as error:
        again = "" if isinstance(error, MissingPrerequisiteError) else "; atrkit index makes the lists anew"
        say(f"search is exact: {error}{again}")
        return Searcher(index)


def segment_hashes(index: SearchIndex) -> list[str]:
    """What lists are made of: sha256 of each segment, in order."""
    return [segment["sha256"] for segment in index.about["segments"]]
