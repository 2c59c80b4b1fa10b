"""`atrkit export`: scores in the formats that other tools read."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from atrkit.cli.session import Terminal, with_terminal


class Direction(StrEnum):
    """Who looks for whom."""

    text_to_audio = "text-to-audio"
    audio_to_text = "audio-to-text"


class Scaling(StrEnum):
    """Ways of scaling caption columns."""

    none = "none"
    minmax = "minmax"
    minmax_calib = "minmax-calib"
    pmi = "pmi"


@with_terminal
def export(
    terminal: Terminal,
    run: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="Folder or name of a run (default: the newest finished).")
    ] = None,
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="trec, qrels, ranks, submission; several: a,b (default: trec,qrels).",
        ),
    ] = None,
    scores: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Scores instead of a run, ours or made elsewhere, as for eval.")
    ] = None,
    truth: Annotated[
        Path | None, typer.Option(metavar="CSV", help="Whose caption is whose, where --scores does not say.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where to (default: export/ in the run's folder).")
    ] = None,
    depth: Annotated[
        int | None, typer.Option(min=1, metavar="K", help="Candidates of each query in a TREC run (default: all).")
    ] = None,
    direction: Annotated[Direction | None, typer.Option(help="One direction (default: both).")] = None,
    dataset: Annotated[str | None, typer.Option(help="Scores of this dataset (default: the run's own).")] = None,
    split: Annotated[str | None, typer.Option(help="Which split (default: the run's test split).")] = None,
    scaling: Annotated[Scaling | None, typer.Option(help="Column scaling (default: the recipe's).")] = None,
    qrels: Annotated[
        str | None,
        typer.Option(metavar="FILE|NAME", help="Judgements in place of each caption's own clip, for qrels and ranks."),
    ] = None,
    no_extract: Annotated[
        bool, typer.Option("--no-extract", help="Do not make missing embeddings; say what is missing.")
    ] = False,
) -> None:
    """Write scores as TREC run and qrels, as ranks per query, or as a challenge submission."""
    from atrkit.reports.export_summary import export_view
    from atrkit.workflows.export import DIRECTIONS, ExportOptions, parse_formats
    from atrkit.workflows.export import export as run_export

    options = ExportOptions(
        parse_formats(formats or ["trec,qrels"]),
        run,
        scores,
        truth,
        dataset,
        split,
        scaling=None if scaling is None else scaling.value,
        directions=DIRECTIONS if direction is None else (direction.value,),
        depth=depth,
        qrels=qrels,
        out=out,
        may_extract=not no_extract,
    )
    record = run_export(terminal.session, options)
    terminal.show(export_view(record), record)
