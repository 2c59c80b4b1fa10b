"""What a store is, without reading it into memory: for `atrkit info --store`."""

import mmap
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import h5py

from atrkit.errors import IntegrityError, MissingPrerequisiteError
from atrkit.store.embeddings import EMBEDDINGS_FORMAT, ROW_ARRAYS, StoreHeader, read_header
from atrkit.store.hdf5_file import DamagedFileError, SealedFile, open_hdf5
from atrkit.store.merge import check_parts, join_headers
from atrkit.store.part_plan import PartPlan
from atrkit.store.parts import PLAN_NAME, PartFolder
from atrkit.store.plan_folder import PlanFolder
from atrkit.store.score_parts import ScoreParts
from atrkit.store.scores import SCORE_ARRAYS, SCORES_FORMAT, is_scores_name, read_about

# in the header's JSON, where no name or text can hold such quotes: they would be escaped
_STATED_ENCODER = re.compile(rb'"encoder": "(\w+)"')


@dataclass(frozen=True)
class ArrayFacts:
    """One array of a store.

    Args:
        shape: rows first.
        dtype: as numpy names it.
        size_bytes: on the disk.
    """

    shape: tuple[int, ...]
    dtype: str
    size_bytes: int


@dataclass(frozen=True)
class PartsFacts:
    """How far an unfinished store is.

    Args:
        total: parts of the plan.
        clips: of the plan.
        part_clips: clips per part.
        finished: numbers of the parts that are there, each checked.
        missing: numbers of the others.
        unfinished_shards: those with a part missing, such as "2/4"; none where the plan was never cut into shards.
    """

    total: int
    clips: int
    part_clips: int
    finished: tuple[int, ...]
    missing: tuple[int, ...]
    unfinished_shards: tuple[str, ...]


@dataclass(frozen=True)
class StoreFacts:
    """What a store says of itself, after every byte of it was checked.

    Args:
        path: the file or folder.
        kind: a file of embeddings or of scores, or a folder of unfinished parts of embeddings or of scores.
        size_bytes: on the disk.
        sha256: of everything behind the first 512 bytes, as the file states it and as it was found; None for parts.
        provenance: everything that changes the numbers.
        notes: facts that do not.
        clips: how many have an embedding or scores.
        frames: of all clips; None for scores.
        labels: how many classes of its own the encoder gives probabilities of.
        arrays: by name; of parts, what they make together so far.
        problems_by_action: how many clips were skipped, padded and so on.
        largest_cosine_loss: the largest 1 - cosine of a frame and what is kept of it; None where it is not known.
        audio_sha256: by clip id; whether the audio is still that one only `extract` can check.
        parts: of an unfinished store.
    """

    path: Path
    kind: Literal["embeddings", "parts", "scores", "score parts"]
    size_bytes: int
    sha256: str | None
    provenance: dict[str, Any]
    notes: dict[str, Any]
    clips: int
    frames: int | None
    labels: int
    arrays: dict[str, ArrayFacts]
    problems_by_action: dict[str, int] = field(default_factory=dict)
    largest_cosine_loss: float | None = None
    audio_sha256: dict[str, str] = field(default_factory=dict)
    parts: PartsFacts | None = None


def inspect_store(path: Path) -> StoreFacts:
    """Check every byte of a store and say what it holds, with memory for its ids alone.

    Args:
        path: an embedding file, a score file, or a folder of unfinished parts (`<encoder>.parts`, `scores.parts`).

    Raises:
        MissingPrerequisiteError: there is no such store.
        IntegrityError: a file is damaged; names it and the command that makes it again.
    """
    if path.is_dir():
        is_of_scores = is_scores_name(path.with_suffix(".h5").name)
        return _facts_of_score_parts(path) if is_of_scores else _facts_of_parts(path)
    is_scores = is_scores_name(path.name)
    if not path.is_file():
        command = "atrkit eval" if is_scores else f"atrkit extract --encoder {path.stem}"
        raise MissingPrerequisiteError(f"no store at {path}; run: {command}")
    try:
        with open_hdf5(path) as sealed:
            stated = sealed.hdf5.attrs.get("format")
            if stated not in _READERS:
                raise DamagedFileError(f"its format is {stated!r}, which this version does not know")
            return _READERS[stated](path, sealed)
    except (DamagedFileError, KeyError) as error:
        command = "atrkit eval" if is_scores else f"atrkit extract --encoder {_encoder_of(path)} --overwrite"
        raise IntegrityError(f"{path} is damaged ({error}); make it again: {command}") from error


