"""Tells from a path which of the annotations it is."""

from pathlib import Path

from atrkit.datasets.relevance.dcase2025 import read_dcase2025
from atrkit.datasets.relevance.graded2023 import RATINGS_FOLDER, read_graded2023
from atrkit.datasets.relevance.judgements import CaptionedSplits, Relevance
from atrkit.errors import UsageError

_DCASE_FILES = ("metadata_eval.csv", "resources/metadata_eval.csv")


def detect_and_read(path: Path, dataset: CaptionedSplits, option: str = "--relevance") -> Relevance:
    """Read whichever annotation lies there, and express it in the dataset's ids.

    Args:
        path: the CSV file of DCASE 2025, the folder of the graded relevances of 2023, or a checkout of either's
            repository.
        dataset: Clotho, or the captions of a part of it.
        option: that named the path, for the error.

    Raises:
        UsageError: it is neither, or not as published (exit code 2).
    """
    if path.is_file() and path.parent.name == RATINGS_FOLDER:
        raise UsageError(
            f"{option} {path} is one of several tables of the graded relevances of 2023: name the folder that they lie "
            f"in, {path.parent.parent}"
        )
    if path.is_file():
        return read_dcase2025(path, dataset)
    for folder in (path, path / "data"):
        if (folder / RATINGS_FOLDER).is_dir():
            return read_graded2023(folder, dataset)
    for name in _DCASE_FILES:
        if (path / name).is_file():
            return read_dcase2025(path / name, dataset)
    raise UsageError(
        f"{option} {path}: neither the file of DCASE 2025 (metadata_eval.csv) nor the folder of the graded "
        f"relevances of 2023 (with {RATINGS_FOLDER})"
    )
