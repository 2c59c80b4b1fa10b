"""`atrkit eval --scores` and `--embeddings`: figures of what was made elsewhere, by the same code as for runs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atrkit.datasets.manifest import Dataset
from atrkit.errors import DivergedError, ResourceError, UsageError
from atrkit.exchange.detect import FoundScores, read_found_scores
from atrkit.exchange.foreign import LARGEST_IN_MEMORY_BYTES, ForeignScores, FoundLists, RankedLists
from atrkit.exchange.matching import judge_lists, judge_matrix
from atrkit.exchange.truth import Truth, read_truth_csv, truth_of_clips, truth_of_grades
from atrkit.files import sha256_of_file
from atrkit.recipe.schema import ColumnScaling
from atrkit.score_matrix import ScoreMatrix, ScoreRows, pool_id_of
from atrkit.scoring.scaling import audio_to_text_matrix
from atrkit.workflows.evaluate import EvaluateOptions
from atrkit.workflows.first_stage import AS_THE_RECIPE_SAYS
from atrkit.workflows.foreign_embeddings import cosines_found
from atrkit.workflows.judgements import Judgements, judgements_for
from atrkit.workflows.list_figures import list_figures
from atrkit.workflows.retrieval_figures import FigureOptions, retrieval_figures
from atrkit.workflows.session import Session
from atrkit.workflows.trained_run import choose_test_split

_LOSS = "cross_entropy"


@dataclass(frozen=True)
class ForeignSource:
    """Files that were made elsewhere; one of the first two.

    Args:
        scores: of pairs, or ranked lists.
        embeddings: of clips and of captions, in a common space.
        truth: whose caption is whose, where the files do not say.
        is_partial: rank only the clips and captions of the truth that have scores.
    """

    scores: Path | None
    embeddings: tuple[Path, Path] | None
    truth: Path | None
    is_partial: bool = False

    @property
    def path(self) -> Path:
        """The file that results are named by."""
        path = self.scores or (self.embeddings or (None,))[0]
        assert path is not None
        return path

    @property
    def name(self) -> str:
        """All files, as titles have them."""
        return " and ".join(path.name for path in ([self.scores] if self.scores else self.embeddings or ()))


def evaluate_foreign(session: Session, source: ForeignSource, options: EvaluateOptions) -> list[dict[str, Any]]:
    """Read, rank and judge; nothing is written.

    Whose caption is whose comes from `--truth`, else from `--dataset`, else from the file, else from `--qrels`.

    Args:
        session: where to speak.
        source: the files.
        options: dataset, split, scalings and figures; the others are of trained runs.

    Returns:
        JSON objects as of `evaluate_run`, one for each column scaling, with "source" (path, sha256, format) and
        "notes". Of ranked lists, audio to text and what depends on clips below the lists are null.

    Raises:
        UsageError: an option that is of trained runs, or nobody says whose caption is whose (exit code 2).
        MissingPrerequisiteError: ids that should lie beside the file, or the dataset, are not there (exit code 3).
        ResourceError: losses that are to be scaled are too large for memory (exit code 4).
        IntegrityError: the file is damaged, of no known format, or does not fit the truth (exit code 5).
        DivergedError: a score is NaN (exit code 8).
    """
    _refuse_what_needs_a_run(source, options)
    path = source.path
    dataset = None if options.dataset is None else session.workspace.load_dataset(options.dataset)
    split = None if dataset is None else choose_test_split(session, dataset, options.split)
    stated = stated_truth(source, dataset, split)
    judgements = judgements_for(session, options.figures.qrels, dataset, split, stated)
    read, foreign = read_foreign(session, source, stated, judgements)
    about = {
        "metric": "recall",
        "run": source.name,
        "dataset": read.about.get("dataset") if dataset is None else dataset.name,
        "split": read.about.get("split") if dataset is None else split,
        "scoring": read.about.get("scoring", foreign.format_name),
        "precision": None,
    }
    after = {
        "target": None,
        "clips_trained_on": None,
        "source": _provenance(source, foreign.format_name),
        "notes": list(foreign.notes),
    }
    scalings = _scalings(session, path, read, foreign, options)
    try:
        return [
            {
                **about,
                "column_scaling": scaling,
                "pool_id": pool_id_of(foreign.clip_ids, list(foreign.clip_of_caption)),
                **_figures(foreign, read, scaling, options.figures, judgements),
                **after,
            }
            for scaling in scalings
        ]
    except DivergedError as error:  # a block of a large matrix, or a loss that is to be scaled
        raise DivergedError(f"{path}: {error}") from None


def read_foreign(
    session: Session,
    source: ForeignSource,
    stated: Truth | None,
    judgements: Judgements | None = None,
    *,
    otherwise: Truth | None = None,
) -> tuple[FoundScores, ForeignScores]:
    """Read files, and give what is in them the ids of a truth.

    Args:
        session: told what was left out, matched or guessed.
        source: the files.
        stated: whose caption is whose, whatever the files say of it; None: what they say.
        judgements: whose clips are a truth where nothing else is.
        otherwise: whose caption is whose where the files do not say.

    Returns:
        What the files hold by their own names, and by the truth's ids.

    Raises:
        UsageError, MissingPrerequisiteError, IntegrityError, DivergedError: as of `evaluate_foreign`.
    """
    if judgements is not None and stated is not None:
        judgements = judgements.fitting(stated.clip_of_caption, stated.clip_ids)
    judged = None if judgements is None else truth_of_grades(judgements.name, judgements.grades)
    read = _read(source, stated or otherwise or judged)
    says_itself = not isinstance(read.found, FoundLists) and read.found.own_clips is not None
    foreign = _judged(source, read, stated or (None if says_itself else otherwise), judged)
    if stated is not None:
        for note in stated.notes:
            session.say(f"{stated.source}: {note}")
    for note in foreign.notes:
        session.say(f"{source.path.name}: {note}")
    return read, foreign


def _refuse_what_needs_a_run(source: ForeignSource, options: EvaluateOptions) -> None:
    if source.scores is not None and source.embeddings is not None:
        raise UsageError("--scores and --embeddings: say one of the two")
    if source.truth is not None and options.dataset is not None:
        raise UsageError("--truth and --dataset both say whose caption is whose: say one of the two")
    if source.is_partial and source.truth is None and options.dataset is None:
        raise UsageError("--partial is of a truth that has more than the scores: name --truth or --dataset")
    if options.split is not None and options.dataset is None:
        raise UsageError("--split is of --dataset: name the dataset, or leave it out")
    of_runs = {
        "--run": options.run is not None,
        "--precision": options.precision is not None,
        "--calib-clips": options.calibration_clips is not None,
        "--rerank": options.rerank != AS_THE_RECIPE_SAYS,
        "--beam-size": bool(options.decoding),
        "--no-extract": not options.may_extract,
        **{f"--metric {metric}": True for metric in options.metrics if metric != "recall"},
    }
    given = "--scores" if source.scores is not None else "--embeddings"
    for option, is_asked in of_runs.items():
        if is_asked:
            raise UsageError(f"{option} needs a run that was trained here, and {given} has none: leave it out")


def stated_truth(source: ForeignSource, dataset: Dataset | None, split: str | None) -> Truth | None:
    """Whose caption is whose by `--truth`, or else by a dataset's split; None where neither is named."""
    if source.truth is not None:
        return read_truth_csv(source.truth)
    if dataset is None or split is None:
        return None
    return truth_of_clips(f"{dataset.name}/{split}", dataset.split(split))


