"""Which run chooses the candidates that another one scores, and whether the two may work together."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from atrkit.datasets.manifest import Dataset
from atrkit.errors import IntegrityError, MissingPrerequisiteError, UsageError
from atrkit.files import sha256_of_file
from atrkit.models.folder import CHECKSUMS_NAME, read_model_folder
from atrkit.recipe.schema import Recipe, RerankSettings
from atrkit.score_matrix import pool_id_of
from atrkit.workflows.captioned import CaptionedClips
from atrkit.workflows.session import Session
from atrkit.workflows.trained_run import TrainedRun, clips_as_trained, open_run

NO_FIRST_STAGE = "none"


@dataclass(frozen=True)
class RerankChoice:
    """What the user says of re-ranking beside the recipe.

    Args:
        run: that chooses the candidates, by folder or name; "none": every pair is scored; None: as the recipe says.
        k: candidates; None: the recipe's, or 100.

    Raises:
        UsageError: candidates of no run.
    """

    run: str | None = None
    k: int | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot go together."""
        if self.run == NO_FIRST_STAGE and self.k is not None:
            raise UsageError("--rerank none scores every pair: leave --rerank-k out")

    def __bool__(self) -> bool:
        """Whether anything was said."""
        return self.run is not None or self.k is not None

    def settings_with(self, recipe: Recipe) -> RerankSettings | None:
        """The first stage in the end; None where every pair is scored.

        Raises:
            UsageError: candidates of no run.
        """
        own = recipe.retrieval.rerank
        if self.run == NO_FIRST_STAGE:
            return None
        if self.run is None and own is None:
            if self.k is not None:
                raise UsageError(f"--rerank-k {self.k} of which run? the recipe names none: add --rerank RUN")
            return None
        said = RerankSettings(run=self.run) if self.run is not None else own
        assert said is not None
        known = self.k or (own.k if own is not None else None)
        return said if known is None else said.model_copy(update={"k": known})


AS_THE_RECIPE_SAYS = RerankChoice()


@dataclass(frozen=True)
class FirstStage:
    """A finished run that shortlists the clips and captions of a split.

    Args:
        trained: the run.
        clips: the same clips and captions, with the run's own embeddings.
        k: candidates per caption and per clip.
    """

    trained: TrainedRun
    clips: CaptionedClips
    k: int

    @cached_property
    def provenance(self) -> dict[str, Any]:
        """What changes the shortlist, but for clips and captions; the model's files were all checked."""
        read_model_folder(self.trained.folder)
        return {
            "model_sha256": sha256_of_file(self.trained.folder / CHECKSUMS_NAME),
            "embeddings": self.clips.embeddings.provenance,
            "k": self.k,
        }


def open_first_stage(
    session: Session,
    dataset: Dataset,
    split: str,
    clips: CaptionedClips,
    settings: RerankSettings,
    *,
    may_extract: bool = True,
) -> FirstStage:
    """Open the run that shortlists, with embeddings as it was trained on.

    Args:
        session: where to speak.
        dataset: that the split is of.
        split: its name.
        clips: that are to be re-ranked.
        settings: which run, and how many candidates.
        may_extract: make missing embeddings.

    Raises:
        UsageError: the run cannot be a first stage.
        IntegrityError: it has other clips or captions than those to be re-ranked.
        MissingPrerequisiteError: there is no such run, or embeddings are missing and may not be made.
    """
    trained = open_first_run(session, settings)
    own = clips_as_trained(session, trained, dataset, split, may_extract=may_extract)
    pools = [pool_id_of(each.embeddings.clip_ids, each.caption_ids) for each in (clips, own)]
    if pools[0] != pools[1]:
        raise IntegrityError(
            f"run {trained.name} has {len(own.clips)} clips and {len(own.caption_ids)} captions of "
            f"{dataset.name}/{split}, to be re-ranked are {len(clips.clips)} and {len(clips.caption_ids)} "
            f"(pools {pools[1][:8]} and {pools[0][:8]}): make the embeddings that are missing, atrkit extract"
        )
    return FirstStage(trained, own, settings.k)


def check_first_stage(session: Session, recipe: Recipe, *, is_needed: bool) -> None:
    """Before a training: is the run there that is to shortlist, and can it?

    Args:
        session: told what is missing.
        recipe: that may name one.
        is_needed: the training is followed by an evaluation; else the run may be trained later.

    Raises:
        MissingPrerequisiteError, UsageError: as `open_first_stage`, where it is needed.
    """
    if recipe.retrieval.rerank is None:
        return
    try:
        open_first_run(session, recipe.retrieval.rerank)
    except (MissingPrerequisiteError, UsageError) as error:
        if is_needed:
            raise
        session.say(f"before atrkit eval: {error}")


def open_first_run(session: Session, settings: RerankSettings) -> TrainedRun:
    """The run that is to shortlist.

    Raises:
        MissingPrerequisiteError: it is not there.
        UsageError: it cannot be a first stage.
    """
    try:
        trained = open_run(session, settings.run)
    except (MissingPrerequisiteError, UsageError) as error:
        raise MissingPrerequisiteError(
            f"no run {settings.run!r} that could shortlist: train it first, name another one with --rerank RUN, or "
            "score every pair with --rerank none"
        ) from error
    retrieval = trained.recipe.retrieval
    if retrieval.rerank is not None:
        raise UsageError(f"run {trained.name} is re-ranked itself: name its first stage, {retrieval.rerank.run}")
    if retrieval.column_scaling != "none":
        raise UsageError(
            f"run {trained.name} scales columns ({retrieval.column_scaling}), its scores shortlist no captions: "
            "name a run that does not"
        )
    return trained
