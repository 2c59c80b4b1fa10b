"""`atrkit eval --metric recall`: scores of every pair, and what they retrieve, for each column scaling."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from atrkit.files import single_writer, write_json_atomic
from atrkit.metrics.twin_order import TwinOrder, twin_order
from atrkit.recipe.schema import ColumnScaling
from atrkit.score_matrix import ScoreMatrix
from atrkit.scoring.scaling import audio_to_text_matrix
from atrkit.workflows.captioned import CaptionedClips
from atrkit.workflows.evaluate import Evaluated, EvaluateOptions
from atrkit.workflows.judgements import Judgements, judgements_for
from atrkit.workflows.retrieval_figures import DEFAULT_FIGURES, FigureOptions, retrieval_figures
from atrkit.workflows.score import Scores, make_scores, score_inputs
from atrkit.workflows.score_calibration import least_calibration, require_calibration
from atrkit.workflows.session import Session
from atrkit.workflows.target import target_difference
from atrkit.workflows.trained_run import clips_as_trained


@dataclass(frozen=True)
class RecallEvaluation:
    """What an evaluation found, and what it was computed from.

    Args:
        results: the JSON object of DESIGN.md section 9, and what else was found, for each column scaling.
        scores: of every clip with every caption.
        clips: that were scored.
    """

    results: list[dict[str, Any]]
    scores: Scores
    clips: CaptionedClips


def evaluate_recall(session: Session, evaluated: Evaluated, options: EvaluateOptions) -> RecallEvaluation:
    """Score every clip of the split with every caption, and compute every figure from the file of scores.

    Results are written beside it, to `options.figures.results_name`.
    """
    trained = evaluated.trained
    scalings = options.scalings or (trained.recipe.retrieval.column_scaling,)
    require_calibration(scalings, options.calibration_clips)
    judgements = judgements_for(session, options.figures.qrels, evaluated.dataset, evaluated.split)
    clips = clips_as_trained(session, trained, evaluated.dataset, evaluated.split, may_extract=options.may_extract)
    inputs = score_inputs(
        session,
        trained,
        evaluated.dataset,
        evaluated.split,
        clips,
        precision=options.precision or "fp32",
        calibration_clips=options.calibration_clips,
        scalings=scalings,
        rerank=options.rerank,
        may_extract=options.may_extract,
    )
    target = _published(session, evaluated, options.figures)
    figures = replace(options.figures, ci=options.figures.ci or bool(target and target["values"]))
    with single_writer(inputs.path):
        scores = make_scores(session, inputs)
        results = [
            {
                "metric": "recall",
                **evaluated.about,
                "scoring": scores.about["scoring"],
                "precision": options.precision or "fp32",
                "column_scaling": scaling,
                "pool_id": scores.matrix.pool_id,
                **({"rerank": scores.about["rerank"]} if inputs.first_stage else {}),
                **recall_figures(scores, scaling, clips.all_captions, figures, judgements),
                "twin_order": twin_order_of(clips, scores.matrix),
                "target": target,
                **evaluated.trained_on(None if inputs.first_stage is None else inputs.first_stage.trained),
            }
            for scaling in scalings
        ]
        for result in results:
            result["target_difference"] = target_difference(result, target)
        write_json_atomic(evaluated.folder / options.figures.results_name, results[0] if len(results) == 1 else results)
    return RecallEvaluation(results, scores, clips)


def _published(session: Session, evaluated: Evaluated, options: FigureOptions) -> dict[str, Any] | None:
    """The published row; none beside figures by another ground truth."""
    other = "--qrels" if options.qrels is not None else "--dedup" if options.dedup != "none" else None
    if evaluated.target is not None and other is not None:
        session.say(f"{other}: the published figures count each caption's own clip alone, and are not shown beside")
        return None
    return evaluated.target


def recall_figures(
    scores: Scores,
    scaling: ColumnScaling,
    caption_texts: Sequence[str],
    options: FigureOptions = DEFAULT_FIGURES,
    judgements: Judgements | None = None,
) -> dict[str, Any]:
    """Figures of a score file under a column scaling."""
    raw, calibration = scores.matrix, scores.calibration
    scaled = audio_to_text_matrix(raw, scaling, None if calibration is None else calibration.loss_KC)
    figures = retrieval_figures(
        raw,
        None if scaling == "none" else scaled,
        caption_texts=caption_texts,
        options=options,
        judgements=judgements,
    )
    used = calibration if least_calibration((scaling,)) else None
    return {**figures, **({} if used is None else {"calibration_clips": len(used.clip_ids)})}


def twin_order_of(clips: CaptionedClips, matrix: ScoreMatrix) -> dict[str, Any] | None:
    """How often a clip is told from its twin of another order of events; None without twins."""
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
