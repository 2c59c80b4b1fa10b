"""`atrkit caption`: what is heard, in words."""

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from atrkit.cli.session import Terminal, with_terminal
from atrkit.errors import EXIT_DONE_WITH_PROBLEMS


class ForbidRepeats(StrEnum):
    """Words that may not come twice in a caption."""

    content_words = "content_words"
    all_words = "all_words"
    none = "none"


_OF_SEARCH = "How captions are written (default: as the run's recipe says)"


@with_terminal
def caption(
    terminal: Terminal,
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FILES", help="Sound files, or folders of them (default: the run's test split)."),
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="Caption the clips of this dataset (default: the run's own).")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Which split (default: the run's test split).")] = None,
    run: Annotated[
        str | None, typer.Option(help="Folder or name of a captioner's run (default: the newest finished).")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="CSV", help="Write file_name,caption_predicted,score to this file.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file of --out.")] = False,
    checkpoint: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Weights of the encoder, for FILES (default: those used in training)."),
    ] = None,
    no_extract: Annotated[
        bool, typer.Option("--no-extract", help="Do not make missing embeddings; say what is missing.")
    ] = False,
    beam_size: Annotated[
        int | None,
        typer.Option(min=1, help="Captions that are followed at once; 1: greedy.", rich_help_panel=_OF_SEARCH),
    ] = None,
    min_tokens: Annotated[int | None, typer.Option(help="Least number of words.", rich_help_panel=_OF_SEARCH)] = None,
    max_tokens: Annotated[
        int | None, typer.Option(min=1, help="Greatest number of words.", rich_help_panel=_OF_SEARCH)
    ] = None,
    forbid_repeats: Annotated[
        ForbidRepeats | None,
        typer.Option(help="Words that may not come twice: all but stop words, all, none.", rich_help_panel=_OF_SEARCH),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Clips at once.", rich_help_panel=_OF_SEARCH)] = 64,
) -> None:
    """Write captions of sound files, or of a dataset's clips, with a trained captioner."""
    from atrkit.reports.caption_table import caption_table
    from atrkit.reports.counting import counted
    from atrkit.workflows.caption import CaptionOptions
    from atrkit.workflows.caption import caption as write_captions

    said = {
        "beam_size": beam_size,
        "min_tokens": min_tokens,
        "max_tokens": max_tokens,
        "forbid_repeats": forbid_repeats and forbid_repeats.value,
        "batch_size": batch_size,
    }
    options = CaptionOptions(
        files or (),
        run,
        dataset,
        split,
        out,
        overwrite=overwrite,
        decoding={name: value for name, value in said.items() if value is not None},
        checkpoint=checkpoint,
        may_extract=not no_extract,
    )
    outcome = write_captions(terminal.session, options)
    record = {"captions": outcome.records, "problems": [asdict(problem) for problem in outcome.problems]}
    terminal.show(caption_table(outcome.records), record)
    for problem in outcome.problems:
        terminal.say(f"{problem.item}: {problem.action} ({problem.reason})")
    if outcome.problems:
        terminal.say(f"{counted(len(outcome.problems), 'problem')}: see above")
        raise typer.Exit(EXIT_DONE_WITH_PROBLEMS)
