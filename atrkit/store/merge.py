"""Joining the parts of one plan into one file, with memory for one part whatever the size of the set."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from atrkit.errors import IntegrityError
from atrkit.store.embeddings import ROW_ARRAYS, StoreHeader, open_embeddings, read_header, write_embeddings
from atrkit.store.hdf5_file import SealedFile
from atrkit.store.streamed_hdf5 import Array, RowArray

Read = TypeVar("Read")


@dataclass(frozen=True)
class ExpectedPart:
    """What a finished part must be.

    Args:
        path: its file.
        clips: audio sha256 of each clip that the plan put there, by id and in order.
    """

    path: Path
    clips: dict[str, str]


@dataclass(frozen=True)
class PartOutline:
    """A part without its arrays.

    Args:
        header: what it says of itself.
        lengths: frames of each clip.
        rows: of each array.
        layout: width and dtype of each array.
    """

    header: StoreHeader
    lengths: list[int]
    rows: dict[str, int]
    layout: dict[str, tuple[int, np.dtype[Any]]]


def merge_parts(path: Path, parts: Sequence[ExpectedPart], provenance: dict[str, Any]) -> None:
    """Write the file that the parts make together; the same parts give the same bytes as if saved at once.

    Every part is opened once for what it says of itself, and once for each of its arrays, which lie in the file one
    behind the other; each time its seal is checked first, so that nothing unchecked is ever copied.

    Args:
        path: the file.
        parts: at least one, in order.
        provenance: of the plan: that of every part.

    Raises:
        IntegrityError: a part is damaged, or not what the plan says; names it and the way out.
        ResourceError: the disk is full or cannot be written; what was at `path` stays.
    """
    outlines = check_parts(parts, provenance)
    rows = [_joined(name, parts, outlines) for name in ROW_ARRAYS if name in outlines[0].layout]
    lengths = [length for outline in outlines for length in outline.lengths]
    write_embeddings(path, join_headers([outline.header for outline in outlines]), lengths, rows)


def check_parts(parts: Sequence[ExpectedPart], provenance: dict[str, Any]) -> list[PartOutline]:
    """Check every byte of finished parts, and that they are of one plan.

    Args:
        parts: finished ones.
        provenance: of the plan.

    Raises:
        IntegrityError: a part is damaged, or not what the plan says; names it and the way out.
    """
    outlines = [_read(part, _outline_of) for part in parts]
    for part, outline in zip(parts, outlines, strict=True):
        if not _fits(part, outline.header, provenance) or outline.layout != outlines[0].layout:
            raise IntegrityError(f"{part.path} is a part of another plan: delete it and run the same command again")
    return outlines


def join_headers(headers: Sequence[StoreHeader]) -> StoreHeader:
    """What the parts say of themselves together; notes are those of the first."""
    losses = [header.largest_cosine_loss for header in headers if header.largest_cosine_loss is not None]
    return replace(
        headers[0],
        clip_ids=tuple(clip_id for header in headers for clip_id in header.clip_ids),
        audio_sha256=tuple(sha256 for header in headers for sha256 in header.audio_sha256),
        problems=tuple(problem for header in headers for problem in header.problems),
        largest_cosine_loss=max(losses, default=None),
    )


def _read(part: ExpectedPart, read: Callable[[SealedFile], Read]) -> Read:
    try:
        with open_embeddings(part.path) as sealed:
            return read(sealed)
    except IntegrityError as error:
        raise IntegrityError(f"{part.path} is damaged: delete it and run the same command again") from error


def _outline_of(sealed: SealedFile) -> PartOutline:
    arrays = {name: sealed.hdf5[name] for name in ROW_ARRAYS if name in sealed.hdf5}
    return PartOutline(
        read_header(sealed),
        np.diff(sealed.hdf5["offsets"][()]).tolist(),
        {name: array.shape[0] for name, array in arrays.items()},
        {name: (array.shape[1], array.dtype) for name, array in arrays.items()},
    )


def _fits(part: ExpectedPart, header: StoreHeader, provenance: dict[str, Any]) -> bool:
    """Whether the part has the plan's settings, its clips in order, and a reason for each that it leaves out."""
    there = dict(zip(header.clip_ids, header.audio_sha256, strict=True))
    left_out = {problem["item"] for problem in header.problems}
    expected = {
        clip_id: sha256 for clip_id, sha256 in part.clips.items() if clip_id in there or clip_id not in left_out
    }
    return header.provenance == provenance and list(there.items()) == list(expected.items())


def _joined(name: str, parts: Sequence[ExpectedPart], outlines: Sequence[PartOutline]) -> RowArray:
    def pieces() -> Iterator[Array]:
        for part in parts:
            yield _read(part, lambda sealed: sealed.hdf5[name][()])

    width, dtype = outlines[0].layout[name]
    return RowArray(name, (sum(outline.rows[name] for outline in outlines), width), dtype, pieces)
