"""The files of an index, and how they are read.

An index is a folder `index/<name>/` of a workspace:

- `index.json`: what it is of (`source`), of which model (`model`, with its `identity`), `window_s`, `dim`, the
  `segments` (`number`, `rows`, `clips`, `offset` of the vectors in the file, `sha256` that the file is sealed with),
  which files list the sounds (`files` and `places`: `name`, `sha256`), `counts`, `faiss` (None, or what was built for
  approximate search), `captions` (tables of captions that were named), and `sha256`, of all of this. It is written
  last: what it does not name is not part of the index.
- `files-<hash>.jsonl`: one line for each file that can be found, in order of root and path; the fields are those of
  `IndexedFile`, `root` as a number. `places-<hash>.npy`: where the vectors of each lie, as an array. New lists have new
  names, so that index.json and its lists always agree.
- `problems.jsonl`: what was skipped, repaired or padded.
- `journal`: which files were read from end to end before.
- `segments/NNN.h5`: embedding stores (`store.embeddings`). A "clip" of theirs is the content of a file, named by its
  sha256, and its "frames" are the vectors of its windows, of norm 1. So files with the same bytes share rows, a renamed
  file keeps them, and rows that no file has any more are dead until the segment is compacted.

Files that changed make a new segment; a segment is never touched again.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from atrkit.errors import IntegrityError, MissingPrerequisiteError, ResourceError, UsageError
from atrkit.files import write_atomic, write_json_atomic
from atrkit.search.file_list import FileList, IndexedFile, file_id, files_from, lines_of, places_from, places_of
from atrkit.search.windows import window_times

__all__ = [
    "INDEX_NAME", "JOURNAL_NAME", "PROBLEMS_NAME", "SEGMENTS_FOLDER",
    "DamagedPartError", "FileList", "IndexedFile", "SearchIndex", "Segment",
    "check_segment", "damaged", "file_id", "find_index", "index_names", "load_index", "read_about", "read_files",
    "roots_of", "segment_path", "set_faiss", "write_index",
]  # fmt: skip

INDEX_FORMAT = "atrkit index 1"
INDEX_NAME = "index.json"
PROBLEMS_NAME = "problems.jsonl"
JOURNAL_NAME = "journal"
SEGMENTS_FOLDER = "segments"

Float32Array = npt.NDArray[np.float32]


class DamagedPartError(IntegrityError):
    """A file of an index, other than index.json, is not what was written; an update makes it again.

    Args:
        path: of the file.
        why: this is known.
    """

    def __init__(self, path: Path, why: str) -> None:
        self.what = f"{path} is damaged ({why})"
        folder = path.parent.parent if path.parent.name == SEGMENTS_FOLDER else path.parent
        super().__init__(f"{self.what}; only what it held is made again by: atrkit index --name {folder.name}")


@dataclass(frozen=True)
class Segment:
    """A file of vectors.

    Args:
        number: of the file.
        rows: vectors in it.
        clips: contents of files that they belong to.
        offset: of the first vector in the file, in bytes.
        sha256: that the file is sealed with.
    """

    number: int
    rows: int
    clips: int
    offset: int
    sha256: str

    def path(self, folder: Path) -> Path:
        """The file, in an index's folder."""
        return segment_path(folder, self.number)


@dataclass(frozen=True, eq=False)
class SearchIndex:
    """An index, opened for search. Windows are counted through all segments, W of them.

    Args:
        name: of the index.
        folder: its folder.
        about: what index.json says.
        files: all that can be found, in order of root and path; each is parsed when it is looked at.
        vectors: for each segment (W_s, D) float32, rows of norm 1, mapped from the disk.
        file_of_window_W: index into `files`, -1 where no file has the window any more.
        start_s_W: where each window begins in its file; 0 for dead ones.
        end_s_W: where it ends.
    """

    name: str
    folder: Path
    about: dict[str, Any]
    files: Sequence[IndexedFile]
    vectors: tuple[Float32Array, ...]
    file_of_window_W: npt.NDArray[np.int64]
    start_s_W: npt.NDArray[np.float64]
    end_s_W: npt.NDArray[np.float64]

    @cached_property
    def is_alive_W(self) -> npt.NDArray[np.bool_]:
        """Whether a file still has the window."""
        return self.file_of_window_W >= 0

    @cached_property
    def file_of_id(self) -> dict[str, IndexedFile]:
        """Files by id."""
        return {file.id: file for file in self.files}

    @cached_property
    def vectors_sha256(self) -> str:
        """Of all vectors, whatever file they belong to: what an approximate index is built from."""
        return hashlib.sha256("".join(segment["sha256"] for segment in self.about["segments"]).encode()).hexdigest()

    @property
    def dim(self) -> int:
        """D, width of a vector."""
        return int(self.about["dim"])

    def windows_of(self, file: IndexedFile) -> slice:
        """The windows of a file, among all of the index."""
        first = 0
        for segment in self.about["segments"]:
            if segment["number"] == file.segment:
                return slice(first + file.row, first + file.row + file.windows)
            first += segment["rows"]
        raise ValueError(f"{file.path} is of segment {file.segment}, which is not part of this index")

    def vectors_of(self, file: IndexedFile) -> npt.NDArray[np.float32]:
        """(W, D), of the windows of a file: a part of its segment, which is not read before it is used."""
        numbers = [segment["number"] for segment in self.about["segments"]]
        return self.vectors[numbers.index(file.segment)][file.row : file.row + file.windows]


