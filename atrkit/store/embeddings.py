"""Frozen embeddings on disk: one HDF5 file of contiguous ragged arrays, checked by hash whenever it is read.

A dataset per clip would be read four times slower (FACTS.md), compression slower still, and an HDF5 file held open
by a killed process is lost: so a file is written at once, in order, and never touched again.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from atrkit.errors import IntegrityError, MissingPrerequisiteError
from atrkit.store.clip_embeddings import Embeddings, FrameDtype, gather_embeddings, offsets_of
from atrkit.store.differences import first_difference
from atrkit.store.hdf5_file import DamagedFileError, SealedFile, open_hdf5
from atrkit.store.streamed_hdf5 import Array, RowArray, write_streamed_hdf5

__all__ = [
    "EMBEDDINGS_FORMAT",
    "ROW_ARRAYS",
    "Embeddings",
    "FrameDtype",
    "StoreHeader",
    "first_difference",
    "gather_embeddings",
    "load_embeddings",
    "load_header",
    "open_embeddings",
    "read_header",
    "rows_of",
    "save_embeddings",
    "write_embeddings",
]

EMBEDDINGS_FORMAT = "atrkit embeddings 1"
ROW_ARRAYS = ("clip", "tag_probs", "frames")
_HEADER = "header"


@dataclass(frozen=True)
class StoreHeader:
    """Everything in an embedding file but its arrays; the fields are those of `Embeddings`."""

    clip_ids: tuple[str, ...]
    audio_sha256: tuple[str, ...]
    labels: tuple[str, ...]
    provenance: dict[str, Any]
    problems: tuple[dict[str, Any], ...]
    notes: dict[str, Any]
    largest_cosine_loss: float | None

    @classmethod
    def of(cls, embeddings: Embeddings) -> "StoreHeader":
        """The header of embeddings in memory."""
        return cls(**{name: getattr(embeddings, name) for name in cls.__dataclass_fields__})


def save_embeddings(path: Path, embeddings: Embeddings) -> None:
    """Write an embedding file atomically; the same content gives the same bytes.

    Raises:
        ResourceError: the disk is full or cannot be written; nothing is left behind.
    """
    write_embeddings(path, StoreHeader.of(embeddings), np.diff(embeddings.offsets), rows_of(embeddings))


def write_embeddings(path: Path, header: StoreHeader, lengths_A: npt.ArrayLike, rows: list[RowArray]) -> None:
    """Write an embedding file whose large arrays come piece by piece.

    Args:
        path: the file.
        header: of all of it.
        lengths_A: frames of each clip.
        rows: the arrays named in ROW_ARRAYS, tag_probs only where there are labels.

    Raises:
        ResourceError: the disk is full or cannot be written; nothing is left behind.
    """

    def fill(file: h5py.File) -> None:
        file.attrs["format"] = EMBEDDINGS_FORMAT
        file.attrs["encoder"] = str(header.provenance.get("encoder"))
        file.create_dataset("offsets", data=offsets_of(lengths_A), track_times=False)
        record = json.dumps(asdict(header), ensure_ascii=False, allow_nan=False, sort_keys=True).encode()
        file.create_dataset(_HEADER, data=np.frombuffer(record, dtype=np.uint8), track_times=False)

    write_streamed_hdf5(path, rows, fill)


def rows_of(embeddings: Embeddings) -> list[RowArray]:
    """The large arrays of embeddings in memory, each as one piece."""
    return [_one_piece(name, array) for name, array in _arrays_of(embeddings).items()]


def _one_piece(name: str, array: Array) -> RowArray:
    rows, width = array.shape
    return RowArray(name, (rows, width), array.dtype, lambda: [array])


def _arrays_of(embeddings: Embeddings) -> dict[str, Array]:
    arrays = (embeddings.clip_emb_AD, embeddings.tag_probs_AK, embeddings.frames_NF)
    return {name: array for name, array in zip(ROW_ARRAYS, arrays, strict=True) if array is not None}


def load_embeddings(path: str | os.PathLike[str], *, mapped: bool = False) -> Embeddings:
    """Read an embedding file after every byte of it was checked.

    Args:
        path: the file.
        mapped: leave frames, clip vectors and probabilities on the disk, as read-only arrays of which the operating
            system reads what is used. The file must not be altered in place meanwhile; putting a new one in its place,
            as everything in atrkit does, is harmless.

    Raises:
        MissingPrerequisiteError: there is no such file.
        IntegrityError: it is truncated or altered; names the file and the command that makes it again.
    """
    with open_embeddings(Path(path)) as sealed:
        read = sealed.map_array if mapped else (lambda name: sealed.hdf5[name][()])
        header = read_header(sealed)
        return Embeddings(
            **vars(header),
            frames_NF=read("frames"),
            offsets=sealed.hdf5["offsets"][()],
            clip_emb_AD=read("clip"),
            tag_probs_AK=read("tag_probs") if "tag_probs" in sealed.hdf5 else None,
        )


def load_header(path: Path) -> StoreHeader:
    """Read what an embedding file says of itself, after every byte of it was checked; memory for the header alone.

    Raises:
        MissingPrerequisiteError: there is no such file.
        IntegrityError: it is truncated or altered; names the file and the command that makes it again.
    """
    with open_embeddings(path) as sealed:
        return read_header(sealed)


@contextmanager
def open_embeddings(path: Path) -> Iterator[SealedFile]:
    """Open an embedding file after every byte of it was checked; what else is wrong in the block is damage, too.

    Raises:
        MissingPrerequisiteError: there is no such file.
        IntegrityError: it is truncated, altered or another kind of file; names it and the command that makes it again.
    """
    if not path.is_file():
        raise MissingPrerequisiteError(f"no embeddings at {path}; run: atrkit extract --encoder {path.stem}")
    try:
        with open_hdf5(path) as sealed:
            if sealed.hdf5.attrs.get("format") != EMBEDDINGS_FORMAT:
                raise DamagedFileError("it is no embedding file of this version")
            yield sealed
    except (DamagedFileError, KeyError) as error:
        raise IntegrityError(
            f"{path} is damaged ({error}); make it again: atrkit extract --encoder {path.stem} --overwrite"
        ) from error


def read_header(sealed: SealedFile) -> StoreHeader:
    """The header of an open embedding file."""
    record = json.loads(sealed.hdf5[_HEADER][()].tobytes())
    return StoreHeader(
        clip_ids=tuple(record["clip_ids"]),
        audio_sha256=tuple(record["audio_sha256"]),
        labels=tuple(record["labels"]),
        provenance=record["provenance"],
        problems=tuple(record["problems"]),
        notes=record["notes"],
        largest_cosine_loss=record.get("largest_cosine_loss"),  # files of the first version lack it
    )
