"""The audio encoder of a run, with the weights and settings of the embeddings that the run learned from."""

from pathlib import Path
from typing import TYPE_CHECKING

from atrkit.datasets.manifest import Dataset
from atrkit.errors import IntegrityError
from atrkit.store.embeddings import first_difference
from atrkit.workflows.build import encoder_arguments
from atrkit.workflows.extract_command import extraction_settings
from atrkit.workflows.extract_options import ExtractOptions
from atrkit.workflows.extract_parts import plan_parts
from atrkit.workflows.frozen_encoder import load_frozen_encoder
from atrkit.workflows.recipe_embeddings import AUXILIARY
from atrkit.workflows.session import Session
from atrkit.workflows.trained_run import TrainedRun

if TYPE_CHECKING:
    from atrkit.encoders import Encoder


def encoder_as_trained(
    session: Session, trained: TrainedRun, checkpoint: str | None = None
) -> "tuple[Encoder, ExtractOptions]":
    """The encoder of the run's embeddings, and how they were made.

    Args:
        session: where to speak.
        trained: a run with one encoder that stayed frozen.
        checkpoint: its weights; None: those that the run's embeddings were made with.

    Raises:
        MissingPrerequisiteError: the weights are not there.
        IntegrityError: weights or settings are not those; says which differ.
    """
    # generated captions that a retriever only learned from are no business of its encoder
    needed = {key: value for key, value in trained.inputs["embeddings"].items() if key != AUXILIARY}
    used: str | None = trained.finished["checkpoint"]
    if checkpoint is None:
        checkpoint, _ = encoder_arguments(trained.recipe.all_encoders[0])
    if checkpoint is None and used is not None and Path(used).exists():
        checkpoint = used
    settings = extraction_settings(needed["encoder"], needed["settings"])
    options = ExtractOptions(needed["encoder"], checkpoint, settings, needed["frame_dtype"])
    encoder = load_frozen_encoder(session, options, checkpoint)
    made = plan_parts(Dataset("none", (), Path()), encoder, options).provenance
    version, version_now = needed.get("atrkit_version"), made["atrkit_version"]
    if version != version_now:
        session.say(f"the run learned from embeddings of atrkit {version}, and this is {version_now}")
    difference = first_difference(needed, {**made, "atrkit_version": version})
    if difference:
        if needed["checkpoint_sha256"] == made["checkpoint_sha256"]:
            way_out = "this version of atrkit makes them differently: extract and train again"
        else:
            way_out = "name the weights that they were made with: --checkpoint FILE"
        which = f"run {trained.name} learned from other {encoder.name} embeddings"
        raise IntegrityError(f"{which}: {difference}; {way_out}")
    return encoder, options
