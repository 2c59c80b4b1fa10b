"""What `atrkit compare` compares: systems with their scores, one matrix for each seed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy.typing as npt

from atrkit.datasets.manifest import Dataset
from atrkit.errors import UsageError
from atrkit.files import single_writer
from atrkit.recipe.schema import ColumnScaling
from atrkit.score_matrix import ScoreRows
from atrkit.workflows.judgements import Judgements
from atrkit.workflows.mistaken_names import refuse_missing_file
from atrkit.workflows.session import Session
from atrkit.workflows.trained_run import (
    TrainedRun,
    choose_split,
    choose_test_split,
    clips_as_trained,
    clips_trained_on,
)


@dataclass(frozen=True, eq=False)
class Member:
    """Scores of one run or of one file.

    Args:
        name: of the run, or the file as the user named it.
        scores: of every pair, as they were made.
        scoring: what made them, such as "cosine".
        column_scaling: by which audio-to-text ranks.
        loss_KC: losses of calibration clips, for scalings that compare with such.
        texts: caption id -> text, as far as known.
        about: "dataset" and "split", as far as known.
        open_of: None: every pair has a score. Of ranked lists of the best clips, where unlisted ones score -inf and
            nothing is known of audio to text: what `open_blocks` says.
    """

    name: str
    scores: ScoreRows
    scoring: str
    column_scaling: ColumnScaling = "none"
    loss_KC: npt.NDArray[Any] | None = None
    texts: Mapping[str, str] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)
    open_of: Mapping[str, float] | None = None

    @property
    def is_list(self) -> bool:
        """Whether clips are listed for captions, the best alone."""
        return self.open_of is not None


@dataclass(frozen=True, eq=False)
class System:
    """One row of the comparison.

    Args:
        name: of the training, or of the file.
        members: one for each seed.
        target: published row of the recipe, where its own test split is compared; None for files.
        is_run: trained here, so that what it was trained on is known.
        trained_on: as `clips_trained_on` counts; empty for files.
    """

    name: str
    members: tuple[Member, ...]
    target: Mapping[str, Any] | None = None
    is_run: bool = False
    trained_on: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SystemOptions:
    """How systems are scored.

    Args:
        dataset: None: the runs' own.
        split: None: the runs' test split.
        scaling: of caption columns; None: the recipes', none for files.
        truth: whose caption is whose, for files that do not say.
        may_extract: make missing embeddings.
        is_partial: files may lack clips and captions of the truth.
    """

    dataset: str | None = None
    split: str | None = None
    scaling: ColumnScaling | None = None
    truth: Path | None = None
    may_extract: bool = True
    is_partial: bool = False


@dataclass(frozen=True)
class Place:
    """What the systems are compared on, as far as runs or options say."""

    dataset: Dataset | None
    split: str | None


Named = Path | list[TrainedRun]  # a score file, or the seeds of a training


def find_systems(session: Session, named: Sequence[str]) -> list[tuple[str, Named]]:
    """Systems in the order in which they are named, each with its name.

    Args:
        session: where to speak.
        named: score files, and runs by folder, name or pattern. All seeds of a training are one system; a pattern that
            means several trainings is several systems, without those that were named before.

    Raises:
        UsageError: a name means no file and no finished run.
        MissingPrerequisiteError: there is no finished run.
        IntegrityError: a run is damaged.
    """
    systems: list[tuple[str, Named]] = []
    trained: list[frozenset[Path]] = []
    for name in named:
        if (file := _file_of(session, name)) is not None:
            systems.append((name, file))
            continue
        groups = _trainings(session, name)
        for group in groups:
            folders = frozenset(run.folder.resolve() for run in group)
            if len(groups) > 1 and folders in trained:
                continue
            trained.append(folders)
            systems.append((_name_of(group), group))
    return systems


def place_of(session: Session, found: Sequence[tuple[str, Named]], options: SystemOptions) -> Place:
    """The dataset and split of the options, else of the first run, else unknown.

    Raises:
        MissingPrerequisiteError, UsageError: there is no such dataset or split.
    """
    runs = [named[0] for _, named in found if not isinstance(named, Path)]
    if options.dataset is None and not runs:
        if options.split is not None:
            raise UsageError("--split is of --dataset: name the dataset, or leave it out")
        return Place(None, None)
    dataset = session.workspace.load_dataset(options.dataset or runs[0].finished["dataset"])
    if runs:
        return Place(dataset, choose_split(session, runs[0], dataset, options.split))
    return Place(dataset, choose_test_split(session, dataset, options.split))


def open_systems(
    session: Session,
    found: Sequence[tuple[str, Named]],
    place: Place,
    options: SystemOptions,
    judgements: Judgements | None = None,
) -> list[System]:
    """Score with runs, and read files.

    Args:
        session: where to speak.
        found: by `find_systems`.
        place: by `place_of`; a file that does not say whose caption is whose is judged by it.
        options: how.
        judgements: whose clips are a truth for files where nothing else is.

    Raises:
        UsageError: a file cannot be read as scores.
        MissingPrerequisiteError: a dataset or embedding is missing.
        IntegrityError: a run or a file is damaged.
    """
    systems = []
    for name, named in found:
        if isinstance(named, Path):
            from atrkit.workflows.compared_file import open_file

            systems.append(open_file(session, name, named, place, options, judgements))
        else:
            systems.append(_open_training(session, name, named, options))
    return systems


def _file_of(session: Session, named: str) -> Path | None:
    """A file where runs are looked for, too: below the current folder, the workspace or its runs/."""
    root = session.workspace.root
    places = (Path(named).expanduser(), root / named, root / "runs" / named)
    return next((path for path in places if path.is_file()), None)


def saying_once(session: Session) -> Session:
    """A session that does not repeat what all systems would say."""
    said: set[str] = set()

    def say(line: str) -> None:
        if line not in said:
            said.add(line)
            session.say(line)

    return replace(session, say=say)


def _trainings(session: Session, named: str) -> list[list[TrainedRun]]:
    from atrkit.workflows.several_runs import find_runs, groups_of_seeds, not_averaged

    refuse_missing_file(session.workspace, named)
    runs = find_runs(session, [named], said_as="no such file of scores, and as a run: ")
    for remark in not_averaged(runs):
        session.say(remark)
    return [[runs[index] for index in group] for group in groups_of_seeds(runs)]


def _open_training(session: Session, name: str, runs: Sequence[TrainedRun], options: SystemOptions) -> System:
    first = runs[0]
    dataset = session.workspace.load_dataset(options.dataset or first.finished["dataset"])
    split = choose_split(session, first, dataset, options.split)
    members = tuple(_score(session, run, replace(options, dataset=dataset.name, split=split)) for run in runs)
    target = first.recipe.target
    return System(
        name=name,
        members=members,
        target=target.model_dump(mode="json") if target and first.is_own(dataset, split) else None,
        is_run=True,
        trained_on=clips_trained_on(dataset, split, runs),
    )


def _name_of(runs: Sequence[TrainedRun]) -> str:
    """A single run's own name; of several the folder that holds them."""
    folders = dict.fromkeys(run.name.rpartition("/")[0] for run in runs)
    return runs[0].name if len(runs) == 1 else ", ".join(folders)


