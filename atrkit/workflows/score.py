"""`atrkit score`: scores of every clip of a split with every caption, in parts where they take long."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from atrkit.datasets.manifest import Dataset
from atrkit.files import single_writer
from atrkit.store.scores import Calibration, StoredScores, load_stored_scores
from atrkit.workflows.captioned import CaptionedClips
from atrkit.workflows.first_stage import AS_THE_RECIPE_SAYS, FirstStage, RerankChoice
from atrkit.workflows.rerank import reranked_scores
from atrkit.workflows.score_file import RESULTS_NAME, Scores, fitting_scores, join_parts, save_split, scores_of
from atrkit.workflows.score_inputs import ScoreInputs, say_unknown_words, score_inputs
from atrkit.workflows.score_leftovers import remove_joined_parts, say_other_parts, settle_plan
from atrkit.workflows.score_models import Precision, open_scorer, scoring_of
from atrkit.workflows.score_rows import make_rows, require_room
from atrkit.workflows.score_shards import score_shard
from atrkit.workflows.session import Session
from atrkit.workflows.trained_run import TrainedRun

__all__ = ["RESULTS_NAME", "Scores", "make_scores", "score_inputs", "score_split", "scoring_of"]


def score_split(
    session: Session,
    trained: TrainedRun,
    dataset: Dataset,
    split: str,
    clips: CaptionedClips,
    *,
    precision: Precision = "fp32",
    calibration_clips: int | None = None,
    shard: tuple[int, int] | None = None,
    rerank: RerankChoice = AS_THE_RECIPE_SAYS,
    overwrite: bool = False,
    may_extract: bool = True,
) -> Scores | None:
    """Score every clip of a split with every caption, or take the scores that are there.

    A captioner's scores take minutes to hours: they are made in parts, finished by the same command after whatever
    stopped it, and used again as long as nothing that decides them has changed. Cosines take seconds, and are made
    anew each time.

    Args:
        session: where to speak.
        trained: the run.
        dataset: that the split is of.
        split: its name.
        clips: of the split, with captions and embeddings.
        precision: arithmetic of a captioner.
        calibration_clips: score so many training clips, too, for column scaling; None: none.
        shard: make the parts of one shard only, (i, n), from 1.
        rerank: what the user says of re-ranking beside the recipe.
        overwrite: make all of it anew, whatever is there.
        may_extract: make missing embeddings of the training clips.

    Returns:
        What is in the file; None where only a shard was made.

    Raises:
        UsageError: precision or shard with a model that makes cosines; a shard that is to overwrite.
        MissingPrerequisiteError: another process scores this split, or no calibration clip is left.
        IntegrityError: scores of other input are under way, or a part or the model is damaged.
        ResourceError: the disk would be too small, or cannot be written.
        DivergedError: a loss or score is not finite; names the clips.
    """
    inputs = score_inputs(
        session,
        trained,
        dataset,
        split,
        clips,
        precision=precision,
        calibration_clips=calibration_clips,
        rerank=rerank,
        may_extract=may_extract,
    )
    if shard is not None:
        score_shard(session, inputs, shard, overwrite=overwrite)
        return None
    with single_writer(inputs.path):
        return make_scores(session, inputs, overwrite=overwrite)


def make_scores(session: Session, inputs: ScoreInputs, *, overwrite: bool = False) -> Scores:
    """Do as `score_split` for a caller that holds `single_writer(inputs.path)`, and writes beside the scores."""
    unknown_words = say_unknown_words(session, inputs)
    there = None if overwrite else fitting_scores(session, inputs)
    inputs = inputs.beside(session, there)
    if inputs.in_parts:
        remove_joined_parts(inputs, there)
    if inputs.takes_long and there is not None and inputs.calibration_difference(there) is None:
        session.say(f"scores: {inputs.path} (made before)")
        if inputs.in_parts:
            say_other_parts(session, inputs)
        return scores_of(inputs, there, unknown_words=unknown_words)
    started_s = time.perf_counter()
    if inputs.first_stage is not None:
        pairs = _rerank(session, inputs, inputs.first_stage)
    elif inputs.in_parts:
        pairs = _make_losses(session, inputs, there, overwrite=overwrite)
    else:
        pairs = _make_cosines(session, inputs, there)
    seconds = time.perf_counter() - started_s
    # whoever reads the file again finds the same
    made = load_stored_scores(inputs.path)
    return scores_of(inputs, made, was_there=False, pairs_made=pairs, seconds=seconds, unknown_words=unknown_words)


def _make_losses(session: Session, inputs: ScoreInputs, there: StoredScores | None, *, overwrite: bool) -> int:
    if there is not None:
        session.say(f"scores: {inputs.path} (made before); {inputs.calibration_difference(there)}: making that")
    there, sources, plan = settle_plan(inputs, there)
    parts = inputs.parts
    # with --overwrite parts of this very plan stay: the same command continues after a kill
    if overwrite and parts.difference(plan):
        parts.clear()
    require_room(inputs, plan)
    parts.start(plan)
    made = make_rows(session, inputs, sources, plan, parts, range(len(plan.parts)))
    join_parts(inputs, there, plan, parts)
    return sum(len(plan.parts[part]) for part in made) * len(inputs.clips.caption_ids)


def _rerank(session: Session, inputs: ScoreInputs, first_stage: FirstStage) -> int:
    scores_AC, record = reranked_scores(session, inputs, first_stage)
    save_split(inputs, scores_AC, None, rerank_record=record)
    return int(record["pairs"])


def _make_cosines(session: Session, inputs: ScoreInputs, there: StoredScores | None) -> int:
    drawn = inputs.stored_calibration
    with _progress(session, inputs, len(drawn.clip_ids) if drawn else 0) as advance:
        score = open_scorer(inputs.trained.recipe, inputs.trained.folder, inputs.clips, on_progress=advance)
        scores_AC = score(inputs.clips.embeddings)
        calibration = Calibration(-score(drawn.embeddings.select(drawn.clip_ids)), drawn.clip_ids) if drawn else None
    if drawn is None and there is not None:  # nobody asked: the one that is there stays
        save_split(inputs, scores_AC, there.calibration, there.about.get("calibration"))
    else:
        save_split(inputs, scores_AC, calibration)
    return scores_AC.size + (calibration.loss_KC.size if calibration else 0)


def _progress(
    session: Session, inputs: ScoreInputs, calibration_clips: int
) -> AbstractContextManager[Callable[[int], None] | None]:
    """A display, for models that do not take seconds."""
    if not inputs.takes_long:
        return nullcontext()
    clips = len(inputs.clips.clips) + calibration_clips
    return session.open_progress(f"scores of {inputs.dataset.name}/{inputs.split}", clips, "clips")
