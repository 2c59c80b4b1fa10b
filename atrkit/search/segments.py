"""Segments of an index: embedding stores whose clips are contents of files and whose frames are vectors of windows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from atrkit.errors import IntegrityError, MissingPrerequisiteError
from atrkit.search.index_files import SEGMENTS_FOLDER, Segment, damaged, segment_path
from atrkit.store.clip_embeddings import offsets_of
from atrkit.store.embeddings import (
    Embeddings,
    StoreHeader,
    open_embeddings,
    read_header,
    save_embeddings,
    write_embeddings,
)
from atrkit.store.hdf5_file import open_hdf5
from atrkit.store.streamed_hdf5 import RowArray

# our choice: a search reads dead rows as well, and each segment is a product of its own
DEAD_SHARE = 0.25
MOST_SEGMENTS = 16

Float32Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Place:
    """Where the vectors of a content lie: rows `row` to `row + windows` of a segment."""

    segment: int
    row: int
    windows: int


@dataclass(frozen=True, eq=False)
class OpenSegment:
    """A segment, every byte of which was checked.

    Args:
        about: what index.json says of it.
        dim: width of its vectors.
        places: of each content, by sha256, in order.
        provenance: everything that changed the numbers.
        problems: records of contents that were skipped or padded; `item` is a sha256.
    """

    about: Segment
    dim: int
    places: dict[str, Place]
    provenance: dict[str, Any]
    problems: tuple[dict[str, Any], ...]


def open_segment(folder: Path, number: int) -> OpenSegment:
    """Read a segment, but for its vectors.

    Args:
        folder: of the index.
        number: of the segment.

    Raises:
        IntegrityError: it is missing or damaged; names it and the command that makes the index again.
    """
    path = segment_path(folder, number)
    try:
        with open_embeddings(path) as sealed:
            header, offsets = read_header(sealed), sealed.hdf5["offsets"][()]
            frames = sealed.hdf5["frames"]
            offset = int(frames.id.get_offset()) if frames.size else 0
            rows, dim = frames.shape
            sha256 = sealed.sha256
    except MissingPrerequisiteError:
        raise damaged(path, "it is missing") from None
    except IntegrityError as error:
        raise damaged(path, "it is not what was written") from error
    counts = np.diff(offsets)
    places = {
        content: Place(number, int(row), int(windows))
        for content, row, windows in zip(header.clip_ids, offsets[:-1], counts, strict=True)
    }
    about = Segment(number, int(rows), len(places), offset, sha256)
    return OpenSegment(about, int(dim), places, header.provenance, header.problems)


def segments_on_disk(folder: Path) -> list[int]:
    """Numbers of the segments that lie there, whether they are part of the index or not."""
    names = (path.stem for path in (folder / SEGMENTS_FOLDER).glob("*.h5"))
    return sorted(int(name) for name in names if name.isdecimal())


def save_segment(
    folder: Path,
    number: int,
    sha256s: Sequence[str],
    vectors_WD: Float32Array,
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
    return open_segment(folder, number).about


def as_embeddings(
    sha256s: Sequence[str],
    vectors_WD: Float32Array,
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


def groups_to_compact(segments: Sequence[OpenSegment], alive: Mapping[str, Place]) -> list[list[OpenSegment]]:
    """Which segments are to be written anew, those of one group into one; where nothing is alive nothing is written.

    A segment with more than a quarter of dead rows is copied without them. Of more than 16 segments the 16 smallest
    become one, so that the large first one is not copied each time that some files are new.

    Args:
        segments: of the index.
        alive: where the contents lie that a file still has.

    Source: our choice.
    """
    rows_of = alive_rows(alive)
    kept = [segment for segment in segments if rows_of.get(segment.about.number)]
    if len(kept) > MOST_SEGMENTS:
        smallest = sorted(kept, key=lambda each: (rows_of[each.about.number], each.about.number))[:MOST_SEGMENTS]
        joined = [sorted(smallest, key=lambda each: each.about.number)]
    else:
        joined = []
    in_group = {segment.about.number for group in joined for segment in group}
    sparse = [
        [segment]
        for segment in kept
        if segment.about.rows - rows_of[segment.about.number] > DEAD_SHARE * segment.about.rows
    ]
    return [*(group for group in sparse if group[0].about.number not in in_group), *joined]


def alive_rows(alive: Mapping[str, Place]) -> dict[int, int]:
    """How many rows of each segment a file still has."""
    rows: dict[int, int] = {}
    for place in alive.values():
        rows[place.segment] = rows.get(place.segment, 0) + place.windows
    return rows


def join_segments(folder: Path, number: int, group: Sequence[OpenSegment], alive: Mapping[str, Place]) -> OpenSegment:
    """Copy what is alive of some segments into a new one; no sound is read, and memory is that of one content.

    Args:
        folder: of the index.
        number: of the new segment.
        group: segments to copy from, in order.
        alive: where the contents lie that a file still has.

    Raises:
        IntegrityError: a segment was damaged since it was opened.
        ResourceError: the disk is full or cannot be written; the old segments stay.
    """
    taken = [
        (segment, content, place)
        for segment in group
        for content, place in segment.places.items()
        if alive.get(content) == place
    ]
    contents = tuple(content for _, content, _ in taken)
    windows_A = [place.windows for _, _, place in taken]

    def pieces() -> Iterator[Float32Array]:
        vectors_of = {segment.about.number: _map(folder, segment) for segment in group}
        for segment, _, place in taken:
            yield vectors_of[segment.about.number][place.row : place.row + place.windows]

    kept = set(contents)
    problems = tuple(problem for segment in group for problem in segment.problems if problem["item"] in kept)
    header = StoreHeader(contents, contents, (), group[0].provenance, problems, {}, 0.0)
    no_clip = RowArray("clip", (len(contents), 0), np.float32, lambda: [np.zeros((len(contents), 0), np.float32)])
    vectors = RowArray("frames", (sum(windows_A), group[0].dim), np.float32, pieces)
    write_embeddings(segment_path(folder, number), header, windows_A, [no_clip, vectors])
    return open_segment(folder, number)


def _map(folder: Path, segment: OpenSegment) -> Float32Array:
    path, about = segment.about.path(folder), segment.about
    with open_hdf5(path) as sealed:
        if sealed.sha256 != about.sha256:
            raise damaged(path, "it changed while it was copied")
        return np.asarray(sealed.map_array("frames"))
