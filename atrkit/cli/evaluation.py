"""`atrkit eval`: what a finished run is worth."""

from typing import Annotated

import typer

from atrkit.cli.precision import Precision
from atrkit.cli.session import Terminal, with_terminal


@with_terminal
def evaluate(
    terminal: Terminal,
    metric: Annotated[
        list[str] | None,
        typer.Option(help="recall (default), caption, perturbation; several: one option each, or a,b."),
    ] = None,
    run: Annotated[str | None, typer.Option(help="Folder or name of a run (default: the newest finished).")] = None,
    dataset: Annotated[str | None, typer.Option(help="Evaluate on this dataset (default: the run's own).")] = None,
    split: Annotated[str | None, typer.Option(help="Which split (default: the run's test split).")] = None,
    scaling: Annotated[
        list[str] | None,
        typer.Option(help="Column scaling: none, minmax, minmax-calib, pmi; several: a,b (default: the recipe's)."),
    ] = None,
    calib_clips: Annotated[
        int | None, typer.Option(min=1, help="Training clips for minmax-calib and pmi (default: the recipe's number).")
    ] = None,
    precision: Annotated[
        Precision | None, typer.Option(help="In which a captioner scores (default: fp32, for figures to publish).")
    ] = None,
    beam_size: Annotated[int | None, typer.Option(min=1, help="Of --metric caption (default: the recipe's).")] = None,
    ties: Annotated[
        bool, typer.Option("--ties", help="Also print what tied scores could make at best and at worst.")
    ] = False,
    no_extract: Annotated[
        bool, typer.Option("--no-extract", help="Do not make missing embeddings; say what is missing.")
    ] = False,
) -> None:
    """Score every pair and print the recall table, both directions, with the chance row; or evaluate captions."""
    from atrkit.reports.evaluation_tables import evaluation_tables
    from atrkit.workflows.evaluate import EvaluateOptions, evaluate_run, parse_metrics, parse_scalings

    options = EvaluateOptions(
        run,
        dataset,
        split,
        metrics=parse_metrics(metric or ["recall"]),
        scalings=parse_scalings(scaling or []),
        precision=None if precision is None else precision.value,
        calibration_clips=calib_clips,
        decoding={} if beam_size is None else {"beam_size": beam_size},
        may_extract=not no_extract,
    )
    results = evaluate_run(terminal.session, options)
    terminal.show(evaluation_tables(results, show_tie_bounds=ties), results[0] if len(results) == 1 else results)
