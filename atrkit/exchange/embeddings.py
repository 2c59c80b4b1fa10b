"""Embeddings of clips and of captions in a common space, made elsewhere."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from atrkit.datasets.csv_records import shown
from atrkit.errors import DivergedError, IntegrityError
from atrkit.exchange.arrays import read_caption_ids, read_clip_ids
from atrkit.exchange.numpy_files import Array, NpzFile, as_floats, read_npy
from atrkit.exchange.sniff import Kind, kind_of
from atrkit.store.array_rows import ArrayInFile

_NAMES = ("embeddings", "emb", "clip", "clip_embeddings", "caption_embeddings", "text_embeddings", "audio_embeddings")
_BLOCK_ROWS = 4096


@dataclass(frozen=True, eq=False)
class NamedVectors:
    """Vectors with the names that a file gives.

    Args:
        names: N ids (of captions: or texts).
        emb_ND: (N, D).
        own_clips: of captions, the clip of each, where the file says so.
        texts: of captions, where the file has them.
    """

    names: tuple[str, ...]
    emb_ND: npt.NDArray[np.floating[Any]]
    own_clips: tuple[str, ...] | None = None
    texts: tuple[str, ...] | None = None


def read_clip_vectors(path: Path) -> NamedVectors:
    """Read embeddings of clips: .npz (`embeddings`, `ids`), .npy with ids beside it, or our own .h5.

    Raises:
        IntegrityError: it is none of these, damaged, or has a vector of zeros (exit code 5).
        DivergedError: a vector is NaN or infinite (exit code 8).
    """
    match kind_of(path):
        case Kind.npz:
            return _checked(path, _from_npz(path))
        case Kind.npy:
            names = read_clip_ids(path)
            return _checked(path, NamedVectors(names, _matrix(path, path.name, read_npy(path), len(names))))
        case Kind.sealed:
            from atrkit.store.embeddings import load_embeddings

            try:
                stored = load_embeddings(path, mapped=True)
            except IntegrityError as error:
                raise IntegrityError(f"{error} (scores go with --scores)") from None
            return _checked(path, NamedVectors(stored.clip_ids, np.asarray(stored.clip_emb_AD)))
        case _:
            raise _unknown(path)


def read_caption_vectors(path: Path) -> NamedVectors:
    """Read embeddings of captions: .npz (`embeddings`, `ids` and `clip_of_caption`, `texts`), or .npy with a table.

    Raises:
        IntegrityError, DivergedError: as for `read_clip_vectors`.
    """
    match kind_of(path):
        case Kind.npz:
            return _checked(path, _from_npz(path))
        case Kind.npy:
            names, own, texts = read_caption_ids(path)
            array = _matrix(path, path.name, read_npy(path), len(names))
            return _checked(path, NamedVectors(names, array, own, texts))
        case _:
            raise _unknown(path)


def _from_npz(path: Path) -> NamedVectors:
    file = NpzFile(path)
    name = file.first_of(*_NAMES)
    ids = file.first_of("ids", "clip_ids", "caption_ids")
    if name is None or ids is None:
        raise IntegrityError(
            f"{path} has no array {'embeddings' if name is None else 'ids'}; it has {', '.join(file.names)}: save "
            "np.savez(FILE, embeddings=, ids=), for captions with clip_of_caption= as well"
        )
    names = file.texts(ids)
    own = file.texts("clip_of_caption") if "clip_of_caption" in file.names else None
    text_name = file.first_of("texts", "caption_texts")
    texts = None if text_name is None else file.texts(text_name)
    for other, values in (("clip_of_caption", own), (text_name, texts)):
        if values is not None and len(values) != len(names):
            raise IntegrityError(f"{path}: {len(names):,} ids, but {len(values):,} in {other}: one for each")
    return NamedVectors(names, _matrix(path, name, file.array(name), len(names)), own, texts)


def _matrix(path: Path, name: str, array: Array | ArrayInFile, items: int) -> npt.NDArray[np.floating[Any]]:
    array = as_floats(path, name, array)
    if array.shape[0] != items:
        raise IntegrityError(f"{path}: {name} has {array.shape[0]:,} rows, and there are {items:,} ids: one each")
    values = array.read_rows(0, items) if isinstance(array, ArrayInFile) else array
    return values if values.dtype.kind == "f" else values.astype(np.float64)


def _checked(path: Path, vectors: NamedVectors) -> NamedVectors:
    for start in range(0, len(vectors.names), _BLOCK_ROWS):
        block = vectors.emb_ND[start : start + _BLOCK_ROWS]
        wrong = np.flatnonzero(~np.isfinite(block).all(axis=1))
        if len(wrong):
            raise DivergedError(
                f"{path}: the vector of {shown(vectors.names[start + wrong[0]])} is NaN or infinite: the model that "
                "made it has diverged"
            )
        zero = np.flatnonzero(~block.any(axis=1))
        if len(zero):
            raise IntegrityError(
                f"{path}: the vector of {shown(vectors.names[start + zero[0]])} is all zeros and has no direction: "
                "make it again, or leave it out"
            )
    if len(set(vectors.names)) < len(vectors.names) and vectors.own_clips is not None:
        seen: set[str] = set()
        twice = next(name for name in vectors.names if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise IntegrityError(f"{path}: id {shown(twice)} occurs more than once: ids must be unique")
    return vectors


def _unknown(path: Path) -> IntegrityError:
    return IntegrityError(
        f"{path} holds no embeddings that can be read: tried .npz (arrays embeddings, ids), .npy with ids beside it, "
        "and for clips an embedding file of atrkit extract"
    )