def segment_path(folder: Path, number: int) -> Path:
    """File of a segment."""
    return folder / SEGMENTS_FOLDER / f"{number:03d}.h5"


def index_names(root: Path) -> list[str]:
    """Indices that are there, the one made or updated last first.

    Args:
        root: the folder `index/` of a workspace.
    """
    found = []
    for marker in root.glob(f"*/{INDEX_NAME}"):
        try:
            found.append((-marker.stat().st_mtime_ns, marker.parent.name))
        except FileNotFoundError:  # removed a moment ago
            continue
    return [name for _, name in sorted(found)]


def find_index(root: Path, named: str | None) -> Path:
    """The folder of the index of that name, or of the newest one.

    Raises:
        MissingPrerequisiteError: there is no index; says the command that makes one.
        UsageError: none has that name; lists those there are.
    """
    names = index_names(root)
    if not names:
        raise MissingPrerequisiteError(f"no index in {root}; make one: atrkit index FOLDER_OF_SOUNDS")
    if named is not None and named not in names:
        raise UsageError(f"there is no index {named!r}; there are: {', '.join(names)}")
    return root / (named or names[0])


def load_index(folder: Path, *, is_checked: bool = True) -> SearchIndex:
    """Open an index for search; nothing is written, and another process may update it meanwhile.

    Args:
        folder: of the index.
        is_checked: read every vector once to see that none was altered on the disk. Otherwise only their place and
            number is checked, which takes no time.

    Raises:
        MissingPrerequisiteError: there is no index.
        IntegrityError: a file of it is missing or damaged; names it and the command that makes the index again.
    """
    while True:
        about = read_about(folder)
        try:
            return _load(folder, about, is_checked=is_checked)
        except IntegrityError:
            if read_about(folder) == about:  # else it was updated meanwhile, and what it named before is gone
                raise


def _load(folder: Path, about: dict[str, Any], *, is_checked: bool) -> SearchIndex:
    files = read_files(folder, about)
    segments = [Segment(**record) for record in about["segments"]]
    vectors = tuple(_map_vectors(folder, segment, about["dim"], is_checked=is_checked) for segment in segments)
    windows = _windows(segments, places_from(_read_named(folder, about["places"])))
    return SearchIndex(folder.name, folder, about, files, vectors, *windows)


