"""Embeddings that are there already: whether they are what would be made now, down to the audio bytes."""

from pathlib import Path
from typing import Any

from atrkit.audio.read import UnusableAudioError
from atrkit.datasets.manifest import AudioFile, Dataset, command_that_makes
from atrkit.errors import IntegrityError, MissingPrerequisiteError
from atrkit.store.embeddings import Embeddings, load_embeddings
from atrkit.store.parts import PartPlan, describe_difference
from atrkit.workflows.encode_ahead import UNREADABLE, refuse_changed_audio
from atrkit.workflows.session import Session


def reuse(session: Session, dataset: Dataset, path: Path, plan: PartPlan) -> Embeddings:
    """Take the embeddings at `path` if they are those of the plan.

    Raises:
        IntegrityError: they were made with other settings or of other audio, audio changed or is gone, or clips that
            were gone are back; each with the way out.
    """
    embeddings = load_embeddings(path, mapped=True)
    difference = describe_difference(clips_record(embeddings), plan.as_record())
    if difference:
        raise IntegrityError(f"{path} was made with other input: {difference}; replace it with --overwrite")
    encoded, sample_rate_hz = set(embeddings.clip_ids), embeddings.provenance["sample_rate_hz"]
    with session.open_progress("checking audio", len(dataset.clips), "clips") as advance:
        for clip in dataset.clips:
            if clip.id in encoded:
                _refuse_gone_or_changed(dataset, clip.best_file(sample_rate_hz))
            advance(1, clip.duration_s)
    gone = [problem["item"] for problem in embeddings.problems if problem["reason"].startswith(UNREADABLE)]
    lost = [clip for clip in dataset.clips if clip.id in gone]
    back = [clip.id for clip in lost if dataset.audio_path(clip.best_file(sample_rate_hz)).is_file()]
    if back:
        raise IntegrityError(
            f"{path} lacks {len(back)} clips whose recordings were gone and are back, the first {back[0]!r}: "
            "make it anew with --overwrite"
        )
    return embeddings


def _refuse_gone_or_changed(dataset: Dataset, file: AudioFile) -> None:
    try:
        refuse_changed_audio(dataset, file)
    except UnusableAudioError as error:
        raise IntegrityError(
            f"{dataset.audio_path(file)} has an embedding and {error}: put it back, or make the dataset without it: "
            f"{command_that_makes(dataset.name, dataset.about)}"
        ) from error


def clips_record(embeddings: Embeddings) -> dict[str, Any]:
    """Provenance and clips of a store as `describe_difference` compares them; skipped clips count as dealt with."""
    clips = dict(zip(embeddings.clip_ids, embeddings.audio_sha256, strict=True))
    for problem in embeddings.problems:
        clips.setdefault(problem["item"], problem["sha256"])
    return {"provenance": embeddings.provenance, "clips": clips}


def require_recordings(dataset: Dataset, sample_rate_hz: int) -> None:
    """One missing file is a problem of that file; when all are missing, a disk is not there.

    Raises:
        MissingPrerequisiteError: not one of the recordings is where it was.
    """
    paths = [dataset.audio_path(clip.best_file(sample_rate_hz)) for clip in dataset.clips]
    if not any(path.is_file() for path in paths):
        raise MissingPrerequisiteError(
            f"none of the {len(dataset.clips)} recordings of {dataset.name!r} is there, the first {paths[0]}: "
            "put them back (is a disk not mounted?), or make "
            f"the dataset again: {command_that_makes(dataset.name, dataset.about)}"
        )
