"""Making the lists of approximate search; `measure_reading` says how many of them a query must read."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from atrkit.files import open_atomic, require_free_space
from atrkit.search.approximate import ApproximateFacts, import_faiss
from atrkit.search.measure_reading import measure_reading, rows_of_windows

Float32Array = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

_TRAINING_ROWS_PER_LIST = 64
_TRAINING_ROUNDS = 10
_ROWS_AT_ONCE = 1 << 16


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
    lists.train(rows_of_windows(vectors, sample_N))
    for block_BD in _blocks(vectors):
        lists.add(block_BD)
        if on_progress:
            on_progress(len(block_BD))
    measured = measure_reading(lists, vectors, generator)
    name = f"approximate-{_name_of(segments)}.faiss"
    sha256 = _write(faiss, lists, folder / name)
    return ApproximateFacts(
        name,
        sha256,
        tuple(segments),
        windows,
        lists_count,
        measured.reading,
        min(measured.recall_at_degrees.values()),
        measured.recall_at_degrees,
        measured.sample_queries,
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


def _write(faiss: Any, lists: Any, path: Path) -> str:
    """Write the file piece by piece; the sha256 of what was written comes back."""
    digest = hashlib.sha256()
    with open_atomic(path) as file:

        def write(piece: bytes) -> int:
            digest.update(piece)
            return file.write(piece)

        faiss.write_index(lists, faiss.PyCallbackIOWriter(write))
    return digest.hexdigest()
