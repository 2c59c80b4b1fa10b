"""`atrkit eval`: what a finished run is worth."""

from typing import TYPE_CHECKING

import typer

from atrkit.cli import evaluation_options as options_of
from atrkit.cli.evaluation_options import Dedup
from atrkit.cli.session import Terminal, with_terminal
from atrkit.errors import EXIT_DONE_WITH_PROBLEMS

if TYPE_CHECKING:
    from atrkit.workflows.evaluate import EvaluateOptions


@with_terminal
def evaluate(
    terminal: Terminal,
    run: options_of.RunOption = None,
    runs: options_of.RunsOption = None,
    model: options_of.ModelOption = None,
    scores: options_of.ScoresOption = None,
    embeddings: options_of.EmbeddingsOption = None,
    dataset: options_of.DatasetOption = None,
    split: options_of.SplitOption = None,
    scaling: options_of.ScalingOption = None,
    calib_clips: options_of.CalibClipsOption = None,
    rerank: options_of.RerankOption = None,
    rerank_k: options_of.RerankKOption = None,
    precision: options_of.PrecisionOption = None,
    beam_size: options_of.BeamSizeOption = None,
    no_extract: options_of.NoExtractOption = False,
    truth: options_of.TruthOption = None,
    partial: options_of.PartialOption = False,
    qrels: options_of.QrelsOption = None,
    min_grade: options_of.MinGradeOption = None,
    dedup: options_of.DedupOption = Dedup.none,
    protocol: options_of.ProtocolOption = None,
    metric: options_of.MetricOption = None,
    k: options_of.CutoffsOption = "1,5,10",
    ci: options_of.CiOption = False,
    full: options_of.FullOption = False,
    ties: options_of.TiesOption = False,
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
    if embeddings is not None and embeddings[1].name.startswith("-"):
        raise UsageError(f"--embeddings takes two files, CLIPS CAPTIONS, and {embeddings[1]} is an option")
    if truth is not None and not is_foreign:
        raise UsageError("--truth is of --scores and --embeddings: a run's dataset says whose caption is whose")
    if partial and not is_foreign:
        raise UsageError("--partial is of --scores and --embeddings: leave it out")
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

        results = evaluate_foreign(terminal.session, ForeignSource(scores, embeddings, truth, partial), options)
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
