"""Parts that lie beside a score file: those that made it are removed, those of another scoring are kept and said."""

from atrkit.errors import IntegrityError
from atrkit.files import one_at_a_time
from atrkit.store.part_plan import PartPlan
from atrkit.store.scores import StoredScores
from atrkit.workflows.score_inputs import ScoreInputs
from atrkit.workflows.score_rows import RowsOf, plan_rows, rows_needed, rows_of_split
from atrkit.workflows.session import Session


def remove_joined_parts(inputs: ScoreInputs, there: StoredScores | None) -> None:
    """Remove parts all of which are in the score file already: a kill between joining and tidying up leaves them.

    Args:
        inputs: what is scored.
        there: scores that are those of the inputs, calibration aside.

    Raises:
        ResourceError: they could not be removed.
    """
    parts = inputs.parts
    if there is None or not parts.folder.exists():
        return
    with one_at_a_time(inputs.path):  # another shard may begin a plan at this moment
        try:
            are_joined = not parts.is_under_way or _holds(inputs, there, parts.plan())
        except IntegrityError:
            return
        if are_joined:
            parts.clear()


def say_other_parts(session: Session, inputs: ScoreInputs) -> None:
    """Say that parts of another scoring lie there, and the command that joins them."""
    parts = inputs.parts
    if not parts.is_under_way:
        return
    try:
        begun = parts.plan()
    except IntegrityError:
        session.say(f"parts of another scoring lie in {parts.folder}, and their plan is damaged: delete the folder")
        return
    made, total = len(parts.finished(begun)), len(begun.parts)
    now = plan_rows(inputs, rows_needed(inputs, None))
    if not parts.can_finish(now):
        way = f"they are of other input ({parts.difference(now)}): delete the folder"
    elif made == total:
        way = f"join them: {parts.plain_command} --merge; or delete the folder"
    else:
        way = f"finish and join them: {parts.command_of(begun)}; or delete the folder"
    session.say(f"parts of another scoring lie in {parts.folder} ({made} of {total} are made); {way}")


def settle_plan(
    inputs: ScoreInputs, there: StoredScores | None, *, device: str | None = None
) -> tuple[StoredScores | None, list[RowsOf], PartPlan]:
    """What is to be made: what is missing, or all of it where just that is under way.

    Args:
        inputs: what is scored.
        there: scores that are those of the inputs, calibration aside.
        device: as for `plan_rows`.

    Returns:
        Scores to be used again, whose rows must be made, and the plan of them.
    """
    plans = []
    for known in [there] if there is None else [there, None]:
        sources = rows_needed(inputs, known)
        plan = plan_rows(inputs, sources, device=device)
        if inputs.parts.is_under_way and inputs.parts.difference(plan) is None:
            return known, sources, plan
        plans.append((known, sources, plan))
    return plans[0]


def _holds(inputs: ScoreInputs, there: StoredScores, plan: PartPlan) -> bool:
    """Whether the scores hold every row of a plan; where it was made does not matter."""
    provenance = dict(plan.provenance)
    calibration, _ = provenance.pop("calibration", None), provenance.pop("device", None)
    if provenance != inputs.provenance:
        return False
    if calibration is not None and (there.calibration is None or calibration != there.about.get("calibration")):
        return False
    tested = dict(rows_of_split(inputs).clips())
    rows = zip(plan.clip_ids, plan.audio_sha256, strict=True)
    return all(tested[name] == audio if name in tested else calibration is not None for name, audio in rows)
