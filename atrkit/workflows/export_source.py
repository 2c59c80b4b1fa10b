"""What is exported: scores of a run, or of a file, with all that is known of their clips and captions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from atrkit.datasets.manifest import Clip, Dataset
from atrkit.errors import UsageError
from atrkit.exchange.foreign import RankedLists
from atrkit.files import single_writer
from atrkit.recipe.schema import ColumnScaling
from atrkit.score_matrix import ScoreMatrix, ScoreRows
from atrkit.scoring.scaling import audio_to_text_matrix
from atrkit.store.scores import load_stored_scores
from atrkit.workflows.evaluate_foreign import ForeignSource, read_foreign, stated_truth
from atrkit.workflows.score import make_scores
from atrkit.workflows.score_file import Scores, fitting_scores, scores_of
from atrkit.workflows.score_inputs import ScoreInputs, score_inputs
from atrkit.workflows.session import Session
from atrkit.workflows.trained_run import choose_split, choose_test_split, clips_as_trained, open_run


@dataclass(frozen=True, eq=False)
class ExportSource:
    """Scores of every pair, and what their ids stand for.

    Args:
        about: how results name them: run or file, dataset, split, scoring, column_scaling.
        tag: name of the system.
        raw: scores, higher is better.
        to_text: what audio-to-text ranks by; differs where columns are scaled.
        folder: where exports go when nothing is said.
        texts: caption id -> text as it was written, where it is known.
        file_names: clip id -> name of its audio file, where it is known.
        dataset: that the scores are of, where it is known.
        split: of the dataset.
    """

    about: dict[str, Any]
    tag: str
    raw: ScoreRows
    to_text: ScoreRows
    folder: Path
    texts: Mapping[str, str] = field(default_factory=dict)
    file_names: Mapping[str, str] = field(default_factory=dict)
    dataset: Dataset | None = None
    split: str | None = None


def scores_of_run(
    session: Session,
    named: str | None,
    dataset_name: str | None,
    wanted_split: str | None,
    scaling: ColumnScaling | None,
    *,
    may_extract: bool = True,
) -> ExportSource:
    """Scores of a run on a split: those that are there and fit, else made now.

    Args:
        session: where to speak.
        named: the run; None: the newest finished one.
        dataset_name: None: the run's own.
        wanted_split: None: the run's test split.
        scaling: of caption columns; None: the recipe's.
        may_extract: make missing embeddings.

    Raises:
        MissingPrerequisiteError, UsageError, IntegrityError, DivergedError: as `evaluate_run`.
    """
    trained = open_run(session, named)
    dataset = session.workspace.load_dataset(dataset_name or trained.finished["dataset"])
    split = choose_split(session, trained, dataset, wanted_split)
    scaling = scaling or trained.recipe.retrieval.column_scaling
    clips = clips_as_trained(session, trained, dataset, split, may_extract=may_extract)
    inputs = score_inputs(session, trained, dataset, split, clips, scalings=(scaling,), may_extract=may_extract)
    with single_writer(inputs.path):
        scores = _there_or_made(session, inputs)
    about = {"run": trained.name, "dataset": dataset.name, "split": split, "scoring": scores.about["scoring"]}
    return ExportSource(
        {**about, "column_scaling": scaling},
        trained.name,
        scores.matrix,
        _scaled(scores.matrix, scaling, scores),
        inputs.path.parent / "export",
        *_names_in(clips.clips),
        dataset,
        split,
    )


def scores_of_file(
    session: Session,
    path: Path,
    dataset_name: str | None,
    wanted_split: str | None,
    scaling: ColumnScaling | None,
    truth: Path | None = None,
) -> ExportSource:
    """Scores of every pair from a file, ours or somebody else's.

    Args:
        session: where to speak.
        path: the file.
        dataset_name: where texts and file names are; None: the one that the file names, where it is there.
        wanted_split: of it.
        scaling: of caption columns, where the file is ours; None: none.
        truth: a table of whose caption is whose, where a file of somebody else's does not say.

    Raises:
        MissingPrerequisiteError: there is no such file or dataset.
        UsageError: the dataset does not have the file's clips and captions.
        IntegrityError: the file is damaged.
        DivergedError: a score is NaN.
    """
    if path.suffix != ".h5" or truth is not None:
        return _foreign_scores(session, path, dataset_name, wanted_split, scaling, truth)
    stored = load_stored_scores(path)
    about = {"file": str(path), **{key: stored.about.get(key) for key in ("run", "dataset", "split", "scoring")}}
    scaling = scaling or "none"
    scaled = _scaled(stored.matrix, scaling, stored)
    dataset = _dataset_of(session, dataset_name, about["dataset"])
    split = wanted_split or about["split"]
    names: tuple[dict[str, str], dict[str, str]] = ({}, {})
    if dataset is not None:
        clips = dataset.clips if split is None else dataset.split(split)
        names = _names_in(clips)
        _require_ids(path, stored.matrix, *names, dataset)
    return ExportSource(
        {**about, "column_scaling": scaling},
        about["run"] or path.stem,
        stored.matrix,
        scaled,
        path.with_name(f"{path.name.removesuffix('.h5')}.export"),
        *names,
        dataset,
        split,
    )


def _foreign_scores(
    session: Session,
    path: Path,
    dataset_name: str | None,
    wanted_split: str | None,
    scaling: ColumnScaling | None,
    truth: Path | None,
) -> ExportSource:
    if scaling not in (None, "none"):
        raise UsageError(f"--scaling {scaling}: export scales columns of runs and of our own .h5 files only")
    dataset = None if dataset_name is None else session.workspace.load_dataset(dataset_name)
    split = None if dataset is None else choose_test_split(session, dataset, wanted_split)
    source = ForeignSource(path, None, truth)
    _, foreign = read_foreign(session, source, stated_truth(source, dataset, split))
    if isinstance(foreign.scores, RankedLists):
        raise UsageError(f"{path} lists the best clips of each caption; export needs the scores of every pair")
    clips = () if dataset is None or split is None else dataset.split(split)
    texts, names = _names_in(clips)
    about = {"file": str(path), "run": None, "dataset": dataset_name, "split": split, "scoring": foreign.format_name}
    return ExportSource(
        {**about, "column_scaling": "none"},
        path.stem,
        foreign.scores,
        foreign.scores,
        path.with_name(f"{path.stem}.export"),
        {**foreign.texts, **texts},
        names,
        dataset,
        split,
    )


def _there_or_made(session: Session, inputs: ScoreInputs) -> Scores:
    """The scores that are there, even those that take seconds: making them anew would remove the run's results."""
    there = fitting_scores(session, inputs)
    beside = inputs.beside(session, there)
    if there is not None and beside.calibration_difference(there) is None:
        session.say(f"scores: {inputs.path} (made before)")
        return scores_of(beside, there)
    return make_scores(session, inputs)


