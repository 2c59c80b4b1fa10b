"""`atrkit init`, `atrkit train`: from embeddings to a run."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from atrkit.cli.session import Terminal, with_terminal

if TYPE_CHECKING:
    from atrkit.workflows.train import TrainOptions


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
    seeds: Annotated[
        str | None,
        typer.Option(metavar="1,2,3", help="Train these seeds, evaluate each, and print mean and deviation."),
    ] = None,
    word_vectors: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Word vectors of the text side: word2vec or GloVe, text or binary."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the run (default: the recipe's).")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a run that is there.")] = False,
    no_extract: Annotated[
        bool, typer.Option("--no-extract", help="Do not make missing embeddings; say what is missing.")
    ] = False,
) -> None:
    """Train a model: into runs/RECIPE/seed-N. The same command goes on after an interruption.

    With --seeds every seed is also evaluated on the test split, with the
    recipe's column scaling, and the table ends in mean ± sample standard
    deviation; seeds that are finished are not trained again.
    """
    from atrkit.errors import UsageError
    from atrkit.reports.run_summary import run_record, run_sentence
    from atrkit.workflows.train import TrainOptions
    from atrkit.workflows.train import train as run_training

    if seed is not None and seeds is not None:
        raise UsageError("--seed trains one seed, --seeds several and evaluates them: say one of the two")
    options = TrainOptions(
        recipe,
        overrides or (),
        None if seed is None else (seed,),
        name,
        overwrite=overwrite,
        may_extract=not no_extract,
        word_vectors=word_vectors,
    )
    if seeds is not None:
        _train_seeds(terminal, options, seeds)
        return
    outcomes = run_training(terminal.session, options)
    records = [run_record(outcome.run.path, outcome.record, was_there=outcome.was_there) for outcome in outcomes]
    terminal.show("\n".join(run_sentence(record) for record in records), records)


def _train_seeds(terminal: Terminal, options: "TrainOptions", seeds: str) -> None:
    from dataclasses import replace

    from atrkit.reports.run_summary import run_record
    from atrkit.reports.seeds_table import runs_table
    from atrkit.workflows.train_seeds import parse_seeds, train_seeds

    made = train_seeds(terminal.session, replace(options, seeds=parse_seeds(seeds)))
    record = {
        "runs": [run_record(each.run.path, each.record, was_there=each.was_there) for each in made.outcomes],
        "results": made.results,
        "summary": made.summary,
    }
    terminal.show(runs_table(made.results, [made.summary]), record)
