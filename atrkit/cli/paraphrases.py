"""`atrkit download paraphrases`: other words for synthetic's training captions."""

from pathlib import Path
from typing import Annotated

import typer

from atrkit.cli.session import Terminal, with_terminal


@with_terminal
def paraphrases(
    terminal: Terminal,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The CSV to write (default: paraphrases.csv in the workspace).")
    ] = None,
    per_caption: Annotated[int, typer.Option(min=1, help="Paraphrases of each caption.")] = 1,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace FILE.")] = False,
) -> None:
    """Template paraphrases of synthetic's training captions, as a file for `data.captions_augmented`."""
    from atrkit.reports.counting import counted
    from atrkit.workflows.paraphrases import write_synthetic_paraphrases

    record = write_synthetic_paraphrases(terminal.session, out, per_caption=per_caption, overwrite=overwrite)
    made = counted(record["paraphrases"], "paraphrase")
    terminal.show(f"{made} of {counted(record['captions'], 'training caption')}: {record['out']}", record)