def _scaled(matrix: ScoreMatrix, scaling: ColumnScaling, made: Any) -> ScoreMatrix:
    calibration = made.calibration
    return audio_to_text_matrix(matrix, scaling, None if calibration is None else calibration.loss_KC)


def _dataset_of(session: Session, said: str | None, stated: str | None) -> Dataset | None:
    if said is not None:
        return session.workspace.load_dataset(said)
    return session.workspace.load_dataset(stated) if stated in session.workspace.dataset_names() else None


def _names_in(clips: tuple[Clip, ...]) -> tuple[dict[str, str], dict[str, str]]:
    """Texts of captions and names of audio files, by id."""
    texts = {caption.id: caption.text for clip in clips for caption in clip.captions}
    return texts, {clip.id: _published_name(clip) for clip in clips}


def _published_name(clip: Clip) -> str:
    """The file's name as it was published: that in the id, which stays when a copy at another rate is used."""
    of_id = PurePosixPath(clip.id)
    return of_id.name if of_id.suffix else PurePosixPath(clip.path).name


def _require_ids(path: Path, scores: ScoreRows, texts: dict[str, str], names: dict[str, str], dataset: Dataset) -> None:
    for kind, ids, known in (("clips", scores.clip_ids, names), ("captions", scores.caption_ids, texts)):
        unknown = [each for each in ids if each not in known]
        if unknown:
            raise UsageError(
                f"{path}: {len(unknown)} of {len(ids)} {kind} are not in dataset {dataset.name!r}, the first "
                f"{unknown[0]!r}: name another with --dataset and --split"
            )
