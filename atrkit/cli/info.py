"""`atrkit info`: what a dataset holds, and whether it is still whole."""

from pathlib import Path
from typing import Annotated

import typer

from atrkit.cli.session import Terminal, with_terminal


@with_terminal
def info(
    terminal: Terminal,
    dataset: Annotated[
        str | None,
        typer.Argument(metavar="DATASET|encoders", help="A dataset's name (default: the one made last), or: encoders."),
    ] = None,
    store: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Describe and check a file of embeddings instead.")
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read every file again; exit code 5 and a list if anything changed.")
    ] = False,
) -> None:
    """Show what a dataset holds: clips, captions, hours, what is missing, duplicates, pools, licence.

    `info encoders` lists the frozen encoders with their weights; `info --store FILE` describes embeddings and checks
    every hash.
    """
    from atrkit.reports.dataset_info import info_record, info_view, verification_text
    from atrkit.workflows.info import find_dataset, refuse_changes
    from atrkit.workflows.info import verify as read_again

    if store is not None:
        _show_store(terminal, store)
        return
    if dataset == "encoders":
        _show_encoders(terminal)
        return
    found = find_dataset(terminal.session, dataset)
    verification = read_again(terminal.session, found) if verify else None
    record = info_record(found.dataset, found.missing, found.qrels, verification)
    terminal.show(info_view(record), record)
    if verification is not None:
        if not terminal.as_json:
            terminal.show(verification_text(record["verification"]), record)
        refuse_changes(found.dataset, verification)


def _show_encoders(terminal: Terminal) -> None:
    from atrkit.reports.encoder_table import encoder_view
    from atrkit.workflows.info_encoders import encoder_records

    records = encoder_records()
    terminal.show(encoder_view(records), records)


def _show_store(terminal: Terminal, path: Path) -> None:
    from atrkit.reports.store_facts import store_view
    from atrkit.workflows.info_store import store_record

    record = store_record(path)
    terminal.show(store_view(record), record)
