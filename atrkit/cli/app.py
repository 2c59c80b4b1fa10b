"""The `atrkit` command: assembles the groups of commands."""

import os
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from atrkit import __version__
from atrkit.cli import (
    captioning,
    comparing,
    data,
    doctor,
    download,
    evaluation,
    exporting,
    extraction,
    fusing,
    indexing,
    info,
    metrics,
    recipes,
    reporting,
    scoring,
    searching,
    serving,
    training,
)
from atrkit.cli.session import ending_at_once_when_interrupted, usage_errors_in_one_line


class _InTheOrderOfTheWork(TyperGroup):
    """Lists `download` first, where typer puts groups last."""

    def list_commands(self, ctx: Any) -> list[str]:
        groups = [name for name in self.commands if hasattr(self.commands[name], "commands")]
        return groups + [name for name in self.commands if name not in groups]


app = typer.Typer(
    name="atrkit",
    cls=_InTheOrderOfTheWork,
    help="Audio-text retrieval and captioning: download or import, extract, train, eval, caption.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
download.app.command("metrics")(metrics.metrics)
app.add_typer(download.app, name="download")
app.command("import")(data.import_)
app.command("info")(info.info)
app.command("extract")(extraction.extract)
app.command("init")(training.init)
app.command("recipes")(recipes.recipes)
app.command("train")(training.train)
app.command("score")(scoring.score)
app.command("eval")(evaluation.evaluate)
app.command("report")(reporting.report)
app.command("export")(exporting.export)
app.command("compare")(comparing.compare)
app.command("fuse")(fusing.fuse)
app.command("caption")(captioning.caption)
app.command("index")(indexing.index)
app.command("search")(searching.search)
app.command("serve")(serving.serve)
app.command("doctor")(doctor.doctor)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"atrkit {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Audio-text retrieval and captioning: download or import, extract, train, eval, caption."""


def main() -> None:
    """Entry point of the `atrkit` script."""
    # OpenMP threads that spin while they wait made training five times slower on busy cores (one core of two taken);
    # set before torch is imported, and only where the user has not chosen
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    with ending_at_once_when_interrupted(), usage_errors_in_one_line(lambda: get_command(app)):
        raise SystemExit(app(standalone_mode=False))
