"""Approximate search by faiss: of a large collection only the likely lists are read, with a byte for each number.

Windows are put into lists by their nearest of `lists` centres (IVF), and kept there as 8-bit numbers. A query reads
the lists of the nearest centres, takes a shortlist, and orders it by the exact cosines of the float32 vectors on the
disk: so a score is the same as exact search gives, and only a window that was not on the shortlist can be missed. How
many lists are read is measured when the lists are made, so that recall@10 against exact search is what it should be.

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
from atrkit.search.exact import checked_queries, rescored, top_windows

Float32Array = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

# exact search takes 10 ms on two cores with 30,000 (busy) to 77,000 windows (idle) of 1,024 dimensions
APPROXIMATE_FROM_WINDOWS = 50_000
INSTALL_COMMAND = "pip install 'atrkit[search]'"
_DEEPEST = 1_000  # longer shortlists take faiss longer than exact search takes for everything
_FORMAT = "atrkit approximate 2"


@dataclass(frozen=True)
class ApproximateFacts:
    """What is to be known about a file of lists; `index.json` keeps it.

    Args:
        name: of the file, in the folder of the index.
        sha256: of its bytes.
        segments: sha256 of the segments that it was made of, in order.
        windows: how many it holds.
        lists: how many lists there are.
        lists_read: for each query.
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
    lists_read: int
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
        return cls(**{**record, "segments": tuple(record["segments"])})


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
        hold fewer than k living windows, or where more than a thousand are asked for.

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
        for query_D, listed_N, newer_K in zip(queries_QD, shortlists, newer_QK, strict=True):
            windows_N = np.concatenate([listed_N, newer_K])
            if len(windows_N) < k:
                scores_QK, windows_QK = top_windows(vectors, query_D, k, alive_W)
                found.append((scores_QK[0], windows_QK[0]))
            else:
                found.append(rescored(vectors, query_D, windows_N, k))
        scores_QK = np.array([scores_K for scores_K, _ in found], dtype=np.float32).reshape(len(found), k)
        return scores_QK, np.array([windows_K for _, windows_K in found], dtype=np.int64).reshape(len(found), k)

    def _shortlists(self, queries_QD: Float32Array, k: int, alive_W: npt.NDArray[np.bool_]) -> list[IntArray]:
        """The windows that may be among the best, by their 8-bit numbers."""
        if not k or not alive_W.any():
            return [np.zeros(0, np.int64) for _ in queries_QD]
        faiss = import_faiss()
        depth = min(shortlist_depth(k), len(alive_W))
        arguments: dict[str, Any] = {"nprobe": self.facts.lists_read}
        if not alive_W.all():
            bits = np.packbits(alive_W, bitorder="little")  # lives as long as the search
            arguments["sel"] = faiss.IDSelectorBitmap(len(bits), faiss.swig_ptr(bits))
        _, windows_QN = self.lists.search(queries_QD, depth, params=faiss.SearchParametersIVF(**arguments))
        return [windows_N[windows_N >= 0].astype(np.int64) for windows_N in windows_QN]


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
