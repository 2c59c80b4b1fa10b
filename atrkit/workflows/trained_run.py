"""A finished run and what it is to be used on: the dataset, the split, and embeddings made as those it learned from."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from atrkit.datasets.manifest import Dataset
from atrkit.errors import UsageError
from atrkit.recipe.schema import Recipe
from atrkit.recipe.starter import TEST_SPLIT_NAMES
from atrkit.store.embeddings import Embeddings
from atrkit.workflows.captioned import CaptionedClips, captioned_clips
from atrkit.workflows.finetuned import TunedEncoder
from atrkit.workflows.recipe_embeddings import AUXILIARY, embeddings_of_recipe
from atrkit.workflows.run_folder import RunFolder
from atrkit.workflows.session import Session

CAPTIONER_CLIPS = "captioner_clips_sha256"  # in a run's inputs, as the captioner's own run may be gone one day


@dataclass(frozen=True)
class TrainedRun:
    """One finished run.

    Args:
        folder: with the model, the recipe as it ran, and the records.
        name: how tables call it.
    """

    folder: Path
    name: str

    @cached_property
    def run(self) -> RunFolder:
        """The folder as a run."""
        return RunFolder(self.folder)

    @cached_property
    def recipe(self) -> Recipe:
        """The recipe as it ran."""
        return self.run.recipe()

    @cached_property
    def finished(self) -> dict[str, Any]:
        """What the training said at its end."""
        return self.run.finished_record()

    @cached_property
    def inputs(self) -> dict[str, Any]:
        """What the training was given."""
        return self.run.inputs()

    @cached_property
    def known_audio_of(self) -> dict[str, frozenset[str]]:
        """sha256 of every training clip's audio, of the run and of the captioner whose captions it learned from."""
        known = {self.name: frozenset(self.inputs["clips"].values())}
        if (of_captioner := self.inputs.get(CAPTIONER_CLIPS)) is not None:
            known[f"captioner {self.inputs['embeddings'][AUXILIARY]['run']}"] = frozenset(of_captioner)
        return known

    @cached_property
    def known_audio(self) -> frozenset[str]:
        """The same in one: clips of this audio are no test of this run."""
        return frozenset[str]().union(*self.known_audio_of.values())

    @cached_property
    def tuned_encoder(self) -> TunedEncoder | None:
        """The audio encoder that was trained with the model; None where it stayed frozen."""
        sha256 = self.finished.get("audio_encoder_sha256")
        return None if sha256 is None else TunedEncoder(self.folder, sha256)

    def is_own(self, dataset: Dataset, split: str) -> bool:
        """Whether this is the run's own test split."""
        own = (self.finished["dataset"], self.finished["test_split"])
        return (dataset.name, split) == own

    def output_folder(self, dataset: Dataset, split: str) -> Path:
        """Where what is computed on a split is kept: the run's folder for its own test split, else one below it."""
        own = self.is_own(dataset, split)
        return self.folder if own else self.folder / "evaluations" / f"{dataset.name}-{split}"


def open_run(session: Session, named: str | None) -> TrainedRun:
    """A run by folder or name, or the newest finished one.

    Raises:
        MissingPrerequisiteError: there is no finished run; says the command that makes one.
        UsageError: no finished run has that name.
        IntegrityError: a record of the run is damaged.
    """
    folder = session.workspace.find_run(named)
    trained = TrainedRun(folder, session.workspace.run_name(folder))
    if named is None:
        session.say(f"run: {trained.name} (the newest finished one)")
    elif folder.name != Path(named).name:  # a recipe's name: its seeds lie below
        seeds = sum(each.parent == folder.parent for each in session.workspace.finished_runs())
        if seeds > 1:
            session.say(f"run: {trained.name} (the newest of {seeds} seeds)")
    return trained


def clips_trained_on(
    dataset: Dataset, split: str, runs: Sequence[TrainedRun], first_stage: TrainedRun | None = None
) -> dict[str, Any]:
    """How many clips of a split have audio that was trained on, under whatever name: figures on them measure memory.

    Args:
        dataset: and split: what is evaluated.
        runs: whose scores are evaluated; what their captioners learned from counts, too.
        first_stage: the run that shortlisted the candidates.

    Returns:
        "clips_trained_on", their number, and "clips_trained_on_by", the number for each that was trained on any.
    """
    known_of: dict[str, frozenset[str]] = {}
    for run in runs:
        known_of |= run.known_audio_of
    if first_stage is not None:
        known_of |= {f"first stage {name}": known for name, known in first_stage.known_audio_of.items()}
    audio = [clip.sha256 for clip in dataset.split(split)]
    counts = {name: sum(sha256 in known for sha256 in audio) for name, known in known_of.items()}
    known_to_any = frozenset[str]().union(*known_of.values())
    return {
        "clips_trained_on": sum(sha256 in known_to_any for sha256 in audio),
        "clips_trained_on_by": {name: count for name, count in counts.items() if count},
    }


def choose_split(session: Session, trained: TrainedRun, dataset: Dataset, wanted: str | None) -> str:
    """The split that is asked for, or the run's test split, or the only one there is.

    Raises:
        UsageError: there is no such split; lists the choices.
    """
    return choose_test_split(session, dataset, wanted, first=(trained.finished["test_split"],))


def choose_test_split(session: Session, dataset: Dataset, wanted: str | None, *, first: Sequence[str] = ()) -> str:
    """The split that is asked for, or one of `first`, or one that is called like a test split, or the only one.

    Raises:
        UsageError: there is no such split; lists the choices.
    """
    if wanted is not None:
        dataset.split(wanted)
        return wanted
    usual = (*first, *TEST_SPLIT_NAMES)
    found: str | None = next((split for split in usual if split in dataset.splits), None)
    if found is None and len(dataset.splits) == 1:
        found = dataset.splits[0]
    if found is None:
        raise UsageError(
            f"dataset {dataset.name!r} has the splits {', '.join(dataset.splits)}: say which one with --split"
        )
    session.say(f"split: {dataset.name}/{found}")
    return found


def embeddings_as_trained(
    session: Session, trained: TrainedRun, dataset: Dataset, *, may_extract: bool = True
) -> Embeddings:
    """Embeddings made exactly as those that the model was trained on, with the same weights where they still lie.

    Raises:
        MissingPrerequisiteError: they are missing and may not be made.
        IntegrityError: those there were made with other settings or of other audio.
    """
    # a run of an earlier version names one checkpoint: that of its one encoder
    first = {trained.recipe.all_encoders[0].name: trained.finished["checkpoint"]}
    return embeddings_of_recipe(
        session,
        dataset,
        trained.recipe,
        same_as=trained.inputs["embeddings"],
        checkpoints=trained.finished.get("checkpoints", first),
        tuned=trained.tuned_encoder,
        may_extract=may_extract,
    )


def clips_as_trained(
    session: Session, trained: TrainedRun, dataset: Dataset, split: str, *, may_extract: bool = True
) -> CaptionedClips:
    """The usable clips of a split, with captions and embeddings; see `embeddings_as_trained`."""
    embeddings = embeddings_as_trained(session, trained, dataset, may_extract=may_extract)
    return captioned_clips(session, dataset, split, embeddings)
