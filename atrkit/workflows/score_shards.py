"""`atrkit score --shard I/N` and `--merge`: one score matrix shared by processes that know nothing of each other."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

from atrkit.datasets.manifest import Dataset
from atrkit.errors import IntegrityError, MissingPrerequisiteError, UsageError
from atrkit.files import single_writer
from atrkit.store.scores import load_stored_scores
from atrkit.workflows.captioned import CaptionedClips
from atrkit.workflows.first_stage import NO_FIRST_STAGE, RerankChoice
from atrkit.workflows.score_file import Scores, fitting_scores, join_parts, scores_of
from atrkit.workflows.score_inputs import ScoreInputs, say_unknown_words, score_inputs
from atrkit.workflows.score_leftovers import remove_joined_parts, say_other_parts, settle_plan
from atrkit.workflows.score_models import Precision
from atrkit.workflows.score_rows import make_rows, require_room
from atrkit.workflows.session import Session
from atrkit.workflows.trained_run import TrainedRun


@dataclass(frozen=True)
class ScoreShard:
    """What came of one shard.

    Args:
        run: name of the run.
        dataset: name of the dataset.
        split: that is scored.
        path: the folder where the parts lie; the score file, when all was made and joined before.
        shard: which one this was, (i, n).
        parts: how many parts are this shard's.
        parts_made: how many of them this call made.
        unfinished_shards: which shards have parts to make yet; with none, `--merge` can join them.
        was_merged: all of it had been made and joined before.
    """

    run: str
    dataset: str
    split: str
    path: Path
    shard: tuple[int, int]
    parts: int
    parts_made: int
    unfinished_shards: tuple[str, ...]
    was_merged: bool


def score_shard(
    session: Session, inputs: ScoreInputs, shard: tuple[int, int], *, overwrite: bool = False
) -> ScoreShard:
    """Make one shard's parts; other shards may be at work on the same folder.

    Raises:
        UsageError: the model makes cosines, there is no such shard, or `overwrite`.
        MissingPrerequisiteError: another process makes this shard, or all of it.
        IntegrityError, ResourceError, DivergedError: as `score_split`.
    """
    _refuse_cosines(inputs)
    if overwrite:
        raise UsageError(f"--overwrite would delete what other shards make: delete {inputs.parts.folder} by hand first")
    what = (inputs.trained.name, inputs.dataset.name, inputs.split)
    with single_writer(inputs.path, shard=shard):
        say_unknown_words(session, inputs)
        there = fitting_scores(session, inputs)
        inputs = inputs.beside(session, there)
        parts = inputs.parts
        remove_joined_parts(inputs, there)
        if there is not None and inputs.calibration_difference(there) is None:
            session.say(f"scores: {inputs.path} (made before)")
            say_other_parts(session, inputs)
            return ScoreShard(*what, inputs.path, shard, 0, 0, (), was_merged=True)
        there, sources, plan = settle_plan(inputs, there)
        own = plan.shard(*shard)
        require_room(inputs, plan)
        parts.start(plan, shards=shard[1])
        made = make_rows(session, inputs, sources, plan, parts, own)
        unfinished = parts.unfinished_shards(plan)
    return ScoreShard(*what, parts.folder, shard, len(own), len(made), unfinished, was_merged=False)


def merge_shards(
    session: Session,
    trained: TrainedRun,
    dataset: Dataset,
    split: str,
    clips: CaptionedClips,
    *,
    precision: Precision | None = None,
    calibration_clips: int | None = None,
) -> Scores:
    """Join the parts that shards have made, with the calibration that they were begun with.

    Args:
        session: where to speak.
        trained: the run.
        dataset: that the split is of.
        split: its name.
        clips: of the split, with captions and embeddings.
        precision: whose parts; None: those that are there.
        calibration_clips: there must be so many or more; None: as many as there are.

    Raises:
        UsageError: the model makes cosines, or parts of several precisions are there.
        MissingPrerequisiteError: parts are missing (says which shards make them), there are none, they are of fewer
            calibration clips, or somebody still writes.
        IntegrityError: a part is damaged, or what decides the scores has changed since; says what.
        ResourceError: the disk is full or cannot be written; the parts stay.
    """
    every_pair = RerankChoice(run=NO_FIRST_STAGE)
    plain = score_inputs(session, trained, dataset, split, clips, rerank=every_pair)
    _refuse_cosines(plain)
    plain = _begun_inputs(plain, precision)
    with single_writer(plain.path):
        there = fitting_scores(session, plain, otherwise="it has to be made anew")
        remove_joined_parts(plain, there)
        begun = plain.parts
        is_joined = there is not None and not begun.is_under_way
        if is_joined:
            count = calibration_clips
        else:
            provenance = begun.plan().provenance
            count = provenance["calibration"] and provenance["calibration"]["clips"]
            if (calibration_clips or 0) > (count or 0):
                raise MissingPrerequisiteError(
                    f"the parts in {begun.folder} have {count or 'no'} calibration clips, and {calibration_clips} were "
                    "asked for: leave --calib-clips out to join them, and score with it afterwards, which adds some"
                )
        inputs = score_inputs(
            session,
            trained,
            dataset,
            split,
            clips,
            precision=plain.precision,
            calibration_clips=count,
            rerank=every_pair,
            may_extract=False,
        ).beside(session, there)
        if is_joined and there is not None:
            if difference := inputs.calibration_difference(there):
                raise MissingPrerequisiteError(
                    f"there are no parts to join in {begun.folder}, and of the scores in {inputs.path}, {difference}; "
                    f"run: {inputs.parts.command}"
                )
            clips_there = len(there.calibration.clip_ids) if there.calibration else "no"
            session.say(
                f"scores: {inputs.path} (joined before, in {inputs.precision}, {clips_there} calibration clips)"
            )
            return scores_of(inputs, there)
        unknown_words = say_unknown_words(session, inputs)
        there, _, plan = settle_plan(inputs, there, device=provenance["device"])
        if difference := inputs.parts.difference(plan):
            raise IntegrityError(
                f"the parts in {begun.folder} were begun with other input: {difference}; {inputs.parts.afresh}"
            )
        join_parts(inputs, there, plan, inputs.parts)
    return scores_of(inputs, load_stored_scores(inputs.path), was_there=False, unknown_words=unknown_words)


def _begun_inputs(inputs: ScoreInputs, precision: Precision | None) -> ScoreInputs:
    """Those of the precision that was asked for, or else of the only one whose parts, or scores, are there."""
    each = [replace(inputs, precision=one) for one in (get_args(Precision) if precision is None else [precision])]
    under_way = [one for one in each if one.parts.is_under_way]
    if len(under_way) > 1:
        names = " and ".join(one.precision for one in under_way)
        raise UsageError(f"parts in {names} are there: say with --precision which ones to join")
    finished = [one for one in each if one.path.is_file()]
    return (under_way or (finished if len(finished) == 1 else each))[0]


def _refuse_cosines(inputs: ScoreInputs) -> None:
    if inputs.first_stage is not None:
        raise UsageError("--shard and --merge are for every pair, and a shortlist has no parts: add --rerank none")
    if not inputs.in_parts:
        name = inputs.trained.recipe.model.name
        raise UsageError(f"--shard and --merge are of captioners and co_attention; scores of a {name} have no parts")
