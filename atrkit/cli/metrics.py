"""`atrkit download metrics`: jars and models of caption metrics."""

from enum import StrEnum
from typing import Annotated

import typer

from atrkit.cli.session import Terminal, with_terminal


class MetricPart(StrEnum):
    """What can be prepared by itself."""

    meteor = "meteor"
    spice = "spice"
    fense = "fense"


@with_terminal
def metrics(
    terminal: Terminal,
    only: Annotated[
        list[MetricPart] | None, typer.Option("--only", help="Prepare nothing else (repeatable; default: all).")
    ] = None,
) -> None:
    """Jars and models of METEOR, SPICE, SPIDEr and FENSE, verified, into the cache (`atrkit doctor` names it).

    Jars come from the package pycocoevalcap (pip install --no-deps pycocoevalcap); the rest, about 1.1 GB, is
    downloaded, or taken from where other programs have it. BLEU, ROUGE-L and CIDEr-D need none of this.
    """
    from atrkit.reports.metric_files import metric_files_view
    from atrkit.workflows.download.metrics import download_metrics

    record = download_metrics(terminal.session, [part.value for part in only] if only else None)
    terminal.show(metric_files_view(record), record)
