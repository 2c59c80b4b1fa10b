"""Making the lists of approximate search, and measuring how many of them a query must read."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from atrkit.files import open_atomic, require_free_space
from atrkit.search.approximate import ApproximateFacts, import_faiss, recall_against_exact, shortlist_depth
from atrkit.search.exact import top_windows

Float32Array = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

# on sample queries near and far, so that others are above 0.99; the furthest are as far as any query may be
_LEAST_RECALL = {25.0: 0.998, 65.0: 0.998, 80.0: 0.995, 85.0: 0.995}
_RECALL_AT = 10
_SAMPLE_QUERIES = 200  # at each angle
_TRAINING_ROWS_PER_LIST = 64
_TRAINING_ROUNDS = 10
_ROWS_AT_ONCE = 1 << 16
# keys: degrees between a query and a window that it means. A like sound is near, a text is further from all sounds, and
# from 80 degrees on little is left but the direction of the noise: a text whose sounds are not in the index
_ANGLES = tuple(_LEAST_RECALL)


def build_approximate(
    folder: Path,
    vectors: Sequence[Float32Array],
    segments: Sequence[str],
    *,
    seed: int = 1,
    threads: int = 1,
    on_progress: Callable[[int], None] | None = None,
) -> ApproximateFacts:
    """Make the lists of an index and measure how many of them a query must read.

    On one machine the same vectors and seed give the same bytes, with any number of threads.

    Args:
        folder: of the index; the file is put there, and its name is made of what it was made of.
        vectors: the segments, each (W_s, D) float32 with rows of norm 1.
        segments: sha256 of each of them.
        seed: of the sample that the centres are found with, and of the sample queries.
        threads: that faiss may use.
        on_progress: told the number of windows of each finished block.

    Returns:
        What is to be noted in index.json.

    Raises:
        MissingPrerequisiteError: faiss is not installed; says the command.
        ResourceError: the disk is full or cannot be written; nothing is left behind.

    Source: our choice: about sqrt(W) lists, ten rounds of k-means on 64 windows for each list. With more lists
        training takes longer than it saves (measured with 512 and 1,024 lists of 100,000 windows).
    """
    faiss = import_faiss()
    windows = sum(len(segment) for segment in vectors)
    dim = vectors[0].shape[1]
    require_free_space(folder, windows * (dim + 8), "approximate search")
    lists_count = number_of_lists(windows)
    faiss.omp_set_num_threads(threads)
    generator = np.random.default_rng(seed)
    training_rows = min(windows, lists_count * _TRAINING_ROWS_PER_LIST)
    sample_N = np.sort(generator.choice(windows, training_rows, replace=False))
    centres = faiss.IndexFlatIP(dim)
    lists = faiss.IndexIVFScalarQuantizer(
        centres, dim, lists_count, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT, False
    )
    lists.cp.seed = seed
    lists.cp.niter = _TRAINING_ROUNDS
    lists.cp.spherical = True
    lists.cp.min_points_per_centroid = 1  # else faiss complains on stderr
    lists.cp.max_points_per_centroid = _TRAINING_ROWS_PER_LIST
    lists.train(_rows(vectors, sample_N))
    for block_BD in _blocks(vectors):
        lists.add(block_BD)
        if on_progress:
            on_progress(len(block_BD))
    of_angles = _sample_queries(vectors, generator)
    lists_read, recalls = _lists_to_read(faiss, lists, vectors, of_angles)
    name = f"approximate-{_name_of(segments)}.faiss"
    sha256 = _write(faiss, lists, folder / name)
    near_and_far = dict(zip(map(str, map(round, _ANGLES)), recalls, strict=True))
    queries = sum(map(len, of_angles))
    return ApproximateFacts(
        name, sha256, tuple(segments), windows, lists_count, lists_read, min(recalls), near_and_far, queries
    )


def number_of_lists(windows: int) -> int:
    """A power of two from sqrt(W) to twice that.

    >>> number_of_lists(20_000), number_of_lists(100_000), number_of_lists(1_000_000)
    (256, 512, 1024)
    """
    lists: int = 1
    while lists * lists < windows:
        lists *= 2
    return lists


def _name_of(segments: Sequence[str]) -> str:
    return hashlib.sha256("".join(segments).encode()).hexdigest()[:12]


def _blocks(vectors: Sequence[Float32Array]) -> Iterator[Float32Array]:
    for segment in vectors:
        for start in range(0, len(segment), _ROWS_AT_ONCE):
            yield np.ascontiguousarray(segment[start : start + _ROWS_AT_ONCE])


def _rows(vectors: Sequence[Float32Array], windows_N: IntArray) -> Float32Array:
    """Vectors of windows in ascending order."""
    starts_S = np.concatenate([[0], np.cumsum([len(segment) for segment in vectors])])
    bounds_S = np.searchsorted(windows_N, starts_S)
    return np.concatenate(
        [
            segment[windows_N[low:high] - first]
            for segment, first, low, high in zip(vectors, starts_S[:-1], bounds_S[:-1], bounds_S[1:], strict=True)
        ]
    )


def _sample_queries(vectors: Sequence[Float32Array], generator: np.random.Generator) -> list[Float32Array]:
    """Windows, turned away into any direction: by as much as each angle says."""
    windows = sum(len(segment) for segment in vectors)
    chosen_N = np.sort(generator.choice(windows, min(windows, _SAMPLE_QUERIES), replace=False))
    rows_ND = _rows(vectors, chosen_N).astype(np.float64)
    rows_ND /= np.linalg.norm(rows_ND, axis=1, keepdims=True)
    of_angles: list[Float32Array] = []
    for angle in np.radians(_ANGLES):
        noise_ND = generator.standard_normal(rows_ND.shape)
        noise_ND -= (noise_ND * rows_ND).sum(axis=1, keepdims=True) * rows_ND
        noise_ND /= np.linalg.norm(noise_ND, axis=1, keepdims=True)
        of_angles.append((np.cos(angle) * rows_ND + np.sin(angle) * noise_ND).astype(np.float32))
    return of_angles


def _lists_to_read(
    faiss: Any, lists: Any, vectors: Sequence[Float32Array], of_angles: Sequence[Float32Array]
) -> tuple[int, list[float]]:
    """The least number of lists with which the recall is reached at every angle, and the recall at each."""
    exact = [top_windows(vectors, queries_QD, _RECALL_AT)[1] for queries_QD in of_angles]
    depth = min(shortlist_depth(_RECALL_AT), lists.ntotal)
    reached: list[float] = []
    for lists_read in _steps(lists.nlist):
        parameters = faiss.SearchParametersIVF(nprobe=lists_read)
        # the exact order of a shortlist holds all exact results that are on it
        listed = [lists.search(queries_QD, depth, params=parameters)[1] for queries_QD in of_angles]
        reached = [recall_against_exact(*pair) for pair in zip(listed, exact, strict=True)]
        if all(each >= least for each, least in zip(reached, _LEAST_RECALL.values(), strict=True)):
            return lists_read, reached
    return int(lists.nlist), reached


def _steps(most: int) -> list[int]:
    """1, 2, 3, 4, 6, 8, 12, 16 ... up to all.

    >>> _steps(20)
    [1, 2, 3, 4, 6, 8, 12, 16, 20]
    """
    steps = {1, most} | {round(2**power * part) for power in range(1, 32) for part in (1, 1.5)}
    return sorted(step for step in steps if step <= most)


def _write(faiss: Any, lists: Any, path: Path) -> str:
    """Write the file piece by piece; the sha256 of what was written comes back."""
    digest = hashlib.sha256()
    with open_atomic(path) as file:

        def write(piece: bytes) -> int:
            digest.update(piece)
            return file.write(piece)

        faiss.write_index(lists, faiss.PyCallbackIOWriter(write))
    return digest.hexdigest()
