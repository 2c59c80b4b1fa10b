"""`atrkit eval`: scores of every pair, and the recall table."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from atrkit.datasets.manifest import Dataset
from atrkit.errors import UsageError
from atrkit.files import single_writer, write_json_atomic
from atrkit.metrics.duplicates import duplicate_captions
from atrkit.metrics.hubness import audio_to_text_hubness, text_to_audio_hubness
from atrkit.metrics.ranking import evaluate as ranking_figures
from atrkit.metrics.ranking import tie_bounds
from atrkit.metrics.tie_blocks import audio_to_text_blocks, text_to_audio_blocks
from atrkit.metrics.twin_order import TwinOrder, twin_order
from atrkit.score_matrix import ScoreMatrix
from atrkit.store.scores import load_scores, save_scores
from atrkit.workflows.captioned import CaptionedClips
from atrkit.workflows.score_models import score_run, scoring_of
from atrkit.workflows.session import Session
from atrkit.workflows.trained_run import TrainedRun, choose_split, clips_as_trained, open_run

SCORES_NAME = "scores.h5"
RESULTS_NAME = "results.json"


@dataclass(frozen=True)
class EvaluateOptions:
    """What the user asked for.

    Args:
        run: folder or name; None: the newest finished run.
        dataset: None: the run's own.
        split: None: the run's test split, or the only one there is.
        may_extract: make missing embeddings.
    """

    run: str | None = None
    dataset: str | None = None
    split: str | None = None
    may_extract: bool = True


@dataclass(frozen=True)
class Evaluation:
    """What came of it.

    Args:
        result: the JSON object of DESIGN.md section 9, and what else was found.
        folder: where scores.h5 and results.json lie.
    """

    result: dict[str, Any]
    folder: Path


def evaluate_run(session: Session, options: EvaluateOptions) -> Evaluation:
    """Score every clip of a split with every caption, write the scores, and compute every figure from the file.

    Raises:
        MissingPrerequisiteError: there is no finished run, dataset or embedding; says the command that makes it.
        UsageError: there is no such run or split; lists the choices.
        IntegrityError: embeddings were made with other settings than the run's.
        DivergedError: a score is NaN.
    """
    trained = open_run(session, options.run)
    recipe = trained.recipe
    dataset = session.workspace.load_dataset(options.dataset or trained.finished["dataset"])
    split = choose_split(session, trained, dataset, options.split)
    output = trained.output_folder(dataset, split)
    clips = clips_as_trained(session, trained, dataset, split, may_extract=options.may_extract)
    trained_on = _count_trained_on(trained.inputs, clips)
    about = {
        "run": trained.name,
        "dataset": dataset.name,
        "split": split,
        "scoring": scoring_of(recipe),
        "column_scaling": recipe.retrieval.column_scaling,
    }
    with single_writer(output / SCORES_NAME):
        matrix = score_run(recipe, trained.folder, clips)
        (output / RESULTS_NAME).unlink(missing_ok=True)  # so that a kill cannot leave it beside other scores
        save_scores(output / SCORES_NAME, matrix, about)
        # the figures are those of the file: whoever reads it again finds the same
        matrix = load_scores(output / SCORES_NAME)
        result = {
            **about,
            "pool_id": matrix.pool_id,
            **_figures(matrix),
            **_beside_recall(matrix, clips),
            "target": recipe.target.model_dump(mode="json")
            if recipe.target and trained.is_own(dataset, split)
            else None,
            "clips_trained_on": trained_on,
        }
        write_json_atomic(output / RESULTS_NAME, result)
    return Evaluation(result, output)


def _target(trained: TrainedRun, dataset: Dataset, split: str) -> dict[str, Any] | None:
    """The published row, where it is the run's own test split that was measured."""
    target = trained.recipe.target
    return target.model_dump(mode="json") if target and trained.is_own(dataset, split) else None


def _beside_recall(matrix: ScoreMatrix, clips: CaptionedClips) -> dict[str, Any]:
    """What recall does not say: hubs, captions that several clips share, and order."""
    return {
        "hubness": {
            "text_to_audio": asdict(text_to_audio_hubness(matrix)),
            "audio_to_text": asdict(audio_to_text_hubness(matrix)),
        },
        "duplicate_captions": asdict(duplicate_captions(matrix, clips.all_captions)),
        "twin_order": _twin_order(clips, matrix),
    }


def _figures(matrix: ScoreMatrix) -> dict[str, Any]:
    """Both directions, each with the figures that ties could make at best and at worst where there are any."""
    figures = ranking_figures(matrix)
    for direction, blocks_of in (("text_to_audio", text_to_audio_blocks), ("audio_to_text", audio_to_text_blocks)):
        if figures[direction]["tied_queries"]:
            figures[direction]["tie_bounds"] = tie_bounds(blocks_of(matrix))
    return figures


def _count_trained_on(inputs: dict[str, Any], clips: CaptionedClips) -> int:
    """Clips whose very audio the run was trained on, under whatever name: recall on them measures memory."""
    known = set(inputs["clips"].values())
    return sum(clip.sha256 in known for clip in clips.clips)


def _twin_order(clips: CaptionedClips, matrix: ScoreMatrix) -> dict[str, Any] | None:
    twins = {clip.id: clip.twin for clip in clips.clips if clip.twin is not None}
    if not twins:
        return None
    figure: TwinOrder | None = twin_order(
        matrix,
        {clip_id: twin.group for clip_id, twin in twins.items()},
        {clip_id: twin.relation for clip_id, twin in twins.items()},
        np.random.default_rng(0),  # of the resamples: the interval is the same whoever computes it
    )
    return asdict(figure) if figure else None


def parse_metrics(wanted: Sequence[str]) -> None:
    """Refuse a metric that this version does not compute.

    Raises:
        UsageError: lists those it computes.
    """
    unknown = [metric for metric in wanted if metric != "recall"]
    if unknown:
        raise UsageError(f"--metric {unknown[0]}: this version computes: recall")
