"""`atrkit compare`: systems beside each other, and whether their differences are more than chance."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from atrkit.cli.session import Terminal, with_terminal


class Format(StrEnum):
    """What the tables are written in."""

    text = "text"
    markdown = "markdown"
    latex = "latex"


class Scaling(StrEnum):
    """Ways of scaling caption columns."""

    none = "none"
    minmax = "minmax"
    minmax_calib = "minmax-calib"
    pmi = "pmi"


class Dedup(StrEnum):
    """What is done with captions that several clips share."""

    none = "none"
    text = "text"


@with_terminal
def compare(
    terminal: Terminal,
    systems: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...",
            help="Two or more: runs by name, folder or quoted pattern (all seeds of a training are one system), or "
            "score files. The first is what the others are compared with.",
        ),
    ],
    name: Annotated[
        list[str] | None,
        typer.Option(help="What tables call a system: one option for each, in their order (default: as named)."),
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="Score this dataset (default: the runs' own).")] = None,
    split: Annotated[str | None, typer.Option(help="Which split (default: the runs' test split).")] = None,
    scaling: Annotated[
        Scaling | None, typer.Option(help="Column scaling of all (default: the recipes'; none for files).")
    ] = None,
    intersect: Annotated[
        bool,
        typer.Option("--intersect", help="Rank again the clips and captions that all share; say what is left out."),
    ] = False,
    dedup: Annotated[
        Dedup, typer.Option(help="text: captions with the same words are relevant to each other's clips.")
    ] = Dedup.none,
    qrels: Annotated[
        str | None, typer.Option(metavar="FILE|NAME", help="Judge by these (text to audio alone), as eval does.")
    ] = None,
    min_grade: Annotated[
        int | None, typer.Option(min=1, help="Of --qrels: the grade from which a clip counts as relevant.")
    ] = None,
    truth: Annotated[
        Path | None, typer.Option(metavar="CSV", help="Whose caption is whose, for score files that do not say.")
    ] = None,
    format_: Annotated[
        Format, typer.Option("--format", help="Of the tables: text, or markdown or latex to paste.")
    ] = Format.text,
    no_extract: Annotated[
        bool, typer.Option("--no-extract", help="Do not make missing embeddings; say what is missing.")
    ] = False,
) -> None:
    """Compare systems on the same clips: a table, differences with 95 % intervals, and p.

    Differences are paired, query by query. Intervals draw clips again, 10,000
    times, captions with their clip; p flips the signs of clips' differences.
    Systems with other clips or captions are refused, unless --intersect.
    """
    from atrkit.errors import UsageError
    from atrkit.workflows.compare import CompareOptions
    from atrkit.workflows.compare import compare as run_comparison
    from atrkit.workflows.compared_system import SystemOptions

    if terminal.as_json and format_ is not Format.text:
        raise UsageError(f"--json is a format of its own: leave --format {format_.value} out, or --json")
    options = CompareOptions(
        tuple(systems),
        SystemOptions(dataset, split, None if scaling is None else scaling.value, truth, may_extract=not no_extract),
        dedup=dedup.value,
        qrels=qrels,
        min_grade=min_grade,
        intersect=intersect,
        names=tuple(name or ()),
    )
    record = run_comparison(terminal.session, options)
    match format_:
        case Format.text:
            from atrkit.reports.comparison_text import comparison_text

            terminal.show(comparison_text(record), record)
        case Format.markdown:
            from atrkit.reports.comparison_markdown import comparison_markdown

            typer.echo(comparison_markdown(record))
        case Format.latex:
            from atrkit.reports.comparison_latex import comparison_latex

            typer.echo(comparison_latex(record))