def _read(source: ForeignSource, truth: Truth | None) -> FoundScores:
    if source.scores is not None:
        return read_found_scores(source.scores, truth)
    assert source.embeddings is not None
    return FoundScores(cosines_found(*source.embeddings), {"scoring": "cosine"}, None)


def _judged(source: ForeignSource, read: FoundScores, stated: Truth | None, judged: Truth | None) -> ForeignScores:
    queries = None if judged is None else judged.clip_of_caption
    path, is_partial = source.path, source.is_partial
    if isinstance(read.found, FoundLists):
        return judge_lists(path, read.found, stated or judged, queries, is_partial=is_partial)
    says_itself = read.found.own_clips is not None
    truth = stated or (None if says_itself else judged)
    return judge_matrix(path, read.found, truth, queries, is_partial=is_partial)


def _scalings(
    session: Session, path: Path, read: FoundScores, foreign: ForeignScores, options: EvaluateOptions
) -> tuple[ColumnScaling, ...]:
    """Those asked for; none where nobody asks, for the recipe is not known here."""
    is_loss = read.about.get("scoring") == _LOSS
    if options.scalings is None:
        if is_loss:
            session.say("column scaling: none (these are losses: --scaling minmax scales them)")
        return ("none",)
    if options.scalings == ("none",):
        return options.scalings
    if not is_loss:
        raise UsageError(f"--scaling is of losses, in a score file of atrkit, and {path} has none: leave it out")
    if options.figures.qrels is not None:
        raise UsageError("--scaling is for audio to text, and --qrels judges text to audio alone: leave one out")
    if not isinstance(foreign.scores, ScoreMatrix):
        raise ResourceError(
            f"--scaling holds all losses in memory several times, and those of {path} are more than "
            f"{LARGEST_IN_MEMORY_BYTES // 2**20} MB: leave it out, or evaluate a part of the clips"
        )
    return options.scalings


def _figures(
    foreign: ForeignScores,
    read: FoundScores,
    scaling: ColumnScaling,
    options: FigureOptions,
    judgements: Judgements | None,
) -> dict[str, Any]:
    if isinstance(foreign.scores, RankedLists):
        return list_figures(foreign, options, judgements)
    scaled: ScoreRows | None = None
    if scaling != "none":
        assert isinstance(foreign.scores, ScoreMatrix)
        losses = None if read.calibration is None else read.calibration.loss_KC
        scaled = audio_to_text_matrix(foreign.scores, scaling, losses)
    texts = [foreign.texts[caption] for caption in foreign.scores.caption_ids if caption in foreign.texts]
    return retrieval_figures(
        foreign.scores,
        scaled,
        caption_texts=texts if len(texts) == len(foreign.scores.caption_ids) else None,
        options=options,
        judgements=judgements,
    )


def _provenance(source: ForeignSource, format_name: str) -> dict[str, Any]:
    files = [_file(path) for path in ([source.scores] if source.scores else list(source.embeddings or ()))]
    return {**files[0], "format": format_name, **({"captions": files[1]} if len(files) > 1 else {})}


def _file(path: Path) -> dict[str, str]:
    return {"path": str(path), "sha256": sha256_of_file(path)}
