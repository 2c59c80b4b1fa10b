"""`atrkit score`: scores of every clip of a split with every caption."""

from typing import Annotated

import typer

from atrkit.cli.precision import Precision
from atrkit.cli.session import Terminal, with_terminal


@with_terminal
def score(
    terminal: Terminal,
    run: Annotated[str | None, typer.Option(help="Folder or name of a run (default: the newest finished).")] = None,
    dataset: Annotated[str | None, typer.Option(help="Score this dataset (default: the run's own).")] = None,
    split: Annotated[str | None, typer.Option(help="Which split (default: the run's test split).")] = None,
    precision: Annotated[
        Precision | None, typer.Option(help="Arithmetic of a captioner (default: fp32, for published figures).")
    ] = None,
    calib_clips: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Also score N training clips, for the column scalings minmax-calib and pmi "
            "(default: those that are stored, or what the recipe's scaling needs).",
        ),
    ] = None,
    shard: Annotated[
        str | None, typer.Option(metavar="I/N", help="Captioners: make only the I-th of N shares of the parts.")
    ] = None,
    merge: Annotated[bool, typer.Option("--merge", help="Captioners: join the parts that shards made.")] = False,
    rerank: Annotated[
        str | None,
        typer.Option(metavar="RUN", help="Score only what this run shortlists; none: all pairs (default: the recipe)."),
    ] = None,
    rerank_k: Annotated[
        int | None, typer.Option(min=1, metavar="K", help="Candidates per caption and per clip (default: 100).")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Make everything anew.")] = False,
    no_extract: Annotated[
        bool, typer.Option("--no-extract", help="Do not make missing embeddings; say what is missing.")
    ] = False,
) -> None:
    """Score every clip of a split with every caption: into scores.h5 of the run, in parts that survive a kill."""
    from atrkit.reports.score_summary import score_record, score_sentence, score_shard_record, score_shard_sentence
    from atrkit.workflows.extract_options import parse_shard
    from atrkit.workflows.first_stage import RerankChoice
    from atrkit.workflows.score_command import ScoreOptions
    from atrkit.workflows.score_command import score as run_score
    from atrkit.workflows.score_file import Scores

    options = ScoreOptions(
        run,
        dataset,
        split,
        precision=None if precision is None else precision.value,
        calibration_clips=calib_clips,
        shard=None if shard is None else parse_shard(shard),
        merge=merge,
        rerank=RerankChoice(rerank, rerank_k),
        overwrite=overwrite,
        may_extract=not no_extract,
    )
    outcome = run_score(terminal.session, options)
    if isinstance(outcome, Scores):
        record = score_record(outcome)
        terminal.show(score_sentence(record), record)
    else:
        record = score_shard_record(outcome)
        terminal.show(score_shard_sentence(record), record)