def read_about(folder: Path) -> dict[str, Any]:
    """What index.json says.

    Raises:
        MissingPrerequisiteError: there is no index.
        IntegrityError: it is not what was written.
    """
    path = folder / INDEX_NAME
    try:
        about: dict[str, Any] = json.loads(path.read_bytes())
        if about["sha256"] != _seal(about) or about["format"] != INDEX_FORMAT:
            raise _damaged_about(path, "it is not what atrkit wrote")
    except FileNotFoundError:
        raise MissingPrerequisiteError(
            f"no index {folder.name!r} in {folder.parent}; make it: atrkit index FOLDER_OF_SOUNDS --name {folder.name}"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _damaged_about(path, f"{type(error).__name__}: {error}") from error
    except OSError as error:
        raise ResourceError(f"cannot read {path}: {error.strerror or error}") from error
    return about


def read_files(folder: Path, about: Mapping[str, Any]) -> FileList:
    """The files that can be found.

    Raises:
        IntegrityError: the list is missing or damaged.
    """
    return files_from(_read_named(folder, about["files"]), roots_of(folder, about))


def _read_named(folder: Path, record: Mapping[str, str]) -> bytes:
    path = folder / record["name"]
    try:
        data = path.read_bytes()
    except OSError as error:
        raise damaged(path, f"it cannot be read: {error.strerror or error}") from error
    if hashlib.sha256(data).hexdigest() != record["sha256"]:
        raise damaged(path, "its sha256 is not the one it was written with")
    return data


def roots_of(folder: Path, about: Mapping[str, Any]) -> list[str]:
    """The folders that an index is of; a dataset's lies in the index's workspace, which may be moved."""
    source = about["source"]
    if "dataset" in source:
        return [str(folder.absolute().parents[1] / "data" / source["dataset"])]
    return list(source["folders"])


def write_index(folder: Path, about: Mapping[str, Any], files: Sequence[IndexedFile]) -> dict[str, Any]:
    """Make a list of files and segments the index; the old one is valid until index.json is replaced.

    Args:
        folder: of the index.
        about: `source`, `model`, `window_s`, `dim`, `segments` (of `Segment` as JSON), `counts` and `faiss`.
        files: in order of root and path; `copies` is set here.

    Returns:
        What index.json says now.

    Raises:
        ResourceError: the disk is full or cannot be written; the old index stays.
    """
    lines, places = lines_of(files, roots_of(folder, about)), places_of(files)
    records = {}
    for kind, stem, suffix, data in (("files", "files", "jsonl", lines), ("places", "places", "npy", places)):
        sha256 = hashlib.sha256(data).hexdigest()
        records[kind] = {"name": f"{stem}-{sha256[:12]}.{suffix}", "sha256": sha256}
        write_atomic(folder / records[kind]["name"], data)
    return _write_about(folder, {**about, **records})


def set_faiss(folder: Path, record: Mapping[str, Any] | None) -> None:
    """Note in index.json what was built for approximate search; the caller holds `single_writer(folder)`."""
    _write_about(folder, {**read_about(folder), "faiss": record})


def _write_about(folder: Path, about: Mapping[str, Any]) -> dict[str, Any]:
    content = {"format": INDEX_FORMAT, "name": folder.name, **about}
    content["sha256"] = _seal(content)
    write_json_atomic(folder / INDEX_NAME, content)
    return content


def _seal(about: Mapping[str, Any]) -> str:
    """Sha256 of what index.json says, but for the name: who renames the folder need not care."""
    sealed = {key: value for key, value in about.items() if key not in ("name", "sha256")}
    return hashlib.sha256(json.dumps(sealed, sort_keys=True).encode()).hexdigest()


def _map_vectors(folder: Path, segment: Segment, dim: int, *, is_checked: bool) -> Float32Array:
    path = segment.path(folder)
    if is_checked:
        check_segment(folder, segment)
    try:
        if path.stat().st_size < segment.offset + 4 * segment.rows * dim:
            raise damaged(path, "it is cut off")
        return np.memmap(path, np.float32, "r", segment.offset, (segment.rows, dim))
    except OSError as error:
        raise damaged(path, f"it cannot be read: {error.strerror or error}") from error


def check_segment(folder: Path, segment: Segment) -> None:
    """Read every byte of a segment.

    Raises:
        IntegrityError: it is missing, or not what was written.
    """
    from atrkit.store.hdf5_file import DamagedFileError, open_hdf5

    path = segment.path(folder)
    try:
        with open_hdf5(path) as sealed:
            if sealed.sha256 != segment.sha256:
                raise DamagedFileError("it is of another index")
    except (DamagedFileError, FileNotFoundError) as error:
        reason = "it is missing" if isinstance(error, FileNotFoundError) else str(error)
        raise damaged(path, reason) from error


def _windows(
    segments: Sequence[Segment], places_A: npt.NDArray[Any]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """For each window its file, and where in it it lies; of files with the same bytes the first."""
    ends = np.cumsum([segment.rows for segment in segments], dtype=np.int64)
    total = int(ends[-1]) if len(ends) else 0
    file_of_window_W = np.full(total, -1, np.int64)
    start_s_W, end_s_W = np.zeros(total), np.zeros(total)
    first_A = places_A["row"].copy()
    for segment, end in zip(segments, ends, strict=True):
        first_A[places_A["segment"] == segment.number] += int(end) - segment.rows
    windows_A = places_A["windows"]
    starts_s, ends_s = window_times(places_A["duration_s"], windows_A)
    within = np.arange(len(starts_s)) - np.repeat(np.cumsum(windows_A) - windows_A, windows_A)
    place = np.repeat(first_A, windows_A) + within
    # backwards, so that the first of several files with one content is written last
    file_of_window_W[place[::-1]] = np.repeat(np.arange(len(places_A)), windows_A)[::-1]
    start_s_W[place], end_s_W[place] = starts_s, ends_s
    return file_of_window_W, start_s_W, end_s_W


def damaged(path: Path, why: str) -> "DamagedPartError":
    """A file of an index is not what it should be, and index.json still says of what and by which model it was made."""
    return DamagedPartError(path, why)


def _damaged_about(path: Path, why: str) -> IntegrityError:
    again = f"atrkit index FOLDER_OF_SOUNDS --name {path.parent.name} --overwrite, with the model it was made with"
    return IntegrityError(f"{path} is damaged ({why}); make the index again: {again}")
