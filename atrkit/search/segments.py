"""Segments of an index: embedding stores whose clips are contents of files and whose frames are vectors of windows."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from atrkit.search.index_files import Segment, segment_path
from atrkit.store.clip_embeddings import offsets_of
from atrkit.store.embeddings import Embeddings, save_embeddings
from atrkit.store.hdf5_file import open_hdf5


def save_segment(
    folder: Path,
    number: int,
    sha256s: Sequence[str],
    vectors_WD: npt.NDArray[np.float32],
    windows_A: Sequence[int],
    provenance: Mapping[str, Any],
) -> Segment:
    """Write vectors as a segment.

    Args:
        folder: of the index.
        number: of the segment.
        sha256s: of the contents, in order.
        vectors_WD: of all windows, rows of norm 1.
        windows_A: how many windows each content has.
        provenance: everything that changes the numbers.

    Returns:
        What index.json says of it.

    Raises:
        ResourceError: the disk is full or cannot be written.
    """
    save_embeddings(segment_path(folder, number), as_embeddings(sha256s, vectors_WD, windows_A, provenance))
    return describe_segment(folder, number)


def as_embeddings(
    sha256s: Sequence[str],
    vectors_WD: npt.NDArray[np.float32],
    windows_A: Sequence[int],
    provenance: Mapping[str, Any],
    problems: Sequence[dict[str, Any]] = (),
) -> Embeddings:
    """Vectors as an embedding store: there is no vector for a whole file, and so the store's have no width."""
    return Embeddings(
        tuple(sha256s),
        tuple(sha256s),
        vectors_WD,
        offsets_of(windows_A),
        np.zeros((len(sha256s), 0), np.float32),
        None,
        (),
        dict(provenance),
        tuple(problems),
        largest_cosine_loss=0.0,
    )


def describe_segment(folder: Path, number: int) -> Segment:
    """What index.json says of a segment that lies there."""
    with open_hdf5(segment_path(folder, number)) as sealed:
        frames = sealed.hdf5["frames"]
        clips = len(sealed.hdf5["offsets"]) - 1
        return Segment(number, int(frames.shape[0]), clips, int(frames.id.get_offset()), sealed.sha256)
