"""`atrkit info`: what a dataset holds, and whether it is still whole."""

from typing import Annotated

import typer

from atrkit.cli.session import Terminal, with_terminal


@with_terminal
def info(
    terminal: Terminal,
    dataset: Annotated[
        str | None, typer.Argument(metavar="DATASET", help="Its name (default: the one made last).")
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read every file again; exit code 5 and a list if anything changed.")
    ] = False,
) -> None:
    """Show what a dataset holds: clips, captions, hours, what is missing, duplicates, pools, licence."""
    from atrkit.reports.dataset_info import info_record, info_view, verification_text
    from atrkit.workflows.info import find_dataset, refuse_changes
    from atrkit.workflows.info import verify as read_again

    found = find_dataset(terminal.session, dataset)
    verification = read_again(terminal.session, found) if verify else None
    record = info_record(found.dataset, found.missing, found.qrels, verification)
    terminal.show(info_view(record), record)
    if verification is not None:
        if not terminal.as_json:
            terminal.show(verification_text(record["verification"]), record)
        refuse_changes(found.dataset, verification)
