"""`atrkit index`: your own sounds, ready to be searched."""

from pathlib import Path
from typing import Annotated

import typer

from atrkit.cli.session import Terminal, with_terminal


@with_terminal
def index(
    terminal: Terminal,
    folders: Annotated[
        list[Path] | None,
        typer.Argument(help="Folders of sound files (default: those of the newest index, brought up to date)."),
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="A dataset, in place of folders; with its captions.")] = None,
    split: Annotated[str | None, typer.Option(help="Only this split of the dataset.")] = None,
    run: Annotated[
        str | None,
        typer.Option(help="Run of a dual encoder or a ridge (default: the index's, else the newest finished)."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="FOLDER_OR_HUB_ID", help="A CLAP model as it is, in place of a run."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the index (default: the folder's or dataset's).")] = None,
    captions: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Table of captions in Clotho's layout, beside captions.csv; repeatable."),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Any unusable file is an error (exit code 5).")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Make everything anew.")] = False,
) -> None:
    """Index your own sounds for search: into index/NAME; again, only what is new or changed is read."""
    from atrkit.reports.index_summary import index_record, index_sentence
    from atrkit.workflows.index import index as run_index
    from atrkit.workflows.index_target import IndexOptions

    options = IndexOptions(
        tuple(folders or ()),
        dataset,
        split,
        run,
        model,
        name,
        strict=strict,
        overwrite=overwrite,
        captions=tuple(captions or ()),
    )
    outcome = run_index(terminal.session, options)
    record = index_record(str(outcome.folder), outcome.about, outcome.changes.counts, outcome.encoded, outcome.problems)
    terminal.show(index_sentence(record), record)
    terminal.finish(len(outcome.problems), outcome.problems_path)
