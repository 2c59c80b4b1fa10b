"""The embeddings that a recipe asks for: of one encoder or several, with generated captions where it wants them."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atrkit.datasets.manifest import Dataset
from atrkit.errors import MissingPrerequisiteError
from atrkit.recipe.encoders import EncoderSettings, finetuning_of
from atrkit.recipe.schema import Recipe
from atrkit.store.embeddings import Embeddings
from atrkit.workflows.build import encoder_arguments
from atrkit.workflows.embeddings import embeddings_for
from atrkit.workflows.finetuned import TunedEncoder, samples_for, tuned_embeddings
from atrkit.workflows.memory import fits_in_memory
from atrkit.workflows.session import Session
from atrkit.workflows.splits import splits_of_recipe

if TYPE_CHECKING:
    from atrkit.workflows.trained_run import TrainedRun

# what is added to the provenance of the first encoder's embeddings
FURTHER = "further_encoders"
AUXILIARY = "auxiliary_captions"


def embeddings_of_recipe(
    session: Session,
    dataset: Dataset,
    recipe: Recipe,
    *,
    same_as: dict[str, Any] | None = None,
    checkpoints: dict[str, str | None] | None = None,
    tuned: TunedEncoder | None = None,
    may_extract: bool = True,
) -> Embeddings:
    """Embeddings of the whole dataset as the recipe says, made where they are missing.

    Of several encoders, clips that one of them lacks are left out, counted and said. Their provenances stand in that of
    the first, so that whoever compares provenances compares all. Of an encoder that is to be fine-tuned they are its
    samples; of one that was, what the run's own encoder makes of them.

    Args:
        session: where to speak.
        dataset: whose clips.
        recipe: that names encoders and captions.
        same_as: provenance that must be met exactly (a trained model's); None: what the recipe states.
        checkpoints: weights by encoder, for encoders whose weights the recipe leaves open.
        tuned: the encoder that a trained run fine-tuned.
        may_extract: make what is missing.

    Raises:
        MissingPrerequisiteError: they are missing and may not be made, or no clip has all of them.
        IntegrityError: they were made with other settings.
    """
    needed = dict(same_as) if same_as else None
    further: dict[str, Any] = needed.pop(FURTHER, {}) if needed else {}
    captions: dict[str, Any] | None = needed.pop(AUXILIARY, None) if needed else None
    captioner = _captioner(session, dataset, recipe, captions, is_training=same_as is None)
    stores = [
        _of_encoder(
            session,
            dataset,
            encoder,
            same_as=None if needed is None else further.get(encoder.name, needed),
            checkpoint=(checkpoints or {}).get(encoder.name),
            tuned=tuned,
            may_extract=may_extract,
        )
        for encoder in recipe.all_encoders
    ]
    embeddings = joined(session, dataset, stores)
    if captioner is not None:
        from atrkit.workflows.auxiliary_captions import with_auxiliary_captions

        return with_auxiliary_captions(
            session, dataset, embeddings, captioner, same_as=captions, may_extract=may_extract
        )
    return embeddings


def _captioner(
    session: Session, dataset: Dataset, recipe: Recipe, same_as: dict[str, Any] | None, *, is_training: bool
) -> "TrainedRun | None":
    """The run that writes captions for the recipe; None where nothing reads any."""
    auxiliary = recipe.auxiliary_captions
    # what was only learned from is not needed when a model is used
    if auxiliary is None or not (is_training or auxiliary.interaction or auxiliary.matching):
        return None
    from atrkit.workflows.auxiliary_captions import open_auxiliary_captioner

    splits = splits_of_recipe(dataset, recipe) if is_training else None
    return open_auxiliary_captioner(session, dataset, auxiliary.captions_from, same_as=same_as, splits=splits)


def checkpoints_of(embeddings: Embeddings) -> dict[str, str | None]:
    """Where the weights of each encoder lay."""
    return {each.provenance["encoder"]: each.notes.get("checkpoint") for each in embeddings.all_encoders}


def joined(session: Session, dataset: Dataset, stores: list[Embeddings]) -> Embeddings:
    """Embeddings of several encoders of the clips that all of them have, in the order of the first.

    Raises:
        MissingPrerequisiteError: no clip is in all of them.
    """
    first, *more = stores
    if not more:
        return first
    in_all = set(first.clip_ids).intersection(*(other.clip_ids for other in more))
    if not in_all:
        raise MissingPrerequisiteError(
            f"no clip of {dataset.name!r} has embeddings of all {len(stores)} encoders: "
            + "; ".join(f"atrkit extract --encoder {each.provenance['encoder']} --overwrite" for each in stores)
        )
    known = set().union(*(each.clip_ids for each in stores))
    if len(in_all) < len(known):
        session.say(f"{len(known) - len(in_all)} of {len(known)} clips lack embeddings of an encoder: left out")
    clip_ids = [clip_id for clip_id in first.clip_ids if clip_id in in_all]
    further = {each.provenance["encoder"]: each.provenance for each in more}
    fits = fits_in_memory(sum(each.frames_NF.nbytes for each in stores))
    scratch_folder = None if fits else session.workspace.root
    return replace(
        first.select(clip_ids, scratch_folder=scratch_folder),
        more=tuple(other.select(clip_ids, scratch_folder=scratch_folder) for other in more),
        provenance={**first.provenance, FURTHER: further},
    )


def _of_encoder(
    session: Session,
    dataset: Dataset,
    encoder: EncoderSettings,
    *,
    same_as: dict[str, Any] | None,
    checkpoint: str | None,
    tuned: TunedEncoder | None,
    may_extract: bool,
) -> Embeddings:
    if tuned is not None:
        return tuned_embeddings(session, tuned, encoder, dataset, may_extract=may_extract)
    if finetuning_of(encoder) is not None:
        return samples_for(session, dataset, encoder, may_extract=may_extract)
    stated, settings = encoder_arguments(encoder)
    if stated is None and checkpoint is not None and Path(checkpoint).exists():  # clap's is a folder
        stated = checkpoint
    if same_as is None:
        return embeddings_for(
            session, dataset, encoder.name, checkpoint=stated, settings=settings, may_extract=may_extract
        )
    return embeddings_for(
        session,
        dataset,
        encoder.name,
        checkpoint=stated,
        settings=settings,
        frame_dtype=same_as["frame_dtype"],
        same_as=same_as,
        may_extract=may_extract,
    )
