"""Score matrices on disk: sealed HDF5 with ids, pool id, and what made the scores."""

import json
import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from atrkit.errors import DivergedError, IntegrityError, MissingPrerequisiteError, UsageError
from atrkit.score_matrix import ScoreMatrix
from atrkit.store.hdf5_file import DamagedFileError, open_hdf5, write_hdf5

SCORES_FORMAT = "atrkit scores 1"
_REBUILD = "make it again: atrkit eval"


def save_scores(path: str | os.PathLike[str], matrix: ScoreMatrix, about: dict[str, Any] | None = None) -> None:
    """Write a score matrix with its ids and pool id, atomically; the same content gives the same bytes.

    Scores are kept as float32. A float64 matrix is rounded to it, which can make ties: evaluate what `load_scores`
    gives back, or make the scores in float32, so that a table and its file never disagree.

    Args:
        path: the file, usually `scores.h5` of a run.
        matrix: higher is better.
        about: what made the scores (run, dataset, split, scoring), as JSON values.

    Raises:
        DivergedError: a finite score is too large for float32.
        UsageError: an id holds a NUL character.
        ResourceError: the disk is full or cannot be written; what was there stays.
    """
    with np.errstate(over="ignore"):
        scores_AC = matrix.scores_AC.astype(np.float32)
    overflows = int(np.count_nonzero(np.isinf(scores_AC) & np.isfinite(matrix.scores_AC)))
    if overflows:
        raise DivergedError(f"{overflows} scores are too large for float32, so {path} was not written: scale them down")

    def fill(file: h5py.File) -> None:
        file.attrs["format"] = SCORES_FORMAT
        file.attrs["pool_id"] = matrix.pool_id
        file.create_dataset("scores", data=scores_AC, track_times=False)
        _write_texts(file, "clip_ids", matrix.clip_ids)
        _write_texts(file, "caption_ids", matrix.caption_ids)
        _write_texts(file, "clip_of_caption", matrix.clip_of_caption)
        _write_texts(file, "about", (json.dumps(about or {}, allow_nan=False, sort_keys=True),))

    write_hdf5(Path(path), fill)


def load_scores(path: str | os.PathLike[str]) -> ScoreMatrix:
    """Read a score matrix and check every byte of its file.

    Raises:
        MissingPrerequisiteError: there is no such file (exit code 3).
        IntegrityError: it is truncated, altered or no score file; names it and the command that makes it again
            (exit code 5).
    """
    return _read(Path(path))[0]


def load_scores_about(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read what made the scores, as it was given to `save_scores`.

    Raises:
        MissingPrerequisiteError: there is no such file (exit code 3).
        IntegrityError: as for `load_scores` (exit code 5).
    """
    return _read(Path(path))[1]


def _read(path: Path) -> tuple[ScoreMatrix, dict[str, Any]]:
    if not path.is_file():
        raise MissingPrerequisiteError(f"no scores at {path}; run: atrkit eval")
    try:
        with open_hdf5(path) as sealed:
            file = sealed.hdf5
            matrix = ScoreMatrix(
                file["scores"][()],
                _read_texts(file, "clip_ids"),
                _read_texts(file, "caption_ids"),
                _read_texts(file, "clip_of_caption"),
            )
            about = read_about(file)
    except DamagedFileError as error:
        raise IntegrityError(f"{path} is damaged, or not written by atrkit ({error}); {_REBUILD}") from error
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise IntegrityError(f"{path} is no score file of this version ({reason}); {_REBUILD}") from error
    return matrix, about


def read_about(file: h5py.File) -> dict[str, Any]:
    """What made the scores of an open score file."""
    about: dict[str, Any] = json.loads(_read_texts(file, "about")[0])
    return about


def _write_texts(file: h5py.File, name: str, texts: tuple[str, ...]) -> None:
    with_nul = [text for text in texts if "\0" in text]
    if with_nul:
        raise UsageError(f"{with_nul[0]!r} in {name} holds a NUL character, which HDF5 cannot store: rename it")
    encoded = np.array([text.encode() for text in texts], dtype=object)
    file.create_dataset(name, data=encoded, dtype=h5py.string_dtype(), track_times=False)


def _read_texts(file: h5py.File, name: str) -> list[str]:
    return [text.decode() for text in file[name][()]]
