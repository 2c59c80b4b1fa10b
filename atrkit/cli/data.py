"""`atrkit import`: your own recordings."""

from pathlib import Path
from typing import Annotated

import typer

from atrkit.cli.session import Terminal, with_terminal


@with_terminal
def import_(
    terminal: Terminal,
    source: Annotated[Path, typer.Argument(metavar="DIR|CSV", help="A folder of sounds, or a table of captions.")],
    name: Annotated[str, typer.Option(help="How the dataset is to be called.")],
    audio_dir: Annotated[Path | None, typer.Option(help="Where the audio lies, when not beside the table.")] = None,
    file_column: Annotated[str, typer.Option(help="Column with the file names.")] = "file_name",
    caption_column: Annotated[
        str | None, typer.Option(help="Column with captions (default: caption_1, caption_2, ... or caption).")
    ] = None,
    delimiter: Annotated[str, typer.Option(help="Column separator of the table.")] = ",",
    split: Annotated[
        str | None, typer.Option(help="80/10/10 (dev/val/eval), 80/20 (dev/eval), or one name for all clips.")
    ] = None,
    split_column: Annotated[str | None, typer.Option(help="Column that names each clip's split.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of --split.")] = 0,
    strict: Annotated[bool, typer.Option("--strict", help="Any unusable file is an error (exit code 5).")] = False,
) -> None:
    """Take your own recordings in: into data/NAME; audio stays where it is."""
    from atrkit.datasets.manifest import PROBLEMS_NAME
    from atrkit.reports.dataset_summary import dataset_record, dataset_table
    from atrkit.workflows.import_recordings import CsvOptions, import_recordings

    csv = CsvOptions(audio_dir, file_column, caption_column, delimiter, split_column)
    dataset = import_recordings(terminal.session, source, name, csv=csv, split=split, seed=seed, strict=strict)
    terminal.show(dataset_table(dataset), dataset_record(dataset))
    terminal.finish(len(dataset.problems), dataset.folder / PROBLEMS_NAME)
