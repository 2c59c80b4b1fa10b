"""What a user can say to `atrkit score`, and what is done then."""

from dataclasses import dataclass

from atrkit.errors import UsageError
from atrkit.files import single_writer
from atrkit.workflows.extract_options import Shard
from atrkit.workflows.first_stage import AS_THE_RECIPE_SAYS, RerankChoice
from atrkit.workflows.score import make_scores
from atrkit.workflows.score_file import Scores
from atrkit.workflows.score_inputs import score_inputs
from atrkit.workflows.score_models import Precision
from atrkit.workflows.score_shards import ScoreShard, merge_shards, score_shard
from atrkit.workflows.session import Session
from atrkit.workflows.trained_run import choose_split, clips_as_trained, open_run


@dataclass(frozen=True)
class ScoreOptions:
    """What the user asked for.

    Args:
        run: folder or name; None: the newest finished run.
        dataset: None: the run's own.
        split: None: the run's test split, or the only one there is.
        precision: arithmetic of a captioner; None: fp32.
        calibration_clips: training clips to be scored, too; None: as many as are stored, or the recipe's number,
            where its column scaling needs some.
        shard: make only this share of the parts.
        merge: join the parts that shards made; precision and calibration clips say which ones it must be.
        rerank: what is said of re-ranking beside the recipe.
        overwrite: make everything anew.
        may_extract: make missing embeddings.
    """

    run: str | None = None
    dataset: str | None = None
    split: str | None = None
    precision: Precision | None = None
    calibration_clips: int | None = None
    shard: Shard | None = None
    merge: bool = False
    rerank: RerankChoice = AS_THE_RECIPE_SAYS
    overwrite: bool = False
    may_extract: bool = True

    def __post_init__(self) -> None:
        """Refuse what cannot go together."""
        others = {
            "--shard": self.shard,
            "--overwrite": self.overwrite or None,
            "--rerank": self.rerank or None,
        }
        said = [option for option, value in others.items() if value is not None]
        if self.merge and said:
            raise UsageError(f"--merge joins parts as they are: leave {' and '.join(said)} out")


def score(session: Session, options: ScoreOptions) -> Scores | ScoreShard:
    """Score a split with a run, one share of it, or join the shares.

    Raises:
        UsageError: there is no such run or split, or the options do not fit the model.
        MissingPrerequisiteError: there is no finished run, dataset or embedding, or another process scores this split.
        IntegrityError: something that is there was made otherwise, or is damaged.
        ResourceError: the disk would be too small, or cannot be written.
        DivergedError: a score is not finite; names the clips.
    """
    trained = open_run(session, options.run)
    dataset = session.workspace.load_dataset(options.dataset or trained.finished["dataset"])
    split = choose_split(session, trained, dataset, options.split)
    clips = clips_as_trained(session, trained, dataset, split, may_extract=options.may_extract)
    if options.merge:
        count = options.calibration_clips
        return merge_shards(
            session, trained, dataset, split, clips, precision=options.precision, calibration_clips=count
        )
    reranks = options.rerank.settings_with(trained.recipe) is not None
    inputs = score_inputs(
        session,
        trained,
        dataset,
        split,
        clips,
        precision=options.precision or "fp32",
        calibration_clips=options.calibration_clips,
        scalings=[] if reranks else [trained.recipe.retrieval.column_scaling],
        rerank=options.rerank,
        may_extract=options.may_extract,
    )
    if options.shard is not None:
        shard = (options.shard.index, options.shard.count)
        return score_shard(session, inputs, shard, overwrite=options.overwrite)
    with single_writer(inputs.path):
        return make_scores(session, inputs, overwrite=options.overwrite)
