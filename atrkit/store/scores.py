"""Score matrices on disk: sealed HDF5 with ids, pool id, and what made the scores."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from atrkit.errors import DivergedError, IntegrityError, MissingPrerequisiteError, UsageError
from atrkit.score_matrix import BlockedScores, ScoreMatrix
from atrkit.store.array_rows import ArrayInFile
from atrkit.store.hdf5_file import DamagedFileError, SealedFile, open_hdf5, write_hdf5

SCORES_FORMAT = "atrkit scores 1"
SCORES_NAME = "scores.h5"
_OTHER_PRECISIONS = ("fp16", "bf16")
SCORE_ARRAYS = ("scores", "calibration_losses")
_REBUILD = "make it again: atrkit eval"


@dataclass(frozen=True, eq=False)
class Calibration:
    """Losses of training clips with the captions of a score matrix: what column scaling can compare with.

    A test clip's loss says more beside those that clips which have nothing to do with the caption get. Training clips
    serve as such, so that no test clip needs to be known in advance.

    Args:
        loss_KC: (K calibration clips, C captions) float32, lower is better, finite.
        clip_ids: K unique ids, of the training set.

    Raises:
        UsageError: shapes that disagree, or an id that occurs twice.
        DivergedError: a loss is NaN or infinite; names the clips.

    Source: `minmax-calib` and `pmi` of PROTOCOL.md; ours.

    Example:
        >>> Calibration(np.array([[1.5, 2.0]], dtype=np.float32), ["rain.wav"]).loss_KC.mean(axis=0).tolist()
        [1.5, 2.0]
    """

    loss_KC: npt.NDArray[np.float32]
    clip_ids: tuple[str, ...]

    def __init__(self, loss_KC: npt.ArrayLike, clip_ids: Sequence[str]) -> None:
        with np.errstate(over="ignore"):
            object.__setattr__(self, "loss_KC", np.asarray(loss_KC).astype(np.float32, copy=False))
        object.__setattr__(self, "clip_ids", tuple(clip_ids))
        if self.loss_KC.ndim != 2 or len(self.loss_KC) != len(self.clip_ids) or not self.loss_KC.size:
            raise UsageError(
                f"calibration losses have shape {self.loss_KC.shape}, and there are {len(self.clip_ids)} clip ids: "
                "rows are clips, columns are captions, at least one of each"
            )
        if len(set(self.clip_ids)) != len(self.clip_ids):
            raise UsageError("calibration clip ids must be unique, and one occurs more than once")
        if not np.isfinite(self.loss_KC.sum(dtype=np.float64)):
            rows = np.flatnonzero(~np.isfinite(self.loss_KC).all(axis=1))
            first = ", ".join(repr(self.clip_ids[k]) for k in rows[:3])
            raise DivergedError(
                f"{len(rows)} calibration clips have losses that are NaN or infinite, the first {first}: "
                "nothing can be compared with them; the model that made them has diverged"
            )


@dataclass(frozen=True, eq=False)
class StoredScores:
    """All that a score file holds; see `save_scores`."""

    matrix: ScoreMatrix
    about: dict[str, Any]
    calibration: Calibration | None


@dataclass(frozen=True, eq=False)
class StoredRows:
    """What a score file holds whose scores may have stayed in it."""

    scores: ScoreMatrix | BlockedScores
    about: dict[str, Any]
    calibration: Calibration | None


def scores_name(precision: str = "fp32", *, reranked: bool = False) -> str:
    """How the score file of a precision is called: each has its own, so that none can replace hours of another.

    Args:
        precision: in which the scores were made.
        reranked: only a shortlist was scored.

    Example:
        >>> scores_name(), scores_name("bf16"), scores_name(reranked=True)
        ('scores.h5', 'scores.bf16.h5', 'scores.reranked.h5')
    """
    words = [SCORES_NAME.removesuffix(".h5"), *(["reranked"] if reranked else [])]
    return ".".join([*words, *([precision] if precision != "fp32" else []), "h5"])


def is_scores_name(name: str) -> bool:
    """Whether a file of this name is a score file, of whichever precision.

    Example:
        >>> is_scores_name("scores.fp16.h5"), is_scores_name("logmel.h5")
        (True, False)
    """
    precisions = ("fp32", *_OTHER_PRECISIONS)
    return name in {scores_name(each, reranked=reranked) for each in precisions for reranked in (False, True)}


def save_scores(
    path: str | os.PathLike[str],
    matrix: ScoreMatrix,
    about: dict[str, Any] | None = None,
    *,
    calibration: Calibration | None = None,
) -> None:
    """Write a score matrix with its ids and pool id, atomically; the same content gives the same bytes.

    Scores are kept as float32. A float64 matrix is rounded to it, which can make ties: evaluate what `load_scores`
    gives back, or make the scores in float32, so that a table and its file never disagree.

    Args:
        path: the file, usually `scores.h5` of a run.
        matrix: higher is better.
        about: what made the scores (run, dataset, split, scoring), as JSON values.
        calibration: losses of training clips with the matrix's captions, in its order of captions.

    Raises:
        DivergedError: a finite score is too large for float32.
        UsageError: an id holds a NUL character, or the calibration is of another number of captions.
        ResourceError: the disk is full or cannot be written; what was there stays.
    """
    with np.errstate(over="ignore"):
        scores_AC = matrix.scores_AC.astype(np.float32)
    overflows = int(np.count_nonzero(np.isinf(scores_AC) & np.isfinite(matrix.scores_AC)))
    if overflows:
        raise DivergedError(f"{overflows} scores are too large for float32, so {path} was not written: scale them down")

    if calibration is not None and calibration.loss_KC.shape[1] != len(matrix.caption_ids):
        raise UsageError(
            f"calibration losses of {calibration.loss_KC.shape[1]} captions beside scores of {len(matrix.caption_ids)}"
        )

    def fill(file: h5py.File) -> None:
        file.attrs["format"] = SCORES_FORMAT
        file.attrs["pool_id"] = matrix.pool_id
        file.create_dataset("scores", data=scores_AC, track_times=False)
        _write_texts(file, "clip_ids", matrix.clip_ids)
        _write_texts(file, "caption_ids", matrix.caption_ids)
        _write_texts(file, "clip_of_caption", matrix.clip_of_caption)
        _write_texts(file, "about", (json.dumps(about or {}, allow_nan=False, sort_keys=True),))
        if calibration is not None:
            file.create_dataset("calibration_losses", data=calibration.loss_KC, track_times=False)
            _write_texts(file, "calibration_clip_ids", calibration.clip_ids)

    write_hdf5(Path(path), fill)


def load_scores(path: str | os.PathLike[str]) -> ScoreMatrix:
    """Read a score matrix and check every byte of its file.

    Raises:
        MissingPrerequisiteError: there is no such file (exit code 3).
        IntegrityError: it is truncated, altered or no score file; names it and the command that makes it again
            (exit code 5).
    """
    return load_stored_scores(path).matrix


def load_scores_about(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read what made the scores, as it was given to `save_scores`.

    Raises:
        MissingPrerequisiteError: there is no such file (exit code 3).
        IntegrityError: as for `load_scores` (exit code 5).
    """
    return load_stored_scores(path).about


