"""`atrkit index`: vectors of all windows of one's own sounds, kept up to date with what lies on the disk."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from atrkit.datasets.manifest import Dataset, Problem
from atrkit.datasets.prepared_journal import FileState, Journal, Prepared
from atrkit.errors import IntegrityError, MissingPrerequisiteError, UsageError
from atrkit.files import as_resource_error, single_writer, write_jsonl_atomic
from atrkit.reports.counting import counted
from atrkit.search.changes import Changes, FoundFile, compare
from atrkit.search.index_files import (
    JOURNAL_NAME,
    PROBLEMS_NAME,
    DamagedPartError,
    IndexedFile,
    Segment,
    load_index,
    read_files,
    roots_of,
    write_index,
)
from atrkit.search.segments import OpenSegment, Place, alive_rows, groups_to_compact, join_segments
from atrkit.search.windows import WINDOW_S
from atrkit.workflows.index_captions import CaptionTables
from atrkit.workflows.index_encode import Contents, encode_contents, plan_of, provenance_of, salvage_parts
from atrkit.workflows.index_moved import in_new_folders, refuse_strangers
from atrkit.workflows.index_scan import Scan, item_of, scan_dataset, scan_folders
from atrkit.workflows.index_target import (
    IndexOptions,
    choose_model,
    choose_source,
    find_target,
    read_existing,
    require_roots,
    sources_dataset,
)
from atrkit.workflows.index_vectors import KnownVectors, remove_what_is_no_part
from atrkit.workflows.query_model import QueryModel
from atrkit.workflows.search_approximate import update_approximate
from atrkit.workflows.session import Session

_WENT = "it went while it was indexed"


@dataclass(frozen=True)
class IndexOutcome:
    """What came of it.

    Args:
        folder: of the index.
        about: what index.json says.
        changes: what became of each file.
        encoded: how many contents were encoded by this call.
        problems: what is skipped, repaired or padded, of all files.
    """

    folder: Path
    about: dict[str, Any]
    changes: Changes
    encoded: int
    problems: tuple[Problem, ...]

    @property
    def problems_path(self) -> Path:
        """Where they are listed."""
        return self.folder / PROBLEMS_NAME


def index(session: Session, options: IndexOptions) -> IndexOutcome:
    """Make an index, or bring it up to date: new and changed files are encoded, deleted ones dropped.

    Args:
        session: where to speak.
        options: what the user asked for.

    Raises:
        UsageError: a folder is not there, holds no sound, or the model cannot embed texts and sounds apart.
        MissingPrerequisiteError: there is no model or no index, another process writes this one, or a folder that was
            indexed is not there any more.
        IntegrityError: the index is damaged, or of other folders or another model; or, with `strict`, a file is not as
            it should be.
        ResourceError: the disk is full or cannot be written; what is finished stays.
    """
    folder, asked = find_target(session, options)
    with single_writer(folder):
        try:
            outcome = _Update(session, options, folder, asked).run()
        except (UsageError, MissingPrerequisiteError, IntegrityError):
            _remove_what_is_no_index(folder)
            raise
        update_approximate(session, load_index(folder, is_checked=False))
        return outcome


def _remove_what_is_no_index(folder: Path) -> None:
    """A first call that came to nothing leaves nothing, unless sounds were read: those are not read again."""
    journal = folder / JOURNAL_NAME
    if not folder.is_dir() or any(path != journal for path in folder.iterdir()):
        return
    if any(isinstance(entry.outcome, Prepared) for entry in Journal.open(journal).entries.values()):
        return
    try:
        journal.unlink(missing_ok=True)
        folder.rmdir()
    except OSError as error:
        raise as_resource_error(error, folder) from error


@dataclass
class _Update:
    """One call, with what it finds out on its way."""

    session: Session
    options: IndexOptions
    folder: Path
    asked: dict[str, Any] | None
    dataset: Dataset | None = None
    source: dict[str, Any] = field(default_factory=dict)
    roots: list[str] = field(default_factory=list)
    captions: list[str] = field(default_factory=list)
    is_list_lost: bool = False

    def run(self) -> IndexOutcome:
        about = read_existing(self.folder, self.options)
        self.source = choose_source(self.session, self.folder, self.asked, about, self.options)
        remembered = [] if about is None else about.get("captions", [])
        self.captions = [str(path.absolute()) for path in self.options.captions] or remembered
        old_source = self.source if about is None else about["source"]
        self.roots = roots_of(self.folder, {"source": self.source})
        if "folders" in self.source:
            require_roots(self.folder.name, self.roots)
        else:
            self.dataset = sources_dataset(self.session, self.source)
        model = choose_model(self.session, about, self.options)
        if about is not None and not self.options.overwrite:
            self.session.say(f"model: {model.name}")
        is_afresh = about is None or self.options.overwrite
        before = () if about is None or is_afresh else self._read_before(about)
        scan = self._scan(model, before)
        if not is_afresh and not self.is_list_lost:
            contents = {file.sha256 for file in before}
            refuse_strangers(self.folder.name, old_source, self.source, contents, scan.files)
        self._refuse_problems(scan.problems)

        listed = [] if about is None else [Segment(**record) for record in about["segments"]]
        needed = {file.sha256 for file in scan.files} | {file.sha256 for file in scan.unreachable}
        vectors = KnownVectors.open(self.folder, listed, provenance_of(model), needed, is_afresh=is_afresh)
        if self.is_list_lost:
            refuse_strangers(self.folder.name, old_source, self.source, vectors.places, scan.files)
        for what in vectors.damaged:
            self.session.say(f"{what}: the sounds that it held are encoded again")
        scan, encoded = self._encode_what_is_missing(scan, vectors, model)
        files, problems = self._placed(scan, vectors)
        alive = {file.sha256: vectors.places[file.sha256] for file in files}
        segments = self._compact(vectors, {**self._spared(before, alive, vectors), **alive})
        counts = self._commit(about, model, segments, files, problems)
        skipped = scan.skipped | {file.id for file in scan.files if file.sha256 not in vectors.places}
        unreachable = frozenset(file.id for file in scan.unreachable if file.sha256 in vectors.places)
        changes = compare(before, _usable(scan, vectors), skipped, unreachable)
        return IndexOutcome(self.folder, counts, changes, encoded, problems)

    def _read_before(self, about: Mapping[str, Any]) -> Sequence[IndexedFile]:
        """What was indexed, as if it had been in the folders that the index is of now."""
        try:
            files = read_files(self.folder, about)
        except DamagedPartError as error:
            self.session.say(f"{error.what}: it is made anew of what lies there, and no vectors are removed this time")
            self.is_list_lost = True
            return ()
        old_roots = roots_of(self.folder, about)
        return files if old_roots == self.roots else in_new_folders(files, old_roots, self.roots)

    def _scan(self, model: QueryModel, before: Sequence[IndexedFile]) -> Scan:
        if self.dataset is not None:
            return scan_dataset(self.dataset, self.source["split"], model.sample_rate_hz)
        tables = CaptionTables([Path(path) for path in self.captions], is_remembered=not self.options.captions)
        return scan_folders(self.session, self.roots, before, self.folder / JOURNAL_NAME, tables)

    def _refuse_problems(self, problems: Sequence[Problem]) -> None:
        if self.options.strict and problems:
            first = problems[0]
            raise IntegrityError(
                f"{first.item}: {first.reason} (--strict refuses it; without, it is {first.action}; "
                f"{len(problems)} such in all)"
            )

    def _encode_what_is_missing(self, scan: Scan, vectors: KnownVectors, model: QueryModel) -> tuple[Scan, int]:
        """Encode; files that are written meanwhile are left for the next time."""
        encoded = 0
        while True:
            missing = [file for content, file in _contents_of(scan.files).items() if vectors.lacks(content)]
            contents = Contents(self.folder.name, missing, self.dataset)
            plan = plan_of(contents, model) if missing else None
            number = vectors.next_number
            if salvage_parts(self.folder, number, plan, provenance_of(model)):
                vectors.adopt(number)
                continue
            if not missing:
                return scan, encoded
            try:
                encode_contents(self.session, self.folder, number, contents, model, strict=self.options.strict)
            except IntegrityError:
                scan, changed = _without_changed(scan, self.roots)
                if not changed or self.dataset is not None:
                    raise
                continue
            vectors.adopt(number)
            encoded += len(missing)

    def _placed(self, scan: Scan, vectors: KnownVectors) -> tuple[list[IndexedFile], tuple[Problem, ...]]:
        """The files that can be found, with their vectors, and all problems."""
        files, problems = [], list(scan.problems)
        for found in scan.files:
            item = item_of(found.path, found.root, self.roots)
            place = vectors.places.get(found.sha256)
            if place is None and FileState.of(found.full_path) is None:
                problems.append(Problem(item, "skipped", _WENT))
                continue
            problems += [Problem(item, *problem) for problem in vectors.problems.get(found.sha256, ())]
            if place is not None:
                files.append(_indexed(found, place))
        for file in scan.unreachable:
            place = vectors.places.get(file.sha256)
            if place is not None:
                files.append(_indexed(file, place))
            else:
                item = item_of(file.path, file.root, self.roots)
                problems.append(Problem(item, "skipped", "it cannot be reached, and its vectors were damaged"))
        files.sort(key=lambda file: (self.roots.index(file.root) if file.root in self.roots else 0, file.path))
        self._refuse_problems(problems)
        if not files:
            raise IntegrityError(f"no file can be indexed; the first is {problems[0].item!r}: {problems[0].reason}")
        return files, tuple(sorted(problems, key=lambda problem: problem.item))

    def _spared(
        self, before: Sequence[IndexedFile], alive: Mapping[str, Place], vectors: KnownVectors
    ) -> dict[str, Place]:
        """Vectors without a file that stay once more: where most of an index vanished at once, it may come back.

        Source: our choice.
        """
        if self.is_list_lost:
            return vectors.places
        lost = [file for file in before if file.sha256 not in alive]
        if 2 * len(lost) <= len(before):
            return {}
        self.session.say(
            f"{len(lost):,} of {counted(len(before), 'file')} are gone: their vectors are kept until the next "
            "atrkit index, should they come back"
        )
        return {file.sha256: vectors.places[file.sha256] for file in lost if file.sha256 in vectors.places}

    def _compact(self, vectors: KnownVectors, alive: dict[str, Place]) -> list[OpenSegment]:
        groups = groups_to_compact(vectors.segments, alive)
        replaced = {segment.about.number for group in groups for segment in group}
        rows_of = alive_rows(alive)
        kept = [
            each for each in vectors.segments if rows_of.get(each.about.number) and each.about.number not in replaced
        ]
        number = vectors.next_number
        for group in groups:
            joined = join_segments(self.folder, number, group, alive)
            alive.update(joined.places)
            kept.append(joined)
            number += 1
        if groups:
            were = "was" if len(replaced) == 1 else "were"
            copied = f"{counted(len(replaced), 'segment')} {were} copied"
            self.session.say(f"{copied} into {counted(len(groups), 'new one')}, without what is gone")
        return kept

    def _commit(
        self,
        about: Mapping[str, Any] | None,
        model: QueryModel,
        segments: Sequence[OpenSegment],
        files: Sequence[IndexedFile],
        problems: Sequence[Problem],
    ) -> dict[str, Any]:
        place_of = {content: place for segment in segments for content, place in segment.places.items()}
        records = [vars(segment.about) for segment in segments]
        rows = sum(segment.about.rows for segment in segments)
        alive_windows = sum(place_of[content].windows for content in {file.sha256 for file in files})
        write_jsonl_atomic(self.folder / PROBLEMS_NAME, [vars(problem) for problem in problems])
        written = write_index(
            self.folder,
            {
                "source": self.source,
                "captions": self.captions,
                "model": {**model.source, "identity": model.identity},
                "window_s": WINDOW_S,
                "dim": segments[0].dim,
                "segments": records,
                "counts": {
                    "files": len(files),
                    "windows": alive_windows,
                    "dead_windows": rows - alive_windows,
                    "duration_s": round(sum(file.duration_s for file in files), 3),
                    "skipped": sum(problem.action == "skipped" for problem in problems),
                },
                # of the vectors that it names; whoever opens it sees whether they are still there
                "faiss": about["faiss"] if about is not None else None,
            },
            [_indexed(file, place_of[file.sha256]) for file in files],
        )
        remove_what_is_no_part(self.folder, written)
        return written


def _indexed(file: FoundFile | IndexedFile, place: Place) -> IndexedFile:
    return IndexedFile(
        file.id,
        file.path,
        file.root,
        file.size_bytes,
        file.mtime_ns,
        file.sha256,
        file.sample_rate_hz,
        file.duration_s,
        file.captions,
        place.segment,
        place.row,
        place.windows,
    )


def _contents_of(files: Sequence[FoundFile]) -> dict[str, FoundFile]:
    """The first file of each content, by its sha256."""
    contents: dict[str, FoundFile] = {}
    for file in files:
        contents.setdefault(file.sha256, file)
    return contents


def _usable(scan: Scan, vectors: KnownVectors) -> list[FoundFile]:
    return [file for file in scan.files if file.sha256 in vectors.places]


def _without_changed(scan: Scan, roots: Sequence[str]) -> tuple[Scan, bool]:
    """The files that were not written since they were read, and whether there are others."""
    states = {file.id: FileState.of(file.full_path) for file in scan.files}
    changed = {file.id for file in scan.files if states[file.id] != FileState(file.size_bytes, file.mtime_ns)}
    written = "it was written while it was indexed: run the same command again"
    problems = [
        Problem(item_of(file.path, file.root, roots), "skipped", _WENT if states[file.id] is None else written)
        for file in scan.files
        if file.id in changed
    ]
    left = tuple(file for file in scan.files if file.id not in changed)
    left_out = scan.skipped | changed
    return replace(scan, files=left, problems=(*scan.problems, *problems), skipped=left_out), bool(changed)
