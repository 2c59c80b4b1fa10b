"""`atrkit eval`: from a run to a recall table."""

from typing import Annotated

import typer

from atrkit.cli.session import Terminal, with_terminal


@with_terminal
def evaluate(
    terminal: Terminal,
    metric: Annotated[list[str] | None, typer.Option(help="recall (R@1, R@5, R@10, mAP@10, MedR, MnR).")] = None,
    run: Annotated[str | None, typer.Option(help="Folder or name of a run (default: the newest finished).")] = None,
    dataset: Annotated[str | None, typer.Option(help="Evaluate on this dataset (default: the run's own).")] = None,
    split: Annotated[str | None, typer.Option(help="Which split (default: the run's test split).")] = None,
    ties: Annotated[
        bool, typer.Option("--ties", help="Also print what tied scores could make at best and at worst.")
    ] = False,
    no_extract: Annotated[
        bool, typer.Option("--no-extract", help="Do not make missing embeddings; say what is missing.")
    ] = False,
) -> None:
    """Score every pair and print the recall table, both directions, with the chance row."""
    from atrkit.reports.recall_table import recall_table
    from atrkit.workflows.evaluate import EvaluateOptions, evaluate_run, parse_metrics

    parse_metrics(metric or ["recall"])
    options = EvaluateOptions(run, dataset, split, may_extract=not no_extract)
    evaluation = evaluate_run(terminal.session, options)
    terminal.show(recall_table([evaluation.result], show_tie_bounds=ties), evaluation.result)
