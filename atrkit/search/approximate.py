"""Approximate search by faiss: of a large collection only the likely lists are read, with a byte for each number.

Windows are put into lists by their nearest of `lists` centres (IVF), and kept there as 8-bit numbers. A query reads
the lists of the nearest centres, takes a shortlist, and orders it by the exact cosines of the float32 vectors on the
disk: so a score is the same as exact search gives, and only a window that was not on the shortlist can be missed. How
many lists are read is measured when the lists are made (measure_reading.py), so that recall@10 against exact search is
what it should be, for queries near to the sounds and far from them.

Without faiss, or without a fitting file, search is exact: nothing here is needed to find something.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from atrkit.errors import IntegrityError, MissingPrerequisiteError
from atrkit.files import sha256_of_file
from atrkit.processes import available_cores
from atrkit.search.exact import checked_queries, rescored, top_windows

Float32Array = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

# exact search takes 10 ms on two cores with 30,000 (busy) to 77,000 windows (idle) of 1,024 dimensions
APPROXIMATE_FROM_WINDOWS = 50_000
INSTALL_COMMAND = "pip install 'atrkit[search]'"
_DEEPEST = 1_000  # longer shortlists take faiss longer than exact search takes for everything
# that share the lists of one query: two take half the time, and many would wait for each other (and for the memory)
_MOST_THREADS = 4
_PARALLEL_OVER_LISTS = 1  # faiss's number for it; it would spread queries over threads, and one query would wait
_FORMAT = "atrkit approximate 3"

# (cosine, lists): a query reads so many lists if its cosine with the nearest centre is at least so large; the first
# pair that holds counts, and the last holds always
Reading = tuple[tuple[float, int], ...]


@dataclass(frozen=True)
class ApproximateFacts:
    """What is to be known about a file of lists; `index.json` keeps it.

    Args:
        name: of the file, in the folder of the index.
        sha256: of its bytes.
        segments: sha256 of the segments that it was made of, in order.
        windows: how many it holds.
        lists: how many lists there are.
        reading: how many lists a query reads.
        recall: recall@10 against exact search, on sample queries; of near and far ones the lowest.
        recall_at_degrees: the same for each angle between queries and the windows that they mean.
        sample_queries: how many these were.
        format: version of the file and of these facts.
    """

    name: str
    sha256: str
    segments: tuple[str, ...]
    windows: int
    lists: int
    reading: Reading
    recall: float
    recall_at_degrees: Mapping[str, float]
    sample_queries: int
    format: str = _FORMAT

    def as_record(self) -> dict[str, Any]:
        """The same as JSON."""
        return asdict(self) | {"segments": list(self.segments)}

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> "ApproximateFacts":
        """What `as_record` gave.

        Raises:
            IntegrityError: it is another version's.
        """
        if record.get("format") != _FORMAT or record.keys() != cls.__dataclass_fields__.keys():
            raise IntegrityError("it was made by another version of atrkit")
        reading = tuple((float(cosine), int(lists)) for cosine, lists in record["reading"])
        return cls(**{**record, "segments": tuple(record["segments"]), "reading": reading})


@dataclass(frozen=True, eq=False)
class ApproximateIndex:
    """Lists in memory, ready to search.

    Args:
        lists: what faiss read.
        facts: of the file.
    """

    lists: Any
    facts: ApproximateFacts

    def top_windows(
        self,
        vectors: Sequence[Float32Array],
        query_QD: npt.ArrayLike,
        k: int,
        alive: npt.ArrayLike | None = None,
    ) -> tuple[Float32Array, IntArray]:
        """Almost always the k best windows, with their exact cosines; as `exact.top_windows`.

        Segments that came after the lists were made are searched exactly, and so is everything for a query whose lists
        hold fewer than k living windows, or where more than a thousand are asked for. So it is where windows that are
        equal to the last of the shortlist are among the best, as with a hundred copies of one sound: which of them are
        listed is chance, and of equal ones the first are to be found.

        Args:
            vectors: all segments of the index; the first ones are those that the lists were made of.
            query_QD: queries, rows of norm 1.
            k: windows per query.
            alive: (W,) whether a window may be found; None: all may.

        Returns:
            (Q, K) cosines and windows, the best first, of equal cosines the smaller window number.

        Raises:
            UsageError, DivergedError, IntegrityError: as `exact.top_windows`; a vector that is not finite is noticed
                where it is on a shortlist.
        """
        queries_QD, alive_W = checked_queries(vectors, query_QD, k, alive)
        k = min(k, int(np.count_nonzero(alive_W)))
        if k > _DEEPEST:
            return top_windows(vectors, queries_QD, k, alive_W)
        newer_QK = np.zeros((len(queries_QD), 0), np.int64)
        if k and len(alive_W) > self.facts.windows:
            newer = vectors[len(self.facts.segments) :]
            _, newer_QK = top_windows(newer, queries_QD, k, alive_W[self.facts.windows :])
            newer_QK += self.facts.windows
        shortlists = self._shortlists(queries_QD, k, alive_W[: self.facts.windows])
        found = []
        for query_D, (listed_N, last_N), newer_K in zip(queries_QD, shortlists, newer_QK, strict=True):
            best = rescored(vectors, query_D, np.concatenate([listed_N, newer_K]), k)
            if len(best[1]) < k or np.isin(last_N, best[1]).any():
                scores_1K, windows_1K = top_windows(vectors, query_D, k, alive_W)
                best = scores_1K[0], windows_1K[0]
            found.append(best)
        scores_QK = np.array([scores_K for scores_K, _ in found], dtype=np.float32).reshape(len(found), k)
        return scores_QK, np.array([windows_K for _, windows_K in found], dtype=np.int64).reshape(len(found), k)

    def _shortlists(
        self, queries_QD: Float32Array, k: int, alive_W: npt.NDArray[np.bool_]
    ) -> list[tuple[IntArray, IntArray]]:
        """The windows that may be among the best, by their 8-bit numbers, and those beyond which others may tie."""
        if not k or not alive_W.any():
            return [(np.zeros(0, np.int64), np.zeros(0, np.int64)) for _ in queries_QD]
        faiss = import_faiss()
        depth = min(shortlist_depth(k), len(alive_W))
        faiss.omp_set_num_threads(min(available_cores(), _MOST_THREADS))  # of this thread's calls
        scores_QN, windows_QN = search_lists(self.lists, queries_QD, depth, self.facts.reading, alive_W)
        shortlists = []
        for scores_N, windows_N in zip(scores_QN, windows_QN, strict=True):
            is_cut = windows_N[-1] >= 0  # else the lists held no more
            last_N = windows_N[scores_N == scores_N[-1]] if is_cut else windows_N[:0]
            shortlists.append((windows_N[windows_N >= 0], last_N))
        return shortlists


def search_lists(
    lists: Any,
    queries_QD: Float32Array,
    depth: int,
    reading: Reading,
    alive_W: npt.NDArray[np.bool_] | None = None,
) -> tuple[Float32Array, IntArray]:
    """The best windows by their 8-bit numbers, of the lists that each query reads.

    Args:
        lists: faiss's.
        queries_QD: rows of norm 1.
        depth: N, windows per query.
        reading: how many lists a query reads.
        alive_W: whether a window may be found; None: all may.

    Returns:
        (Q, N) scores from the largest to the smallest, and windows; -1 where the lists hold no more.
    """
    faiss = import_faiss()
    arguments: dict[str, Any] = {}
    if alive_W is not None and not alive_W.all():
        bits = np.packbits(alive_W, bitorder="little")  # lives as long as the search
        arguments["sel"] = faiss.IDSelectorBitmap(len(bits), faiss.swig_ptr(bits))
    cosine_Q = lists.quantizer.search(queries_QD, 1)[0][:, 0]
    of_query_Q = np.array([_lists_of(cosine, reading) for cosine in cosine_Q.tolist()])
    scores_QN = np.empty((len(queries_QD), depth), np.float32)
    windows_QN = np.empty((len(queries_QD), depth), np.int64)
    for count in np.unique(of_query_Q):
        is_so = of_query_Q == count
        parameters = faiss.SearchParametersIVF(nprobe=int(count), **arguments)
        scores_QN[is_so], windows_QN[is_so] = lists.search(queries_QD[is_so], depth, params=parameters)
    return scores_QN, windows_QN


def _lists_of(cosine: float, reading: Reading) -> int:
    return next((lists for least, lists in reading[:-1] if cosine >= least), reading[-1][1])


def shortlist_depth(k: int) -> int:
    """How many windows are scored exactly for the best k: with 8 bits, the tenth may stand in the thirtieth place.

    >>> shortlist_depth(1), shortlist_depth(10), shortlist_depth(500)
    (91, 100, 1000)
    """
    return max(2 * k, k + 90)


def is_faiss_there() -> bool:
    """Whether the extra `search` is installed."""
    import importlib.util

    return importlib.util.find_spec("faiss") is not None


def open_approximate(folder: Path, record: Mapping[str, Any], segments: Sequence[str]) -> ApproximateIndex:
    """Read the lists of an index after every byte of the file was checked.

    Args:
        folder: of the index.
        record: what index.json says of them.
        segments: sha256 of the segments that the index has now, in order.

    Returns:
        The lists; segments that came later are searched exactly.

    Raises:
        MissingPrerequisiteError: faiss is not installed; says the command.
        IntegrityError: the file is missing or damaged, or was made of other segments. Search is exact then.
    """
    facts = ApproximateFacts.of_record(record)
    path = folder / facts.name
    if tuple(segments[: len(facts.segments)]) != facts.segments:
        raise IntegrityError("it was made of vectors that are no longer in the index")
    faiss = import_faiss()
    try:
        if sha256_of_file(path) != facts.sha256:
            raise IntegrityError(f"{path.name} is damaged: its sha256 is not the one it was written with")
        lists = faiss.read_index(str(path))
    except OSError as error:
        raise IntegrityError(f"{path.name} cannot be read: {error.strerror or error}") from error
    except RuntimeError as error:
        raise IntegrityError(f"{path.name} cannot be read by this version of faiss") from error
    lists.parallel_mode = _PARALLEL_OVER_LISTS
    return ApproximateIndex(lists, facts)


def recall_against_exact(found_QK: IntArray, exact_QK: IntArray) -> float:
    """The mean share of the exact results that were found.

    >>> recall_against_exact(np.array([[3, 1], [2, 5]]), np.array([[1, 3], [2, 4]]))
    0.75
    """
    pairs = zip(found_QK, exact_QK, strict=True)
    return float(np.mean([len(np.intersect1d(found_K, exact_K)) / len(exact_K) for found_K, exact_K in pairs]))


def import_faiss() -> Any:
    """The package faiss.

    Raises:
        MissingPrerequisiteError: it is not installed; says the command.
    """
    try:
        import faiss
    except ImportError as error:
        raise MissingPrerequisiteError(f"approximate search needs faiss: {INSTALL_COMMAND}") from error
    return faiss
