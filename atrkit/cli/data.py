"""`atrkit import`, `atrkit extract`: from your own recordings, and on to embeddings."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from atrkit.cli.session import Terminal, with_terminal


class FrameDtype(StrEnum):
    """How frames are kept on disk."""

    float16 = "float16"
    float32 = "float32"


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


@with_terminal
def extract(
    terminal: Terminal,
    encoder: Annotated[str, typer.Option(help="logmel, or mn04 (tags sounds; 4 MB of weights).")],
    dataset: Annotated[str | None, typer.Option(help="Which dataset (default: the one made last).")] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="Weights file (default: the cache, else the official download).")
    ] = None,
    pool_time_s: Annotated[
        float | None, typer.Option("--pool-time", help="logmel: average frames over so many seconds (default 0.32).")
    ] = None,
    dtype: Annotated[FrameDtype, typer.Option(help="How frames are kept on disk.")] = FrameDtype.float16,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Make everything anew.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Any unusable clip is an error (exit code 5).")] = False,
) -> None:
    """Compute frozen embeddings: into embeddings/DATASET/ENCODER.h5."""
    from atrkit.reports.extraction_summary import extraction_record, extraction_sentence
    from atrkit.workflows.extract import ExtractOptions
    from atrkit.workflows.extract import extract as run

    settings = {} if pool_time_s is None else {"pool_time_s": pool_time_s}
    options = ExtractOptions(
        encoder, str(checkpoint) if checkpoint else None, settings, dtype.value, overwrite=overwrite, strict=strict
    )
    session = terminal.session
    chosen = session.workspace.load_dataset(dataset)
    if dataset is None:
        session.say(f"dataset: {chosen.name} (the one made last)")
    outcome = run(session, chosen, options)
    record = extraction_record(chosen.name, outcome.path, outcome.embeddings, was_there=outcome.was_there)
    terminal.show(extraction_sentence(record), record)
    terminal.finish(outcome.problems, outcome.problems_path)
