"""Score matrices in NumPy's files: .npz with ids inside, .npy with ids in two files beside it."""

from pathlib import Path

import numpy as np

from atrkit.datasets.csv_records import read_records, shown
from atrkit.errors import IntegrityError, MissingPrerequisiteError, UsageError
from atrkit.exchange.foreign import FoundMatrix, ReadRows
from atrkit.exchange.numpy_files import HOW_TO_SAVE_SCORES, Array, NpzFile, as_floats, read_npy
from atrkit.exchange.truth import CAPTION_TEXT_COLUMNS, CLIP_COLUMNS
from atrkit.score_matrix import FloatArray
from atrkit.store.array_rows import ArrayInFile

SCORE_NAMES = ("scores", "scores_AC")
CLIPS_SUFFIX = ".clips.txt"
CAPTIONS_SUFFIX = ".captions.csv"
_CLIPS_CONTENT = "the ids of its rows, one clip a line"
_CAPTIONS_CONTENT = "a table with the columns caption_id, clip_id and, if known, caption, one row per caption"


def read_npz_scores(path: Path) -> FoundMatrix:
    """Read `scores` (clips x captions), `clip_ids`, `caption_ids`, and `clip_of_caption`, `caption_texts` if there.

    Raises:
        IntegrityError: an array is missing, damaged, of objects, or of another shape than the ids (exit code 5).
    """
    file = NpzFile(path)
    name = file.first_of(*SCORE_NAMES)
    missing = [wanted for wanted in ("clip_ids", "caption_ids") if wanted not in file.names]
    if name is None or missing:
        absent = [*([] if name else [SCORE_NAMES[0]]), *missing]
        raise IntegrityError(
            f"{path} has no array {', '.join(absent)}; it has {', '.join(file.names)}: scores are saved with "
            f"{HOW_TO_SAVE_SCORES}"
        )
    clips, captions = file.texts("clip_ids"), file.texts("caption_ids")
    own = file.texts("clip_of_caption") if "clip_of_caption" in file.names else None
    texts = file.texts("caption_texts") if "caption_texts" in file.names else None
    for other, values in (("clip_of_caption", own), ("caption_texts", texts)):
        if values is not None and len(values) != len(captions):
            raise IntegrityError(f"{path}: {len(captions):,} caption_ids, but {len(values):,} in {other}: one for each")
    scores = oriented(path, name, as_floats(path, name, file.rows(name)), clips, captions)
    return FoundMatrix(scores, clips, captions, "npz matrix", own_clips=own, texts=texts)


def read_npy_scores(path: Path) -> FoundMatrix:
    """Read a matrix, with `<stem>.clips.txt` and `<stem>.captions.csv` beside it.

    Raises:
        MissingPrerequisiteError: the ids are not there; says what they look like (exit code 3).
        IntegrityError: the matrix is damaged, of objects, or of another shape than the ids (exit code 5).
    """
    names = (path.stem + CLIPS_SUFFIX, path.stem + CAPTIONS_SUFFIX)
    absent = [name for name in names if not path.with_name(name).is_file()]
    if len(absent) == len(names):
        raise MissingPrerequisiteError(
            f"{path} has no ids: write {path.with_name(names[0])}, {_CLIPS_CONTENT}, and {names[1]} beside it, "
            f"{_CAPTIONS_CONTENT}; or save an .npz: {HOW_TO_SAVE_SCORES}"
        )
    clips = read_clip_ids(path)
    captions, own, texts = read_caption_ids(path)
    scores = oriented(path, path.name, as_floats(path, path.name, read_npy(path)), clips, captions)
    return FoundMatrix(scores, clips, captions, "npy matrix", own_clips=own, texts=texts)


def oriented(
    path: Path, name: str, array: Array | ArrayInFile, clips: tuple[str, ...], captions: tuple[str, ...]
) -> FloatArray | ReadRows:
    """The matrix, or what reads its rows, when rows are clips and columns captions.

    Raises:
        IntegrityError: they are not (exit code 5).
    """
    expected, found = (len(clips), len(captions)), tuple(array.shape)
    if found == expected[::-1] != expected:
        raise IntegrityError(
            f"{path}: {name} is transposed: {found[0]:,} rows are captions and {found[1]:,} columns are clips; save "
            "its transpose (scores.T), rows are clips"
        )
    if found != expected:
        raise IntegrityError(
            f"{path}: {name} has shape {found}, and there are {expected[0]:,} clip ids and {expected[1]:,} caption "
            "ids: rows are clips, columns are captions"
        )
    if not isinstance(array, ArrayInFile):
        return array if array.dtype.kind == "f" else array.astype(np.float64)
    if array.dtype.kind == "f":
        return array.read_rows
    return lambda start, stop: array.read_rows(start, stop).astype(np.float64)


def read_clip_ids(path: Path) -> tuple[str, ...]:
    """Ids of rows, one a line, from `<stem>.clips.txt` beside a matrix.

    Raises:
        MissingPrerequisiteError: the file is not there (exit code 3).
        IntegrityError: it is not UTF-8, or a line is blank or occurs twice (exit code 5).
    """
    beside = path.with_name(path.stem + CLIPS_SUFFIX)
    _require(beside, path, _CLIPS_CONTENT)
    try:
        lines = beside.read_bytes().decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise IntegrityError(f"{beside} is not UTF-8 text: save it as UTF-8, one clip id a line") from None
    line_of: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            raise IntegrityError(f"{beside}:{number}: a blank line: every line is the id of a row")
        if line in line_of:
            raise IntegrityError(f"{beside}:{number}: {shown(line)} is on line {line_of[line]} too: ids must be unique")
        line_of[line] = number
    return tuple(lines)


def read_caption_ids(path: Path) -> tuple[tuple[str, ...], tuple[str, ...] | None, tuple[str, ...] | None]:
    """Ids of columns, their clips and their texts, from `<stem>.captions.csv` beside a matrix.

    Raises:
        MissingPrerequisiteError: the file is not there (exit code 3).
        UsageError: it is no table, or has no column caption_id (exit code 2).
    """
    beside = path.with_name(path.stem + CAPTIONS_SUFFIX)
    _require(beside, path, _CAPTIONS_CONTENT)
    records = read_records(beside)
    header = records.header.fields
    if "caption_id" not in header:
        raise UsageError(
            f"{beside}:1: there is no column 'caption_id'; the columns are {', '.join(map(shown, header))}: rename one"
        )

    def column(*names: str) -> tuple[str, ...] | None:
        name = next((each for each in names if each in header), None)
        return None if name is None else tuple(row.fields[header.index(name)] for row in records.rows)

    ids = column("caption_id") or ()
    line_of: dict[str, int] = {}
    for row, caption_id in zip(records.rows, ids, strict=True):
        if caption_id in line_of:
            raise IntegrityError(
                f"{beside}:{row.line}: column 'caption_id': {shown(caption_id)} is on line {line_of[caption_id]} too: "
                "ids must be unique"
            )
        line_of[caption_id] = row.line
    return ids, column(*CLIP_COLUMNS), column(*CAPTION_TEXT_COLUMNS)


def _require(beside: Path, path: Path, what: str) -> None:
    if not beside.is_file():
        raise MissingPrerequisiteError(f"{path} has no ids: {beside} is not there; write {what}, or save an .npz")
