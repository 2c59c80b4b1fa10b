"""`atrkit export`: scores in the formats that other tools read."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, assert_never, get_args

from atrkit.errors import UsageError
from atrkit.exchange.queries import Direction, Grades, grades_by_clip, in_the_gallery, own_grades, query_scores
from atrkit.exchange.truth import read_truth_csv
from atrkit.exchange.write_ranks import write_ranks
from atrkit.exchange.write_submission import refuse_what_cannot_be_submitted, write_submission
from atrkit.exchange.write_trec import write_trec_qrels, write_trec_run
from atrkit.recipe.schema import ColumnScaling
from atrkit.workflows.export_source import ExportSource, scores_of_file, scores_of_run
from atrkit.workflows.judgements import judgements_for
from atrkit.workflows.mistaken_names import refuse_score_files
from atrkit.workflows.retrieval_figures import parse_names
from atrkit.workflows.session import Session

Format = Literal["trec", "qrels", "ranks", "submission"]
FORMATS: tuple[Format, ...] = get_args(Format)
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)
_TIES_OF_TREC = "trec_eval breaks ties by the candidates' ids, atrkit takes the expectation over random order"


@dataclass(frozen=True)
class ExportOptions:
    """What the user asked for.

    Args:
        formats: each once, at least one.
        run: folder or name; None: the newest finished run.
        scores: a file of scores instead of a run.
        truth: whose caption is whose, where the file does not say.
        dataset: None: the run's own.
        split: None: the run's test split.
        scaling: of caption columns; None: the recipe's, and none for a file.
        directions: each once, at least one.
        depth: candidates of each query in a TREC run; None: all.
        qrels: judgements beside the manifest by name, or a file of them; None: each caption's own clip.
        out: folder; None: `export` in the run's folder, or `NAME.export` beside the file.
        may_extract: make missing embeddings.
    """

    formats: tuple[Format, ...]
    run: str | None = None
    scores: Path | None = None
    truth: Path | None = None
    dataset: str | None = None
    split: str | None = None
    scaling: ColumnScaling | None = None
    directions: tuple[Direction, ...] = DIRECTIONS
    depth: int | None = None
    qrels: str | None = None
    out: Path | None = None
    may_extract: bool = True

    def __post_init__(self) -> None:
        """Refuse what cannot go together, and options that no format asked for would read."""
        if self.run is not None and self.scores is not None:
            raise UsageError("RUN and --scores are two sources: say one of them")
        if self.truth is not None and self.scores is None:
            raise UsageError("--truth is of --scores: leave it out, or name the file")
        if self.depth is not None and "trec" not in self.formats:
            raise UsageError("--depth is of --format trec: leave it out, or add the format")
        if self.qrels is not None and not {"qrels", "ranks"} & set(self.formats):
            raise UsageError("--qrels is of --format qrels and ranks: leave it out, or add the format")
        if "text-to-audio" not in self.directions:
            if "submission" in self.formats:
                raise UsageError("--format submission is of text-to-audio: leave --direction out")
            if self.qrels is not None:
                raise UsageError("--qrels judge clips for captions, text-to-audio: leave one of the options out")


@dataclass(frozen=True)
class Written:
    """One file.

    Args:
        format: and direction: what is in it.
        path: where it is.
        rows: lines, without the column names.
    """

    format: Format
    direction: Direction
    path: Path
    rows: int


def export(session: Session, options: ExportOptions) -> dict[str, Any]:
    """Write scores in each format that is asked for; what was there under the same names is replaced.

    Returns:
        For JSON: what the scores are of, "pool_id", "files" (format, direction, path, rows) and "notes".

    Raises:
        MissingPrerequisiteError, UsageError, IntegrityError, DivergedError: as `evaluate_run`; also for what a
            format cannot hold.
        ResourceError: the folder cannot be written.
    """
    if options.scores is not None:
        source = scores_of_file(session, options.scores, options.dataset, options.split, options.scaling, options.truth)
    else:
        refuse_score_files(session.workspace, () if options.run is None else (options.run,))
        source = scores_of_run(
            session,
            options.run,
            options.dataset,
            options.split,
            options.scaling,
            may_extract=options.may_extract,
        )
    exporter = _Exporter(session, source, options)
    files = [written for each in options.formats for written in exporter.write(each)]
    return {
        **source.about,
        "pool_id": source.raw.pool_id,
        "files": [
            {"format": each.format, "direction": each.direction, "path": str(each.path), "rows": each.rows}
            for each in files
        ],
        "notes": exporter.notes,
    }


class _Exporter:
    """Writes the files of one command, and gathers what there is to say of them."""

    def __init__(self, session: Session, source: ExportSource, options: ExportOptions) -> None:
        self.source = source
        self.options = options
        self.notes: list[str] = []
        self.folder = options.out or source.folder
        truth = None if options.qrels is None or options.truth is None else read_truth_csv(options.truth)
        judgements = judgements_for(session, options.qrels, source.dataset, source.split, truth)
        self.judgements = judgements and judgements.fitting(source.raw.caption_ids, source.raw.clip_ids)
        self.grades = self._judged()
        if "submission" in options.formats:  # before anything is written
            refuse_what_cannot_be_submitted(source.raw.clip_ids, source.raw.caption_ids, source.texts, self._names())

    def write(self, wanted: Format) -> list[Written]:
        match wanted:
            case "trec":
                return self._each_direction(wanted, "run.txt", self._trec)
            case "qrels":
                return self._each_direction(wanted, "qrels.txt", self._qrels)
            case "ranks":
                return self._each_direction(wanted, "ranks.csv", self._ranks)
            case "submission":
                path = self.folder / "submission.csv"
                return [Written(wanted, "text-to-audio", path, self._submission(path))]
            case _:
                assert_never(wanted)

    def _each_direction(self, wanted: Format, ending: str, write: Callable[[Path, Direction], int]) -> list[Written]:
        judged_only = self.options.qrels is not None and wanted != "trec"
        directions = [each for each in self.options.directions if not judged_only or each == "text-to-audio"]
        if len(directions) < len(self.options.directions):
            self.notes.append(f"{wanted}: judgements are of clips for captions; audio-to-text was not written")
        paths = {each: self.folder / f"{each.replace('-', '_')}.{ending}" for each in directions}
        return [Written(wanted, each, path, write(path, each)) for each, path in paths.items()]

    def _trec(self, path: Path, direction: Direction) -> int:
        source = self.source
        scores = source.raw if direction == "text-to-audio" else source.to_text
        rows, tied, cut = write_trec_run(path, query_scores(scores, direction), source.tag, self.options.depth)
        if tied:
            self.notes.append(f"{path.name}: {tied:,} queries have equal scores; {_TIES_OF_TREC}")
        if cut:
            self.notes.append(f"{path.name}: of {cut:,} queries --depth {self.options.depth} cuts between equal scores")
        return rows

    def _qrels(self, path: Path, direction: Direction) -> int:
        return write_trec_qrels(path, self.grades if direction == "text-to-audio" else grades_by_clip(self.grades))

    def _ranks(self, path: Path, direction: Direction) -> int:
        source, is_to_audio = self.source, direction == "text-to-audio"
        queries = query_scores(source.raw if is_to_audio else source.to_text, direction)
        least_grade = 1 if self.judgements is None else self.judgements.least_grade
        relevant = {
            query: {candidate: grade for candidate, grade in graded.items() if grade >= least_grade}
            for query, graded in (self.grades if is_to_audio else grades_by_clip(self.grades)).items()
        }
        own = dict(zip(source.raw.caption_ids, source.raw.clip_of_caption, strict=True)) if is_to_audio else {}
        table = write_ranks(path, queries, relevant, source.texts, own)
        if table.left_out:
            self.notes.append(f"{path.name}: {table.left_out:,} queries have nothing relevant here: left out")
        if table.guarded:
            self.notes.append(
                f"{path.name}: {table.guarded:,} cells begin as formulas do: they have an apostrophe in front"
            )
        return table.rows

    def _submission(self, path: Path) -> int:
        done = write_submission(path, query_scores(self.source.raw, "text-to-audio"), self.source.texts, self._names())
        if done.tied:
            self.notes.append(f"{path.name}: of {done.tied:,} captions equal scores stand in the order of file names")
        if done.same_text:
            self.notes.append(
                f"{path.name}: {done.same_text:,} captions share their text with another: who evaluates by the text "
                "cannot tell them apart"
            )
        return done.rows

    def _names(self) -> Mapping[str, str]:
        """File names of clips; their ids where nobody knows others."""
        return self.source.file_names or {clip_id: clip_id for clip_id in self.source.raw.clip_ids}

    def _judged(self) -> Grades:
        """Judgements as far as these scores have their captions and clips."""
        raw, judgements = self.source.raw, self.judgements
        if judgements is None:
            return own_grades(raw)
        known = in_the_gallery(judgements.grades, raw.caption_ids, raw.clip_ids)
        stated, kept = (sum(map(len, grades.values())) for grades in (judgements.grades, known))
        if not kept:
            raise UsageError(f"--qrels {self.options.qrels}: none of its {stated:,} judgements is of these scores")
        if kept < stated:
            self.notes.append(f"{stated - kept:,} of {stated:,} judgements are of other captions or clips: left out")
        if judgements.is_graded:
            least = judgements.least_grade
            self.notes.append(f"relevant from grade {least} of {judgements.highest_grade}; trec_eval -l {least} agrees")
        return known


def parse_formats(wanted: Sequence[str]) -> tuple[Format, ...]:
    """Formats by name, each once; `a,b` counts as two.

    Raises:
        UsageError: lists those there are.

    Example:
        >>> parse_formats(["trec,qrels", "trec"])
        ('trec', 'qrels')
    """
    return tuple(parse_names(wanted, FORMATS, "--format"))
