"""What `atrkit compare` compares: systems with their scores, one matrix for each seed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy.typing as npt

from atrkit.files import single_writer
from atrkit.recipe.schema import ColumnScaling
from atrkit.score_matrix import ScoreRows
from atrkit.workflows.session import Session
from atrkit.workflows.trained_run import TrainedRun


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
    """

    name: str
    scores: ScoreRows
    scoring: str
    column_scaling: ColumnScaling = "none"
    loss_KC: npt.NDArray[Any] | None = None
    texts: Mapping[str, str] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)


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

    @property
    def scores_text(self) -> str:
        """What made the scores, and how audio-to-text ranks by them."""
        first = self.members[0]
        return first.scoring + ("" if first.column_scaling == "none" else f", column scaling {first.column_scaling}")


@dataclass(frozen=True)
class SystemOptions:
    """How systems are scored.

    Args:
        dataset: None: the runs' own.
        split: None: the runs' test split.
        scaling: of caption columns; None: the recipes', none for files.
        truth: whose caption is whose, for files that do not say.
        may_extract: make missing embeddings.
    """

    dataset: str | None = None
    split: str | None = None
    scaling: ColumnScaling | None = None
    truth: Path | None = None
    may_extract: bool = True


def open_systems(session: Session, named: Sequence[str], options: SystemOptions) -> list[System]:
    """Systems in the order in which they are named.

    Args:
        session: where to speak; what all runs say is said once.
        named: score files, and runs by folder, name or pattern. All seeds of a training are one system; a pattern that
            means several trainings is several systems, without those that were named before.
        options: how.

    Raises:
        UsageError: a name means no file and no finished run, or a file cannot be read as scores.
        MissingPrerequisiteError: there is no finished run, or a dataset or embedding is missing.
        IntegrityError: a run or a file is damaged.
    """
    session = replace(session, say=_once(session.say))
    systems: list[System] = []
    trained: list[frozenset[Path]] = []
    for name in named:
        if Path(name).is_file():
            from atrkit.workflows.compared_file import open_file

            systems.append(open_file(session, name, options))
            continue
        groups = _trainings(session, name)
        for group in groups:
            folders = frozenset(run.folder.resolve() for run in group)
            if len(groups) > 1 and folders in trained:
                continue
            trained.append(folders)
            systems.append(_open_training(session, group, options))
    return systems


def _once(say: Callable[[str], None]) -> Callable[[str], None]:
    said: set[str] = set()

    def say_once(line: str) -> None:
        if line not in said:
            said.add(line)
            say(line)

    return say_once


def _trainings(session: Session, named: str) -> list[list[TrainedRun]]:
    from atrkit.workflows.several_runs import find_runs, groups_of_seeds, not_averaged

    runs = find_runs(session, [named], said_as="compare ")
    for remark in not_averaged(runs):
        session.say(remark)
    return [[runs[index] for index in group] for group in groups_of_seeds(runs)]


def _open_training(session: Session, runs: Sequence[TrainedRun], options: SystemOptions) -> System:
    from atrkit.workflows.trained_run import choose_split, clips_trained_on

    first = runs[0]
    dataset = session.workspace.load_dataset(options.dataset or first.finished["dataset"])
    split = choose_split(session, first, dataset, options.split)
    members = tuple(_score(session, run, replace(options, dataset=dataset.name, split=split)) for run in runs)
    target = first.recipe.target
    return System(
        name=_name_of(runs),
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
    from atrkit.workflows.trained_run import clips_as_trained

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
