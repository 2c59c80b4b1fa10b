"""The embeddings a run needs: those that are there if they fit, made on the spot if they are missing."""

from pathlib import Path
from typing import Any

import numpy as np

from atrkit.datasets.manifest import Dataset
from atrkit.errors import DivergedError, IntegrityError, MissingPrerequisiteError
from atrkit.files import sha256_of_file
from atrkit.store.embeddings import Embeddings, FrameDtype, first_difference, load_embeddings
from atrkit.store.parts import describe_difference
from atrkit.workflows.extract import extract
from atrkit.workflows.extract_command import command_that_extracts, extraction_settings
from atrkit.workflows.extract_options import ExtractOptions
from atrkit.workflows.extract_reuse import clips_record
from atrkit.workflows.session import Session


def embeddings_for(
    session: Session,
    dataset: Dataset,
    encoder: str,
    *,
    checkpoint: str | None = None,
    settings: dict[str, Any] | None = None,
    frame_dtype: FrameDtype = "float16",
    same_as: dict[str, Any] | None = None,
    may_extract: bool = True,
) -> Embeddings:
    """Embeddings of the dataset that agree with what is asked.

    Args:
        encoder: name of the encoder.
        checkpoint: its weights; embeddings made with others are refused, unless `same_as` says what is needed.
        settings: settings that the recipe states; others may be anything.
        frame_dtype: how frames are kept, should extraction be needed.
        same_as: provenance that must be met exactly (a trained model's), or None.
        may_extract: make them when they are missing; otherwise say the command.

    Raises:
        MissingPrerequisiteError: they are missing and may not be made.
        IntegrityError: they were made with other settings or another checkpoint, or of another state of the dataset.
        DivergedError: a clip's embedding is not finite; names it.
    """
    path = session.workspace.embeddings_path(dataset.name, encoder)
    # what a trained model needs also says the settings, should the recipe leave them open
    stated = (same_as or {}).get("settings", {}) | (settings or {})
    if not path.is_file():
        command = command_that_extracts(encoder, dataset.name, stated, checkpoint=checkpoint, frame_dtype=frame_dtype)
        if not may_extract:
            raise MissingPrerequisiteError(f"no {encoder} embeddings of {dataset.name!r}; run: {command}")
        session.say(f"no {encoder} embeddings of {dataset.name!r} yet: making them ({command})")
        options = ExtractOptions(encoder, checkpoint, extraction_settings(encoder, stated), frame_dtype)
        embeddings = extract(session, dataset, options).embeddings
    else:
        embeddings = load_embeddings(path, mapped=True)
    wanted = same_as or _as_stated(embeddings.provenance, checkpoint, settings or {})
    command = _command_for(dataset, wanted, checkpoint or _own_weights(embeddings, wanted))
    refuse_other_input(path, embeddings, dataset, wanted, command)
    refuse_not_finite(path, embeddings, command)
    if same_as is None:
        _say_what_is_not_stated(session, embeddings, checkpoint)
    for problem in embeddings.problems:
        session.say(f"{problem['item']}: {problem['action']} ({problem['reason']})")
    return embeddings


def _command_for(dataset: Dataset, wanted: dict[str, Any], checkpoint: str | None) -> str:
    return command_that_extracts(
        wanted["encoder"],
        dataset.name,
        wanted["settings"],
        checkpoint=checkpoint,
        frame_dtype=wanted["frame_dtype"],
        overwrite=True,
    )


def _own_weights(embeddings: Embeddings, wanted: dict[str, Any]) -> str | None:
    """The weights of the embeddings there, where these are nobody's published ones and are not what is wrong."""
    is_published = embeddings.notes.get("weights_are_published", True)
    same_variant = embeddings.provenance["settings"].get("variant") == wanted["settings"].get("variant")
    return None if is_published or not same_variant else embeddings.notes["checkpoint"]


def _say_what_is_not_stated(session: Session, embeddings: Embeddings, checkpoint: str | None) -> None:
    """A recipe that names no weights takes embeddings of any, and cannot name a precision: whoever reads must know."""
    encoder, notes = embeddings.provenance["encoder"], embeddings.notes
    if checkpoint is None and not notes.get("weights_are_published", True):
        session.say(
            f"{encoder}: these embeddings were made with {notes['checkpoint']}, and the recipe names no weights"
        )
    precision = embeddings.provenance["settings"].get("precision", "fp32")
    if precision != "fp32":
        session.say(f"{encoder}: these embeddings were made in {precision}")


def refuse_not_finite(path: Path, embeddings: Embeddings, command: str) -> None:
    """Training data check their frames; the vectors of clips go into closed forms that would give NaN back.

    Raises:
        DivergedError: names clips, and the command that makes their embeddings anew.
    """
    broken = np.flatnonzero(~np.isfinite(embeddings.clip_emb_AD).all(axis=1))
    if len(broken):
        names = ", ".join(repr(embeddings.clip_ids[a]) for a in broken[:5])
        raise DivergedError(f"{len(broken)} clips have NaN or infinity in {path}: {names}; make it anew: {command}")


def _as_stated(there: dict[str, Any], checkpoint: str | None, settings: dict[str, Any]) -> dict[str, Any]:
    """What embeddings must agree with when a recipe states some of it: the rest may be as it is."""
    sha256 = None if checkpoint is None else _sha256_of(there["encoder"], checkpoint)
    return stated_provenance(there, sha256, settings)


def stated_provenance(there: dict[str, Any], checkpoint_sha256: str | None, settings: dict[str, Any]) -> dict[str, Any]:
    """The provenance there, with what is stated in its place; what is not stated may be as it is."""
    stated = {**there, "settings": {**there.get("settings", {}), **settings}}
    return stated if checkpoint_sha256 is None else {**stated, "checkpoint_sha256": checkpoint_sha256}


def _sha256_of(encoder: str, checkpoint: str) -> str:
    if encoder == "clap":
        from atrkit.encoders.clap_files import find_clap

        return find_clap(checkpoint).sha256
    if not Path(checkpoint).is_file():
        raise MissingPrerequisiteError(
            f"the recipe's checkpoint {checkpoint} is not there: correct the path, or leave it out of the recipe"
        )
    return sha256_of_file(Path(checkpoint))


def refuse_other_input(
    path: Path, embeddings: Embeddings, dataset: Dataset, wanted: dict[str, Any], command: str
) -> None:
    """See that embeddings have the wanted provenance, and are of the dataset's audio as it is now.

    Raises:
        IntegrityError: says what differs, and the command that makes them anew.
    """
    there = embeddings.provenance
    difference = first_difference(there, wanted)
    if difference:
        raise IntegrityError(f"{path} does not fit: {difference}; make it anew: {command}")
    clips = {clip.id: clip.best_file(there["sample_rate_hz"]).sha256 for clip in dataset.clips}
    difference = describe_difference(clips_record(embeddings), {"provenance": there, "clips": clips})
    if difference:
        raise IntegrityError(f"{path} is of another state of the dataset: {difference}; run: {command}")
