"""The options of `atrkit eval`, by what they are about: what is evaluated, by which truth, which figures."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from atrkit.cli.precision import Precision

_WHAT = "What is evaluated"
_SCORING = "How it is scored"
_TRUTH = "What counts as right"
_FIGURES = "Which figures"


class Dedup(StrEnum):
    """What is done with captions that several clips share."""

    none = "none"
    text = "text"


RunOption = Annotated[
    str | None, typer.Option(help="Folder or name of a run (default: the newest finished).", rich_help_panel=_WHAT)
]
RunsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--runs",
        metavar="NAMES",
        help="Several runs in one table, seeds of one training averaged: a name or a quoted pattern, 'runs/x/*' "
        "(repeatable).",
        rich_help_panel=_WHAT,
    ),
]
ModelOption = Annotated[
    str | None,
    typer.Option(
        metavar="FOLDER|HUB_ID",
        help="A CLAP model of transformers as it is, zero-shot, instead of a run.",
        rich_help_panel=_WHAT,
    ),
]
ScoresOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Scores made elsewhere, instead of a run: .h5, .npz, .npy, CSV, TREC run, challenge submission.",
        rich_help_panel=_WHAT,
    ),
]
EmbeddingsOption = Annotated[
    tuple[Path, Path] | None,
    typer.Option(
        metavar="CLIPS CAPTIONS",
        help="Embeddings made elsewhere, two files: their cosines are scored. .npz with embeddings, ids and, for "
        "captions, clip_of_caption and texts; or .npy with ids beside it.",
        rich_help_panel=_WHAT,
    ),
]
DatasetOption = Annotated[
    str | None, typer.Option(help="Evaluate on this dataset (default: the run's own).", rich_help_panel=_WHAT)
]
SplitOption = Annotated[
    str | None, typer.Option(help="Which split (default: the run's test split).", rich_help_panel=_WHAT)
]

ScalingOption = Annotated[
    list[str] | None,
    typer.Option(
        help="Column scaling: none, minmax, minmax-calib, pmi; several: a,b (default: the recipe's).",
        rich_help_panel=_SCORING,
    ),
]
CalibClipsOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Training clips for minmax-calib and pmi (default: the recipe's number).",
        rich_help_panel=_SCORING,
    ),
]
RerankOption = Annotated[
    str | None,
    typer.Option(
        metavar="RUN",
        help="Score only what this run shortlists; none: all pairs (default: the recipe).",
        rich_help_panel=_SCORING,
    ),
]
RerankKOption = Annotated[
    int | None,
    typer.Option(
        min=1, metavar="K", help="Candidates per caption and per clip (default: 100).", rich_help_panel=_SCORING
    ),
]
PrecisionOption = Annotated[
    Precision | None,
    typer.Option(help="In which a captioner scores (default: fp32, for figures to publish).", rich_help_panel=_SCORING),
]
BeamSizeOption = Annotated[
    int | None, typer.Option(min=1, help="Of --metric caption (default: the recipe's).", rich_help_panel=_SCORING)
]
NoExtractOption = Annotated[
    bool,
    typer.Option("--no-extract", help="Do not make missing embeddings; say what is missing.", rich_help_panel=_SCORING),
]

TruthOption = Annotated[
    Path | None,
    typer.Option(
        metavar="CSV",
        help="Whose caption is whose, for --scores and --embeddings: a table of captions.",
        rich_help_panel=_TRUTH,
    ),
]
PartialOption = Annotated[
    bool,
    typer.Option(
        "--partial",
        help="Rank only what has scores, where --truth or --dataset has more: another pool.",
        rich_help_panel=_TRUTH,
    ),
]
QrelsOption = Annotated[
    str | None,
    typer.Option(
        metavar="FILE|FOLDER|NAME",
        help="Judge by these, several relevant or graded clips per caption (text to audio): TREC qrels, a TSV of "
        "query-id, corpus-id, score, metadata_eval.csv of DCASE 2025, the folder of the graded relevances of 2023, or "
        "what was kept of a dataset.",
        rich_help_panel=_TRUTH,
    ),
]
MinGradeOption = Annotated[
    int | None,
    typer.Option(min=1, help="Of --qrels: the grade from which a clip counts as relevant.", rich_help_panel=_TRUTH),
]
DedupOption = Annotated[
    Dedup,
    typer.Option(help="text: captions with the same words are relevant to each other's clips.", rich_help_panel=_TRUTH),
]
ProtocolOption = Annotated[
    list[str] | None,
    typer.Option(
        help="Beside ours, as other code computes it: wavcaps, laion, dcase23, mteb, koepke, all.",
        rich_help_panel=_TRUTH,
    ),
]

MetricOption = Annotated[
    list[str] | None,
    typer.Option(
        help="recall (default), caption, perturbation; several: one option each, or a,b.", rich_help_panel=_FIGURES
    ),
]
CutoffsOption = Annotated[str, typer.Option("-k", help="Cut-offs of recall.", rich_help_panel=_FIGURES)]
CiOption = Annotated[
    bool,
    typer.Option("--ci", help="95 % intervals (bootstrap over clips, 10,000 resamples).", rich_help_panel=_FIGURES),
]
FullOption = Annotated[
    bool,
    typer.Option(
        "--full", help="Also print the fraction of relevant items found, and mAP@16.", rich_help_panel=_FIGURES
    ),
]
TiesOption = Annotated[
    bool,
    typer.Option(
        "--ties", help="Also print what tied scores could make at best and at worst.", rich_help_panel=_FIGURES
    ),
]