def load_calibration(path: str | os.PathLike[str]) -> Calibration | None:
    """Read the calibration losses of a score file; None where it has none, as files of the first versions.

    Raises:
        MissingPrerequisiteError: there is no such file (exit code 3).
        IntegrityError: as for `load_scores` (exit code 5).
    """
    return load_stored_scores(path).calibration


def load_stored_scores(path: str | os.PathLike[str]) -> StoredScores:
    """Read all that a score file holds, after every byte of it was checked once.

    Raises:
        MissingPrerequisiteError: there is no such file (exit code 3).
        IntegrityError: as for `load_scores` (exit code 5).
    """
    with _open_scores(Path(path)) as sealed:
        file = sealed.hdf5
        matrix = ScoreMatrix(file["scores"][()], *_ids_of(file))
        return StoredScores(matrix, read_about(file), _calibration_of(file))


def load_score_rows(path: str | os.PathLike[str], largest_in_memory_bytes: int) -> StoredRows:
    """Read a score file of any size: a large matrix stays in it and is read in blocks, as often as figures need it.

    Every byte is checked once, before the first block. The file stays open, so that a new one in its place changes
    nothing.

    Args:
        path: the file.
        largest_in_memory_bytes: a matrix of more bytes is read in blocks.

    Raises:
        MissingPrerequisiteError: there is no such file (exit code 3).
        IntegrityError: as for `load_scores` (exit code 5).
    """
    path = Path(path)
    with _open_scores(path) as sealed:
        file = sealed.hdf5
        if "scores" not in file:
            raise IntegrityError(
                f"{path} holds no scores, but is of the format {file.attrs.get('format', 'unknown')!r}: embeddings are "
                "scored with --embeddings CLIPS CAPTIONS"
            )
        dataset = file["scores"]
        scores: ScoreMatrix | BlockedScores
        if dataset.nbytes > largest_in_memory_bytes:
            scores = BlockedScores(_rows_in(sealed, path).read_rows, *_ids_of(file))
        else:
            scores = ScoreMatrix(dataset[()], *_ids_of(file))
        return StoredRows(scores, read_about(file), _calibration_of(file))


def _rows_in(sealed: SealedFile, path: Path) -> ArrayInFile:
    dataset = sealed.hdf5["scores"]
    again = os.fdopen(os.dup(sealed.raw.fileno()), "rb")  # outlives the check, and is the file that was checked
    return ArrayInFile(again, dataset.id.get_offset(), dataset.shape, dataset.dtype, str(path))


@contextmanager
def _open_scores(path: Path) -> Iterator[SealedFile]:
    """Open a score file after every byte of it was checked; what else is wrong in the block is damage, too."""
    if not path.is_file():
        raise MissingPrerequisiteError(f"no scores at {path}; run: atrkit eval")
    try:
        with open_hdf5(path) as sealed:
            yield sealed
    except DamagedFileError as error:
        raise IntegrityError(f"{path} is damaged, or not written by atrkit ({error}); {_REBUILD}") from error
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise IntegrityError(f"{path} is no score file of this version ({reason}); {_REBUILD}") from error


def _ids_of(file: h5py.File) -> tuple[list[str], list[str], list[str]]:
    return _read_texts(file, "clip_ids"), _read_texts(file, "caption_ids"), _read_texts(file, "clip_of_caption")


def _calibration_of(file: h5py.File) -> Calibration | None:
    if "calibration_losses" not in file:
        return None
    return Calibration(file["calibration_losses"][()], _read_texts(file, "calibration_clip_ids"))


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