def _encoder_of(damaged: Path) -> str:
    """The encoder that its header and an attribute name, else the one that the file is called after.

    HDF5 must not see a damaged file, so the bytes are searched; a name that stands there once may be what is damaged.
    """
    try:
        with damaged.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            stated = _STATED_ENCODER.search(content)
            is_confirmed = stated is not None and len(re.findall(rb"\b%s\b" % stated[1], content)) > 1
            return stated[1].decode() if stated is not None and is_confirmed else damaged.stem
    except (OSError, ValueError):  # an empty file cannot be mapped
        return damaged.stem


def _facts_of_embeddings(path: Path, sealed: SealedFile) -> StoreFacts:
    header = read_header(sealed)
    arrays = {name: _array_facts(sealed.hdf5[name]) for name in (*ROW_ARRAYS, "offsets") if name in sealed.hdf5}
    return _of_header(path, "embeddings", header, arrays, path.stat().st_size, sealed.sha256)


def _facts_of_scores(path: Path, sealed: SealedFile) -> StoreFacts:
    arrays = {name: _array_facts(sealed.hdf5[name]) for name in SCORE_ARRAYS if name in sealed.hdf5}
    scores = arrays["scores"]
    return StoreFacts(
        path=path,
        kind="scores",
        size_bytes=path.stat().st_size,
        sha256=sealed.sha256,
        provenance=read_about(sealed.hdf5),
        notes={"pool_id": str(sealed.hdf5.attrs["pool_id"]), "captions": scores.shape[1]},
        clips=scores.shape[0],
        frames=None,
        labels=0,
        arrays=arrays,
    )


_READERS = {EMBEDDINGS_FORMAT: _facts_of_embeddings, SCORES_FORMAT: _facts_of_scores}


def _facts_of_parts(folder: Path) -> StoreFacts:
    if not (folder / PLAN_NAME).is_file():
        raise MissingPrerequisiteError(f"{folder} holds no unfinished embeddings: name an .h5 file or a .parts folder")
    parts = PartFolder(folder.with_suffix(".h5"))
    plan = parts.plan()
    finished = tuple(sorted(parts.finished(plan)))
    files = parts.expected(plan, finished)
    outlines = check_parts(files, plan.provenance)
    nothing = StoreHeader((), (), (), plan.provenance, (), {}, None)
    header = join_headers([outline.header for outline in outlines]) if outlines else nothing
    arrays = {}
    for name, (width, dtype) in outlines[0].layout.items() if outlines else ():
        rows = sum(outline.rows[name] for outline in outlines)
        arrays[name] = ArrayFacts((rows, width), str(dtype), rows * width * dtype.itemsize)
    facts = _parts_facts(parts, plan)
    size_bytes = sum(file.path.stat().st_size for file in files)
    return _of_header(folder, "parts", header, arrays, size_bytes, None, facts)


def _facts_of_score_parts(folder: Path) -> StoreFacts:
    parts = ScoreParts(folder.with_suffix(".h5"), "atrkit score")
    plan = parts.plan()
    facts = _parts_facts(parts, plan)
    rows = sum(len(parts.load(part, plan)) for part in facts.finished)
    captions = plan.provenance["captions"]
    return StoreFacts(
        path=folder,
        kind="score parts",
        size_bytes=sum(parts.part_path(part, facts.total).stat().st_size for part in facts.finished),
        sha256=None,
        provenance=plan.provenance,
        notes={},
        clips=rows,
        frames=None,
        labels=0,
        arrays={"losses": ArrayFacts((rows, captions), "float32", rows * captions * 4)},
        parts=facts,
    )


def _parts_facts(parts: PlanFolder, plan: PartPlan) -> PartsFacts:
    return PartsFacts(
        total=len(plan.parts),
        clips=len(plan.clip_ids),
        part_clips=plan.part_clips,
        finished=tuple(sorted(parts.finished(plan))),
        missing=parts.missing(plan),
        unfinished_shards=parts.unfinished_shards(plan),
    )


def _of_header(
    path: Path,
    kind: Literal["embeddings", "parts"],
    header: StoreHeader,
    arrays: dict[str, ArrayFacts],
    size_bytes: int,
    sha256: str | None,
    parts: PartsFacts | None = None,
) -> StoreFacts:
    return StoreFacts(
        path=path,
        kind=kind,
        size_bytes=size_bytes,
        sha256=sha256,
        provenance=header.provenance,
        notes=header.notes,
        clips=len(header.clip_ids),
        frames=arrays["frames"].shape[0] if "frames" in arrays else 0,
        labels=len(header.labels),
        arrays=arrays,
        problems_by_action=dict(Counter(problem["action"] for problem in header.problems)),
        largest_cosine_loss=header.largest_cosine_loss,
        audio_sha256=dict(zip(header.clip_ids, header.audio_sha256, strict=True)),
        parts=parts,
    )


def _array_facts(dataset: h5py.Dataset) -> ArrayFacts:
    return ArrayFacts(tuple(dataset.shape), str(dataset.dtype), int(dataset.nbytes))
