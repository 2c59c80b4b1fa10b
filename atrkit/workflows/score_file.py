"""The score file of a split: whether what is there fits, and how it is written."""

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from atrkit.errors import IntegrityError, MissingPrerequisiteError
from atrkit.score_matrix import ScoreMatrix
from atrkit.store.part_plan import PartPlan
from atrkit.store.score_parts import ScoreParts
from atrkit.store.scores import Calibration, StoredScores, load_stored_scores, save_scores
from atrkit.workflows.score_inputs import ScoreInputs
from atrkit.workflows.score_models import Float32Array
from atrkit.workflows.score_rows import calibration_rows, rows_of_split
from atrkit.workflows.session import Session

RESULTS_NAME = "results.json"


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores of a split, as they are in their file.

    Args:
        path: the file.
        matrix: higher is better; of a captioner, the losses negated.
        calibration: losses of training clips with the same captions, of as many as were asked for: the file may have
            more. Or None.
        about: what made them.
        was_there: nothing had to be computed.
        pairs_made: clips times captions that this call computed.
        seconds: that it took.
        unknown_words: of the captions, that the model does not know; counted for those that read words.
    """

    path: Path
    matrix: ScoreMatrix
    calibration: Calibration | None
    about: dict[str, Any]
    was_there: bool = True
    pairs_made: int = 0
    seconds: float = 0.0
    unknown_words: Counter[str] = field(default_factory=Counter)


def fitting_scores(session: Session, inputs: ScoreInputs, *, otherwise: str = "making it anew") -> StoredScores | None:
    """The scores that are there, where they are those of the inputs, calibration aside; says why they are not."""
    if not inputs.path.is_file():
        return None
    try:
        there = load_stored_scores(inputs.path)
    except IntegrityError:
        session.say(f"{inputs.path} is damaged, or of another version: {otherwise}")
        return None
    difference = inputs.difference(there)
    if difference:
        session.say(f"{inputs.path} was made with other input: {difference}; {otherwise}")
        return None
    return there


def scores_of(inputs: ScoreInputs, stored: StoredScores, **made: Any) -> Scores:
    """What a file holds, with the calibration that was asked for; the rest as `Scores` takes it."""
    calibration = stored.calibration
    if calibration is not None and inputs.calibration is not None:
        calibration = inputs.calibration.losses_in(calibration)
    return Scores(inputs.path, stored.matrix, calibration, stored.about, **made)


def join_parts(inputs: ScoreInputs, there: StoredScores | None, plan: PartPlan, parts: ScoreParts) -> None:
    """Write the score file from all parts, and remove them.

    Args:
        inputs: what was scored.
        there: scores of the split, where they need not be made again.
        plan: of the rows that had to be made.
        parts: finished.

    Raises:
        MissingPrerequisiteError: parts are missing; says the command.
        IntegrityError: a part is damaged, or of another plan; names it and the way out.
        ResourceError: the disk is full or cannot be written; the parts stay.
    """
    losses_NC = parts.gather(plan)
    tested = 0 if there else len(inputs.clips.clips)
    scores_AC = there.matrix.scores_AC if there else -rows_of_split(inputs).in_order(losses_NC[:tested])
    save_split(inputs, scores_AC, _calibration_of(inputs, there, losses_NC[tested:]))
    parts.clear()


def _calibration_of(inputs: ScoreInputs, there: StoredScores | None, made_KC: Float32Array) -> Calibration | None:
    """What is there and what was made, together."""
    drawn = inputs.stored_calibration
    if drawn is None:
        return None
    rows: dict[str, Float32Array] = {}
    if there is not None and there.calibration is not None and drawn.stored_in(there):
        rows |= zip(there.calibration.clip_ids, there.calibration.loss_KC, strict=True)
    if made := calibration_rows(inputs, there):
        rows |= zip((made.embeddings.clip_ids[k] for k in made.index), made.in_order(made_KC), strict=True)
    return Calibration(np.stack([rows[clip_id] for clip_id in drawn.clip_ids]), drawn.clip_ids)


def save_split(
    inputs: ScoreInputs,
    scores_AC: Float32Array,
    calibration: Calibration | None,
    calibration_record: dict[str, Any] | None = None,
    rerank_record: dict[str, Any] | None = None,
) -> None:
    """Write the scores of a split; results of others, in the same precision, are removed.

    Args:
        inputs: what was scored.
        scores_AC: higher is better.
        calibration: losses of training clips.
        calibration_record: which clips they are, where it is not that of the inputs.
        rerank_record: what the shortlist held, where only one was scored.
    """
    clips = inputs.clips
    matrix = ScoreMatrix(scores_AC, clips.embeddings.clip_ids, clips.caption_ids, clips.clip_of_caption)
    records = {"calibration": calibration_record, "rerank": rerank_record}
    about = {**inputs.about, **{key: record for key, record in records.items() if record}}
    if not holds_scores(inputs.path, matrix, about, calibration):
        # first, so that a kill cannot leave it beside other scores
        for results in results_beside(inputs.path):
            if _are_of(results, inputs.precision, reranked=inputs.first_stage is not None):
                results.unlink(missing_ok=True)
    save_scores(inputs.path, matrix, about, calibration=calibration)


def holds_scores(path: Path, matrix: ScoreMatrix, about: dict[str, Any], calibration: Calibration | None) -> bool:
    """Whether these very scores are there already, so that results beside them stay true."""
    try:
        there = load_stored_scores(path)
    except (MissingPrerequisiteError, IntegrityError):
        return False
    losses = [
        None if each is None else (each.clip_ids, each.loss_KC.tobytes()) for each in (there.calibration, calibration)
    ]
    return (
        there.about == json.loads(json.dumps(about))
        and losses[0] == losses[1]
        and all(
            getattr(there.matrix, ids) == getattr(matrix, ids) for ids in ("clip_ids", "caption_ids", "clip_of_caption")
        )
        and np.array_equal(there.matrix.scores_AC, matrix.scores_AC.astype(np.float32))
    )


def results_beside(scores: Path) -> list[Path]:
    """Results of recall, by whatever ground truth, that lie beside a file of scores."""
    return sorted(scores.parent.glob("results.*json"))


def _are_of(results: Path, precision: str, *, reranked: bool) -> bool:
    """Whether any of the results was computed from such scores, or does not say of which."""
    try:
        read = json.loads(results.read_bytes())
        return any(
            each.get("precision", precision) == precision and ("rerank" in each) == reranked
            for each in (read if type(read) is list else [read])
        )
    except (OSError, ValueError, AttributeError):
        return True
