"""`atrkit score --shard I/N` and `--merge`: one score matrix shared by processes that know nothing of each other."""

from dataclasses import dataclass
from pathlib import Path

from atrkit.datasets.manifest import Dataset
from atrkit.errors import IntegrityError, UsageError
from atrkit.files import single_writer
from atrkit.store.score_parts import ScoreParts
from atrkit.store.scores import load_stored_scores
from atrkit.workflows.captioned import CaptionedClips
from atrkit.workflows.score_file import Scores, fitting_scores, join_parts, scores_of
from atrkit.workflows.score_inputs import ScoreInputs, say_unknown_words, score_inputs
from atrkit.workflows.score_rows import make_rows, plan_rows, require_room, rows_needed
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
    parts = ScoreParts(inputs.path, inputs.command)
    if overwrite:
        raise UsageError(f"--overwrite would delete what other shards make: delete {parts.folder} by hand first")
    what = (inputs.trained.name, inputs.dataset.name, inputs.split)
    with single_writer(inputs.path, shard=shard):
        say_unknown_words(session, inputs)
        there = fitting_scores(session, inputs)
        inputs = inputs.beside(session, there)
        if there is not None and inputs.calibration_difference(there) is None:
            session.say(f"scores: {inputs.path} (made before)")
            return ScoreShard(*what, inputs.path, shard, 0, 0, (), was_merged=True)
        sources = rows_needed(inputs, there)
        plan = plan_rows(inputs, sources)
        own = plan.shard(*shard)
        require_room(inputs, plan)
        parts.start(plan, shards=shard[1])
        made = make_rows(session, inputs, sources, plan, parts, own)
        unfinished = parts.unfinished_shards(plan)
    return ScoreShard(*what, parts.folder, shard, len(own), len(made), unfinished, was_merged=False)


def merge_shards(session: Session, trained: TrainedRun, dataset: Dataset, split: str, clips: CaptionedClips) -> Scores:
    """Join the parts that shards have made, with the precision and calibration that they were begun with.

    Raises:
        UsageError: the model makes cosines.
        MissingPrerequisiteError: parts are missing (says which shards make them), there are none, or somebody still
            writes.
        IntegrityError: a part is damaged, or what decides the scores has changed since; says what.
        ResourceError: the disk is full or cannot be written; the parts stay.
    """
    plain = score_inputs(session, trained, dataset, split, clips)
    _refuse_cosines(plain)
    with single_writer(plain.path):
        begun = ScoreParts(plain.path, plain.command)
        if plain.path.is_file() and not begun.is_under_way:
            joined = load_stored_scores(plain.path)
            session.say(f"scores: {plain.path} (joined before)")
            return Scores(plain.path, joined.matrix, joined.calibration, joined.about)
        provenance = begun.plan().provenance
        calibration = provenance["calibration"]
        inputs = score_inputs(
            session,
            trained,
            dataset,
            split,
            clips,
            precision=provenance["precision"],
            calibration_clips=calibration and calibration["clips"],
            may_extract=False,
        )
        unknown_words = say_unknown_words(session, inputs)
        parts, there = ScoreParts(inputs.path, inputs.command), fitting_scores(session, inputs)
        inputs = inputs.beside(session, there)
        plan = plan_rows(inputs, rows_needed(inputs, there), device=provenance["device"])
        if difference := parts.difference(plan):
            raise IntegrityError(
                f"the parts in {parts.folder} were begun with other input: {difference}; {parts.afresh}"
            )
        join_parts(inputs, there, plan, parts)
    return scores_of(inputs, load_stored_scores(inputs.path), was_there=False, unknown_words=unknown_words)


def _refuse_cosines(inputs: ScoreInputs) -> None:
    if not inputs.is_captioner:
        name = inputs.trained.recipe.model.name
        raise UsageError(f"--shard and --merge are for captioners: a {name} scores a split in seconds, leave them out")
