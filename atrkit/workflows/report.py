"""`atrkit report`: runs that were evaluated, as one page that needs no other file."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atrkit import __version__
from atrkit.errors import IntegrityError, UsageError
from atrkit.files import write_atomic
from atrkit.reports.comparison_rows import notes as comparison_notes
from atrkit.reports.counting import counted
from atrkit.reports.page.content import Comparison, ReportPage, RunGroup, Sound
from atrkit.reports.page.render import is_report, render_page
from atrkit.reports.page.tables import differences_table_of, seeds_table_of, summary_table_of
from atrkit.workflows.compare import CompareOptions, comparison_of
from atrkit.workflows.compared_system import Member, System
from atrkit.workflows.evaluate import Evaluated, EvaluateOptions
from atrkit.workflows.evaluate_recall import evaluate_recall
from atrkit.workflows.mistaken_names import refuse_score_files
from atrkit.workflows.report_audio import sounds_of
from atrkit.workflows.report_examples import clips_in
from atrkit.workflows.report_figures import comparison_charts
from atrkit.workflows.report_foreign import reported_scores
from atrkit.workflows.report_sections import Reported, anchor_of, reported_run, section_of
from atrkit.workflows.retrieval_figures import FigureOptions
from atrkit.workflows.session import Session
from atrkit.workflows.several_runs import find_runs, groups_of_seeds, not_averaged, seed_of, summarise_seeds
from atrkit.workflows.trained_run import TrainedRun, choose_split, open_run

REPORT_NAME = "report.html"
REPORTS_FOLDER = "reports"
_LARGE_BYTES = 25_000_000


@dataclass(frozen=True)
class ReportOptions:
    """What the user asked for.

    Args:
        runs: folders, names or patterns; none: the newest finished run.
        out: the page; None: in the run's folder, or in the workspace's `reports/` where there are several.
        dataset: to evaluate on; None: each run's own.
        split: None: each run's test split.
        examples: queries of each kind and direction, 0: none.
        with_audio: put clips into the page.
        scores: made elsewhere, in place of runs; with players where `dataset` has their audio.
        truth: whose caption is whose in them, where neither they nor `dataset` say.
        may_extract: make missing embeddings.
    """

    runs: Sequence[str] = ()
    out: Path | None = None
    dataset: str | None = None
    split: str | None = None
    examples: int = 3
    with_audio: bool = True
    scores: Path | None = None
    truth: Path | None = None
    may_extract: bool = True


def write_report(session: Session, options: ReportOptions) -> dict[str, Any]:
    """Evaluate the runs as `eval` does, with intervals, and write the page.

    The same runs and data give the same bytes: the page has the date of the runs, not its own.

    Returns:
        "path", "size_bytes", "audio_bytes", "clips" (that can be played), "without_player", "runs", "left_out".

    Raises:
        UsageError: no run is meant, options contradict each other, or a file that is no report is in the way (exit
            code 2).
        MissingPrerequisiteError: no finished run, or no dataset or embedding.
        IntegrityError: all runs are damaged.
        ResourceError: the page cannot be written.
    """
    if options.scores is not None:
        _refuse_runs(options)
        path = options.out or options.scores.with_name(f"{options.scores.name}.{REPORT_NAME}")
        refuse_other_file(path)
        reported, left_out = [reported_scores(session, options.scores, options)], dict[str, str]()
    else:
        refuse_score_files(session.workspace, options.runs)
        found = _find(session, options.runs) if options.runs else [open_run(session, None)]
        path = options.out or _usual_place(session, found, options)
        refuse_other_file(path)
        reported, left_out = _evaluate(session, found, options)
    page = _page(session, reported, options)
    data = render_page(page).encode("utf-8", errors="replace")
    write_atomic(path, data)
    audio = [sound.data for sound in page.sounds.values() if sound.data is not None]
    audio_bytes = sum(map(len, audio))
    session.say(
        f"page: {len(data) / 1e6:,.1f} MB, {counted(len(audio), 'clip')} of audio in it "
        f"({audio_bytes / 1e6:,.1f} MB before base64)"
    )
    if len(data) > _LARGE_BYTES:
        session.say("a page this large opens slowly: fewer --examples make it smaller, --no-audio smallest")
    return {
        "path": str(path),
        "size_bytes": len(data),
        "audio_bytes": audio_bytes,
        "clips": len(audio),
        "without_player": len(page.sounds) - len(audio),
        "runs": [run.name for run in reported],
        "left_out": left_out,
    }


def _refuse_runs(options: ReportOptions) -> None:
    if options.runs:
        raise UsageError("--scores is a page of its own, and runs have theirs: leave one out; atrkit compare has both")


def _find(session: Session, named: Sequence[str]) -> list[TrainedRun]:
    """Runs in the order in which they are named, as the others are compared with the first."""
    found = [run for name in named for run in find_runs(session, [name], said_as="report ")]
    return list({run.folder.resolve(): run for run in found}.values())


def refuse_other_file(path: Path) -> None:
    """Replace reports only, and make one folder at most: a path with more that is not there is mistyped.

    Raises:
        UsageError: something else is there, or the folder that its folder would be made in is not.
    """
    if not path.parent.is_dir() and not _may_hold_a_new_folder(path.parent.parent):
        raise UsageError(f"--out {path}: there is no folder {path.parent}; make it, or name another file")
    if path.is_dir():
        raise UsageError(f"--out {path} is a folder: name a file, as {path / REPORT_NAME}")
    if path.exists():
        with path.open("rb") as file:
            if not is_report(file.read(4096)):
                raise UsageError(f"{path} is there, and no page of atrkit report: move it, or name another with --out")


def _may_hold_a_new_folder(folder: Path) -> bool:
    """A folder that is there; at the root of the file system nobody wants one unasked."""
    return folder.is_dir() and folder.resolve() != Path(folder.resolve().anchor)


def _usual_place(session: Session, runs: Sequence[TrainedRun], options: ReportOptions) -> Path:
    if len(runs) > 1:
        names = [name.strip("/*. ").replace("/", "-").replace("*", "all") for name in options.runs]
        return session.workspace.root / REPORTS_FOLDER / f"{'+'.join(filter(None, names))[:100] or 'runs'}.html"
    return runs[0].folder / REPORT_NAME


def _evaluate(
    session: Session, runs: Sequence[TrainedRun], options: ReportOptions
) -> tuple[list[Reported], dict[str, str]]:
    """Each run in its turn; one that is damaged is left out where there are others."""
    reported: list[Reported] = []
    left_out: dict[str, str] = {}
    for number, run in enumerate(runs, start=1):
        if len(runs) > 1:
            session.say(f"run: {run.name} ({number} of {len(runs)})")
        try:
            reported.append(_evaluate_one(session, run, options))
        except IntegrityError as error:
            if len(left_out) + 1 == len(runs):
                raise
            session.say(f"{run.name} is left out: {error}")
            left_out[run.name] = str(error)
    return reported, left_out


def _evaluate_one(session: Session, run: TrainedRun, options: ReportOptions) -> Reported:
    dataset = session.workspace.load_dataset(options.dataset or run.finished["dataset"])
    split = choose_split(session, run, dataset, options.split)
    evaluated = Evaluated(run, dataset, split, run.output_folder(dataset, split))
    how = EvaluateOptions(figures=FigureOptions(ci=True), may_extract=options.may_extract)
    return reported_run(evaluated, evaluate_recall(session, evaluated, how))


def _page(session: Session, runs: Sequence[Reported], options: ReportOptions) -> ReportPage:
    positions = groups_of_seeds(_trainings(runs)) if runs[0].trained else [[0]]
    groups = [_group([runs[position] for position in group], options) for group in positions]
    several = len(runs) > 1
    title = f"{counted(len(runs), 'run')} compared" if len(groups) > 1 else groups[0].name
    places = dict.fromkeys(f"{run.result['dataset']}/{run.result['split']}" for run in runs if run.result["dataset"])
    return ReportPage(
        title=title,
        lead=f"Retrieval{' on ' if places else ''}{', '.join(places)}, both directions.",
        groups=tuple(groups),
        version=__version__,
        comparison=_comparison(session, runs, groups) if several else None,
        sounds=_sounds(session, runs, groups) if options.with_audio else {},
    )


def _group(runs: Sequence[Reported], options: ReportOptions) -> RunGroup:
    """Runs of one training; examples are those of its first seed, as a page with those of all would be too large."""
    first, *others = runs
    note = ""
    if others:
        note = f"Of this seed alone; those of another: atrkit report {others[0].name}"
    sections = [section_of(first, options.examples, note if options.examples else "")]
    sections += [section_of(run, 0) for run in others]
    if not others:
        return RunGroup(anchor_of(first.name), first.name, None, tuple(sections))
    name = name_of(runs)
    mean = seeds_table_of([run.result for run in runs], summary_of(runs), [run.anchor for run in runs])
    return RunGroup(f"{anchor_of(name)}-seeds", name, mean, tuple(sections))


def _comparison(session: Session, runs: Sequence[Reported], groups: Sequence[RunGroup]) -> Comparison:
    """One summary for each pool, as figures of different pools do not compare."""
    run_of = {run.anchor: run for run in runs}
    pools = list(dict.fromkeys(run.result["pool_id"] for run in runs))
    summaries = []
    for pool in pools:
        entries = []
        for group in groups:
            of_group = [run_of[section.anchor] for section in group.runs]
            if of_group[0].result["pool_id"] == pool:
                summary = summary_of(of_group) if len(of_group) > 1 else None
                entries.append((group.name, group.anchor, of_group[0].result, summary))
        summaries.append(summary_table_of(entries))
    notes = list(not_averaged(_trainings(runs)))
    if len(pools) > 1:
        notes.append(
            "The runs were evaluated on different pools, whose figures do not compare; atrkit compare --intersect "
            "compares them on what they share."
        )
    differences = []
    for pool in pools:
        of_pool = [_system([run_of[each.anchor] for each in group.runs]) for group in groups]
        of_pool = [system for system in of_pool if system.members[0].scores.pool_id == pool]
        if len(of_pool) > 1:
            record = comparison_of(of_pool, CompareOptions(()))
            differences += [differences_table_of(each, record) for each in record["comparisons"]]
            notes += comparison_notes(record)
    charts = comparison_charts([run.charts_from for run in runs]) if len(pools) == 1 else []
    return Comparison(tuple(summaries), tuple(differences), tuple(charts), tuple(notes))


def _system(runs: Sequence[Reported]) -> System:
    """The seeds of one training, as `atrkit compare` takes them."""
    members = [
        Member(
            run.name,
            run.matrix,
            run.result["scoring"],
            run.result["column_scaling"],
            run.loss_KC,
            about={"dataset": run.result["dataset"], "split": run.result["split"]},
        )
        for run in runs
    ]
    trained_on = {key: runs[0].result.get(key) for key in ("clips_trained_on", "clips_trained_on_by")}
    return System(name_of(runs), tuple(members), runs[0].result["target"], is_run=True, trained_on=trained_on)


def name_of(runs: Sequence[Reported]) -> str:
    """Of a single run its own name; of the seeds of a training what they have in common."""
    return runs[0].name if len(runs) == 1 else runs[0].name.rpartition("/")[0] or runs[0].name


def _trainings(runs: Sequence[Reported]) -> list[TrainedRun]:
    return [run.trained for run in runs if run.trained is not None]


def summary_of(runs: Sequence[Reported]) -> dict[str, Any]:
    """Means over the seeds of one training."""
    return summarise_seeds([run.result for run in runs], [seed_of(run) for run in _trainings(runs)])


def _sounds(session: Session, runs: Sequence[Reported], groups: Sequence[RunGroup]) -> dict[str, Sound]:
    """Audio of every clip that examples show, each once."""
    placed = [(run, run.dataset) for run in runs if run.dataset is not None]
    clip_of = {run.key_of(clip.id): (dataset, clip) for run, dataset in placed for clip in run.clips.values()}
    sections = [section for group in groups for section in group.runs]
    keys = dict.fromkeys(key for section in sections for key in clips_in(section.examples))
    wanted = {key: clip_of[key] for key in keys if key in clip_of}
    return sounds_of(session, wanted) if wanted else {}
