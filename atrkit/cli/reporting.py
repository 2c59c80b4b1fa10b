"""`atrkit report`: runs as one page to look at and to listen to."""

from pathlib import Path
from typing import Annotated

import typer

from atrkit.cli.session import Terminal, with_terminal
from atrkit.errors import EXIT_DONE_WITH_PROBLEMS


@with_terminal
def report(
    terminal: Terminal,
    runs: Annotated[
        list[str] | None,
        typer.Argument(metavar="RUN", help="Finished runs: folders, names, patterns (default: the newest)."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="The page (default: report.html in the run's folder; of several runs: in reports/)."
        ),
    ] = None,
    scores: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Scores made elsewhere, instead of runs; the page lies beside them."),
    ] = None,
    truth: Annotated[
        Path | None, typer.Option(metavar="CSV", help="Whose caption is whose, for --scores: a table of captions.")
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="Evaluate on this dataset (default: each run's own).")] = None,
    split: Annotated[str | None, typer.Option(help="Which split (default: each run's test split).")] = None,
    examples: Annotated[
        int, typer.Option(min=0, help="Best, median and worst queries to show: so many of each, both directions.")
    ] = 3,
    no_audio: Annotated[bool, typer.Option("--no-audio", help="Leave the players out: a small page.")] = False,
    no_extract: Annotated[
        bool, typer.Option("--no-extract", help="Do not make missing embeddings; say what is missing.")
    ] = False,
) -> None:
    """Evaluate runs and write one HTML page: tables with intervals, charts, and queries with audio players.

    The page is one file that loads nothing: it works from disk, without a
    network, and can be sent to somebody. Of several runs it also compares
    them; seeds of one training stand together.
    """
    from atrkit.errors import UsageError
    from atrkit.workflows.report import ReportOptions, write_report

    if truth is not None and scores is None:
        raise UsageError("--truth is of --scores: name the file, or leave it out")
    options = ReportOptions(
        tuple(runs or ()),
        out,
        dataset,
        split,
        examples,
        with_audio=not no_audio,
        scores=scores,
        truth=truth,
        may_extract=not no_extract,
    )
    record = write_report(terminal.session, options)
    terminal.show(record["path"], record)
    if record["left_out"]:
        raise typer.Exit(EXIT_DONE_WITH_PROBLEMS)