def _score(session: Session, run: TrainedRun, options: SystemOptions) -> Member:
    from atrkit.workflows.first_stage import AS_THE_RECIPE_SAYS
    from atrkit.workflows.score import make_scores, score_inputs
    from atrkit.workflows.score_file import fitting_scores, scores_of

    assert options.dataset is not None and options.split is not None
    dataset, split = session.workspace.load_dataset(options.dataset), options.split
    scaling: ColumnScaling = options.scaling or run.recipe.retrieval.column_scaling
    session.say(f"scores of {run.name} on {dataset.name}/{split}")
    clips = clips_as_trained(session, run, dataset, split, may_extract=options.may_extract)
    inputs = score_inputs(
        session,
        run,
        dataset,
        split,
        clips,
        precision="fp32",
        calibration_clips=None,
        scalings=(scaling,),
        rerank=AS_THE_RECIPE_SAYS,
        may_extract=options.may_extract,
    )
    with single_writer(inputs.path):
        there = fitting_scores(session, inputs)
        if there is not None and inputs.calibration_difference(there) is None:
            scores = scores_of(inputs, there)  # left as they are, with the results beside them
        else:
            scores = make_scores(session, inputs)
    return Member(
        run.name,
        scores.matrix,
        scores.about["scoring"] + (f", re-ranked {inputs.first_stage.k}" if inputs.first_stage else ""),
        scaling,
        None if scores.calibration is None else scores.calibration.loss_KC,
        dict(zip(clips.caption_ids, clips.all_captions, strict=True)),
        {"dataset": dataset.name, "split": split},
    )
