"""`atrkit init`, `atrkit train`: from embeddings to a run."""

from pathlib import Path
from typing import Annotated

import typer

from atrkit.cli.session import Terminal, with_terminal


@with_terminal
def init(
    terminal: Terminal,
    dataset: Annotated[str | None, typer.Option(help="Which dataset (default: the one made last).")] = None,
    out: Annotated[Path | None, typer.Option(help="File to write (default: recipe.yaml in the workspace).")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file if it is there.")] = False,
) -> None:
    """Write a commented recipe.yaml that fits the dataset and embeddings at hand."""
    from atrkit.workflows.initialise import DEFAULT_RECIPE, write_starter_recipe

    path = out or terminal.workspace / DEFAULT_RECIPE
    written = write_starter_recipe(terminal.session, path, overwrite=overwrite, dataset_name=dataset)
    terminal.show(f"{written}; next: atrkit train {written}", {"recipe": str(written)})


@with_terminal
def train(
    terminal: Terminal,
    recipe: Annotated[
        str, typer.Argument(metavar="RECIPE", help="A recipe file, or the name of one that comes with atrkit.")
    ] = "recipe.yaml",
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override, e.g. optimizer.lr=1e-3.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="This seed only (default: the recipe's).")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the run (default: the recipe's).")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a run that is there.")] = False,
    no_extract: Annotated[
        bool, typer.Option("--no-extract", help="Do not make missing embeddings; say what is missing.")
    ] = False,
) -> None:
    """Train a model: into runs/RECIPE/seed-N. The same command goes on after an interruption."""
    from atrkit.reports.run_summary import run_record, run_sentence
    from atrkit.workflows.train import TrainOptions
    from atrkit.workflows.train import train as run_training

    options = TrainOptions(recipe, overrides or (), None if seed is None else (seed,), name, overwrite=overwrite, may_extract=not no_extract)
    outcomes = run_training(terminal.session, options)
    records = [run_record(outcome.run.path, outcome.record, was_there=outcome.was_there) for outcome in outcomes]
    terminal.show("\n".join(run_sentence(record) for record in records), records)
