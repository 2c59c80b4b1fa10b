"""`atrkit eval`: what a finished run is worth."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from atrkit.cli.precision import Precision
from atrkit.cli.session import Terminal, with_terminal
from atrkit.errors import EXIT_DONE_WITH_PROBLEMS

if TYPE_CHECKING:
    from atrkit.workflows.evaluate import EvaluateOptions


class Dedup(StrEnum):
    """What is done with captions that several clips share."""

    none = "none"
    text = "text"


@with_terminal
def evaluate(
    terminal: Terminal,
    metric: Annotated[
        list[str] | None,
        typer.Option(help="recall (default), caption, perturbation; several: one option each, or a,b."),
    ] = None,
    run: Annotated[str | None, typer.Option(help="Folder or name of a run (default: the newest finished).")] = None,
    runs: Annotated[
        list[str] | None,
        typer.Option(
            "--runs",
            metavar="NAMES",
            help="Several runs in one table, seeds of one training averaged: a name or a quoted pattern, 'runs/x/*' "
            "(repeatable).",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER|HUB_ID", help="A CLAP model of transformers as it is, zero-shot, instead of a run."
        ),
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="Evaluate on this dataset (default: the run's own).")] = None,
    split: Annotated[str | None, typer.Option(help="Which split (default: the run's test split).")] = None,
    scaling: Annotated[
        list[str] | None,
        typer.Option(help="Column scaling: none, minmax, minmax-calib, pmi; several: a,b (default: the recipe's)."),
    ] = None,
    calib_clips: Annotated[
        int | None, typer.Option(min=1, help="Training clips for minmax-calib and pmi (default: the recipe's number).")
    ] = None,
    rerank: Annotated[
        str | None,
        typer.Option(metavar="RUN", help="Score only what this run shortlists; none: all pairs (default: the recipe)."),
    ] = None,
    rerank_k: Annotated[
        int | None, typer.Option(min=1, metavar="K", help="Candidates per caption and per clip (default: 100).")
    ] = None,
    precision: Annotated[
        Precision | None, typer.Option(help="In which a captioner scores (default: fp32, for figures to publish).")
    ] = None,
    beam_size: Annotated[int | None, typer.Option(min=1, help="Of --metric caption (default: the recipe's).")] = None,
    scores: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Scores made elsewhere, instead of a run: .h5, .npz, .npy, CSV, TREC run, challenge submission.",
        ),
    ] = None,
    embeddings: Annotated[
        tuple[Path, Path] | None,
        typer.Option(metavar="CLIPS CAPTIONS", help="Embeddings made elsewhere: their cosines are scored."),
    ] = None,
    truth: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="Whose caption is whose, for --scores and --embeddings: a table of captions."),
    ] = None,
    qrels: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|NAME", help="Judge by these: several relevant or graded clips per caption (text to audio)."
        ),
    ] = None,
    min_grade: Annotated[
        int | None, typer.Option(min=1, help="Of --qrels: the grade from which a clip counts as relevant.")
    ] = None,
    dedup: Annotated[
        Dedup, typer.Option(help="text: captions with the same words are relevant to each other's clips.")
    ] = Dedup.none,
    protocol: Annotated[
        list[str] | None,
        typer.Option(help="Beside ours, as other code computes it: wavcaps, laion, dcase23, mteb, koepke, all."),
    ] = None,
    k: Annotated[str, typer.Option("-k", help="Cut-offs of recall.")] = "1,5,10",
    ci: Annotated[bool, typer.Option("--ci", help="95 % intervals (bootstrap over clips, 10,000 resamples).")] = False,
    full: Annotated[
        bool, typer.Option("--full", help="Also print the fraction of relevant items found, and mAP@16.")
    ] = False,
    ties: Annotated[
        bool, typer.Option("--ties", help="Also print what tied scores could make at best and at worst.")
    ] = False,
    no_extract: Annotated[
        bool, typer.Option("--no-extract", help="Do not make missing embeddings; say what is missing.")
    ] = False,
) -> None:
    """Score every pair and print the recall table, both directions, with the chance row; or evaluate captions."""
    from atrkit.errors import UsageError
    from atrkit.reports.evaluation_tables import evaluation_tables
    from atrkit.workflows.evaluate import EvaluateOptions, evaluate_run, parse_metrics, parse_scalings
    from atrkit.workflows.first_stage import RerankChoice
    from atrkit.workflows.retrieval_figures import FigureOptions, parse_cutoffs, parse_protocols

    if run is not None and runs:
        raise UsageError("--run is one run, --runs are several: say one of the two")
    if model is not None and (run is not None or runs):
        raise UsageError("--model is a model that was not trained here, --run and --runs are runs: say one of them")
    is_foreign = scores is not None or embeddings is not None
    if is_foreign and (model is not None or runs):
        raise UsageError("--scores and --embeddings take the place of --model and --runs: say one of them")
    if truth is not None and not is_foreign:
        raise UsageError("--truth is of --scores and --embeddings: a run's dataset says whose caption is whose")
    if runs and (ties or full or protocol):
        option = "ties" if ties else "full" if full else "protocol"
        raise UsageError(f"--{option} is of one run's table: leave it out, or take --run")
    options = EvaluateOptions(
        run,
        dataset,
        split,
        metrics=parse_metrics(metric or ["recall"]),
        scalings=parse_scalings(scaling or []),
        precision=None if precision is None else precision.value,
        calibration_clips=calib_clips,
        rerank=RerankChoice(rerank, rerank_k),
        figures=FigureOptions(
            ks=parse_cutoffs(k),
            dedup=dedup.value,
            qrels=qrels,
            min_grade=min_grade,
            protocols=parse_protocols(protocol or []),
            ci=ci,
        ),
        decoding={} if beam_size is None else {"beam_size": beam_size},
        may_extract=not no_extract,
    )
    if runs:
        _evaluate_several(terminal, runs, options)
        return
    if is_foreign:
        from atrkit.workflows.evaluate_foreign import ForeignSource, evaluate_foreign

        results = evaluate_foreign(terminal.session, ForeignSource(scores, embeddings, truth), options)
    elif model is not None:
        from atrkit.workflows.zero_shot import evaluate_zero_shot

        results = evaluate_zero_shot(terminal.session, model, options)
    else:
        results = evaluate_run(terminal.session, options)
    terminal.show(
        evaluation_tables(results, show_tie_bounds=ties, show_full=full), results[0] if len(results) == 1 else results
    )


def _evaluate_several(terminal: Terminal, named: list[str], options: "EvaluateOptions") -> None:
    from atrkit.reports.seeds_table import runs_table
    from atrkit.workflows.several_runs import evaluate_runs

    several = evaluate_runs(terminal.session, named, options)
    remarks = [*several.remarks, *(f"{run} is left out: {why}" for run, why in several.left_out.items())]
    terminal.show(runs_table(several.results, several.summaries, remarks), several.record)
    if several.left_out:
        raise typer.Exit(EXIT_DONE_WITH_PROBLEMS)
