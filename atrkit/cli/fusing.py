"""`atrkit fuse`: several runs as one system."""

from typing import Annotated

import typer

from atrkit.cli.session import Terminal, with_terminal


@with_terminal
def fuse(
    terminal: Terminal,
    runs: Annotated[list[str], typer.Argument(metavar="RUN", help="Two finished runs or more: folders or names.")],
    weights: Annotated[
        str | None,
        typer.Option(metavar="0.7,0.3", help="One per run, or fit-on-val: chosen on validation clips; default: equal."),
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="Score this dataset (default: the runs' own).")] = None,
    split: Annotated[str | None, typer.Option(help="Which split (default: the runs' test split).")] = None,
    val: Annotated[
        str | None, typer.Option(help="Split that fit-on-val chooses on (default: the runs' validation split).")
    ] = None,
    intersect: Annotated[
        bool, typer.Option("--intersect", help="Leave out clips that not all runs have scored, and say how many.")
    ] = False,
    name: Annotated[str | None, typer.Option(help="Name of the fusion (default: the runs' names).")] = None,
    ties: Annotated[
        bool, typer.Option("--ties", help="Also print what tied scores could make at best and at worst.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace another fusion of this name.")] = False,
    no_extract: Annotated[
        bool, typer.Option("--no-extract", help="Do not make missing embeddings; say what is missing.")
    ] = False,
) -> None:
    """Add the scores of several runs, evaluate them as one, and keep them in fused/NAME.

    Each caption's scores are standardised over the clips before they are
    weighted and added, in place of the runs' own column scaling. fit-on-val
    tries mixtures on the validation split, and refuses the one that is tested.
    """
    from atrkit.reports.fusion_table import fusion_table
    from atrkit.workflows.fuse import fuse as run_fusion
    from atrkit.workflows.fuse_options import FuseOptions, parse_weights

    parsed, fit_on_val = parse_weights(weights)
    options = FuseOptions(
        runs,
        dataset,
        split,
        weights=parsed,
        fit_on_val=fit_on_val,
        val=val,
        intersect=intersect,
        name=name,
        overwrite=overwrite,
        may_extract=not no_extract,
    )
    result = run_fusion(terminal.session, options)
    terminal.show(fusion_table(result, show_tie_bounds=ties), result)
