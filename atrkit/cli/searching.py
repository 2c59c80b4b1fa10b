"""`atrkit search`: from words or a sound to files."""

from pathlib import Path
from typing import Annotated

import typer

from atrkit.cli.session import Terminal, with_terminal


@with_terminal
def search(
    terminal: Terminal,
    text: Annotated[str | None, typer.Argument(metavar="TEXT", help="What is to be heard.")] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="How many files.")] = 10,
    like: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE[@SECONDS]",
            help="Sounds like this file, or like the 10 s at that place; with TEXT, both count alike.",
        ),
    ] = None,
    unwanted: Annotated[
        list[str] | None,
        typer.Option("--not", metavar="TEXT", help="Push away what sounds like this; may be said again."),
    ] = None,
    queries: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Search for each line of this file, in place of TEXT.")
    ] = None,
    index: Annotated[str | None, typer.Option(metavar="NAME", help="Which index (default: the newest).")] = None,
    rerank: Annotated[
        str | None, typer.Option(metavar="RUN", help="Let this run (a captioner, HCI ...) score the best files again.")
    ] = None,
    rerank_k: Annotated[
        int | None, typer.Option(min=1, metavar="K", help="How many files it scores (default: 30).")
    ] = None,
    open_first: Annotated[bool, typer.Option("--open", help="Play the first hit with the system's player.")] = False,
) -> None:
    """Find sounds by words, by an example, or both, in an index made by atrkit index."""
    from atrkit.errors import UsageError
    from atrkit.reports.search_results import search_table
    from atrkit.workflows.search import SearchOptions, open_in_player, read_queries, search_records
    from atrkit.workflows.search import search as run_search

    if queries is not None and text is not None:
        raise UsageError("give a text or --queries FILE, not both")
    texts = read_queries(queries) if queries is not None else [text] if text is not None else []
    options = SearchOptions(texts, like or (), unwanted or (), index, k, rerank, rerank_k)
    outcome = run_search(terminal.session, options)
    records = search_records(outcome)
    terminal.show(search_table(records), records[0] if queries is None else records)
    if open_first:
        hits = outcome.answers[0].hits
        if not hits:
            raise UsageError("--open: nothing was found")
        open_in_player(Path(hits[0].path))
