"""Captions that a captioner run writes of a whole dataset: made once in parts, kept beside the run, found again.

The file's name holds a digest of what decides the captions (the model, its embeddings' provenance, how it writes), so
that captions made otherwise lie beside each other. A part is so many clips, always the same ones: a part is decoded
alike whether the work was interrupted or not, and the captions are equal to the bit.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atrkit.datasets.manifest import Dataset
from atrkit.errors import IntegrityError
from atrkit.files import sha256_of_file, single_writer, write_json_atomic
from atrkit.models.folder import CHECKSUMS_NAME
from atrkit.store.part_plan import PartPlan
from atrkit.store.plan_folder import PlanFolder
from atrkit.workflows.caption_runs import decoding_arguments, open_captioner
from atrkit.workflows.frozen_encoder import choose_device
from atrkit.workflows.session import Session
from atrkit.workflows.trained_run import TrainedRun, embeddings_as_trained

if TYPE_CHECKING:
    from atrkit.models.captioner import Captioner
    from atrkit.store.embeddings import Embeddings

FOLDER_NAME = "generated_captions"  # below the captioner's run
PART_CLIPS = 256


@dataclass(frozen=True)
class GeneratedCaptions:
    """What one captioner wrote of the clips of a dataset.

    Args:
        made_with: everything that decides a clip's caption, but its audio.
        captions: by clip id, in the dataset's order; normalised words, or empty where the captioner said nothing.
        audio_sha256: of every clip that was looked at, also of those that have no embedding and so no caption.
    """

    made_with: dict[str, Any]
    captions: dict[str, str]
    audio_sha256: dict[str, str]

    def covers(self, audio_sha256: Mapping[str, str]) -> bool:
        """Whether all of these clips, by id, were looked at, with this very audio."""
        return all(self.audio_sha256.get(clip_id) == digest for clip_id, digest in audio_sha256.items())


def made_with(trained: TrainedRun) -> dict[str, Any]:
    """What decides the captions: the model, the embeddings that it reads, and how it writes.

    A caption without words would be of no use to a retrieval model: at least one word is written.
    """
    decoding = decoding_arguments(trained.recipe)
    return {
        "model_sha256": sha256_of_file(trained.folder / CHECKSUMS_NAME),
        "decoding": {**decoding, "min_tokens": max(1, decoding["min_tokens"])},
        "embeddings": trained.inputs["embeddings"],
    }


def generated_captions(
    session: Session, trained: TrainedRun, dataset: Dataset, *, may_extract: bool = True
) -> GeneratedCaptions:
    """Captions of all clips of the dataset that the captioner can hear; those that were made before are taken.

    Args:
        session: where to speak.
        trained: a finished captioner run.
        dataset: whose clips.
        may_extract: make missing embeddings of the captioner's encoder.

    Raises:
        MissingPrerequisiteError: embeddings are missing and may not be made, or another process writes the captions.
        IntegrityError: the file is damaged, or embeddings were made with other settings than the captioner's.
        DivergedError: probabilities of words are not finite; names the clips.
        ResourceError: the captions cannot be written.
    """
    settings = made_with(trained)
    path = captions_path(trained, dataset, settings)
    in_dataset = {clip.id: clip.sha256 for clip in dataset.clips}
    there = read_generated(path)
    if there is not None and there.covers(in_dataset):
        session.say(f"captions by {trained.name}: {len(there.captions):,} clips of {dataset.name}, made before")
        return there
    if there is not None:
        session.say(f"{path} holds captions of other clips than {dataset.name} has now: they are written afresh")
    embeddings = embeddings_as_trained(session, trained, dataset, may_extract=may_extract)
    plan = PartPlan(settings, embeddings.clip_ids, embeddings.audio_sha256, PART_CLIPS)
    parts = _CaptionParts(path, trained.name)
    with single_writer(path):
        if parts.difference(plan):
            session.say(f"{parts.folder} holds captions of other clips: they are written afresh")
            parts.clear()
        parts.start(plan)
        _write_missing(session, trained, dataset, embeddings, parts, plan)
        made = GeneratedCaptions(settings, parts.all_captions(plan), in_dataset)
        _save(path, trained.name, made)
        parts.clear()
    return made


def captions_path(trained: TrainedRun, dataset: Dataset, settings: Mapping[str, Any]) -> Path:
    """Where captions that were made in this way are kept."""
    digest = sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
    return trained.folder / FOLDER_NAME / f"{dataset.name}-{digest[:12]}.json"


def digest_of_captions(captions: Iterable[tuple[str, str]]) -> str:
    """sha256 of ids and captions, in their order."""
    return sha256(json.dumps(list(captions)).encode()).hexdigest()


def read_generated(path: Path) -> GeneratedCaptions | None:
    """Captions that were made before; None where there are none.

    Raises:
        IntegrityError: the file is damaged, or somebody changed it.
    """
    if not path.is_file():
        return None
    try:
        record = json.loads(path.read_bytes())
        captions: dict[str, str] = record["captions"]
        made = GeneratedCaptions(record["made_with"], captions, record["audio_sha256"])
        if record["captions_sha256"] != digest_of_captions(captions.items()):
            raise ValueError("its captions are not those that were written")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise IntegrityError(f"{path} is damaged ({error}): remove it, and its captions are written again") from error
    return made


def _save(path: Path, run_name: str, made: GeneratedCaptions) -> None:
    record = {
        "run": run_name,
        "made_with": made.made_with,
        "captions_sha256": digest_of_captions(made.captions.items()),
        "captions": made.captions,
        "audio_sha256": made.audio_sha256,
    }
    write_json_atomic(path, record)


class _CaptionParts(PlanFolder):
    """Captions of some clips each, as JSON lists, until they are joined."""

    def __init__(self, path: Path, run_name: str) -> None:
        super().__init__(path, "captions", f"the training that takes captions from {run_name}")

    def part_path(self, part: int, parts: int) -> Path:
        """File of one finished part."""
        return super().part_path(part, parts).with_suffix(".json")

    def all_captions(self, plan: PartPlan) -> dict[str, str]:
        """Captions of all parts by clip id.

        Raises:
            IntegrityError: a part is damaged.
        """
        captions: dict[str, str] = {}
        for part in range(len(plan.parts)):
            path = self.part_path(part, len(plan.parts))
            clips = list(plan.clips_of(part))
            try:
                of_part = json.loads(path.read_bytes())
                captions.update(zip(clips, map(str, of_part), strict=True))
            except (OSError, ValueError, TypeError) as error:
                raise IntegrityError(f"{path} is damaged: remove it, and run the same command again") from error
        return captions


def _write_missing(
    session: Session,
    trained: TrainedRun,
    dataset: Dataset,
    embeddings: "Embeddings",
    parts: _CaptionParts,
    plan: PartPlan,
) -> None:
    missing = parts.missing(plan)
    if not missing:
        return
    captioner = open_captioner(trained, choose_device(session, None))
    total = len(plan.clip_ids)
    left = sum(len(plan.parts[part]) for part in missing)
    what = f"captions of {dataset.name} by {trained.name}"
    with session.open_progress(what, total, "clips", total - left) as advance:
        for part in missing:
            captions = _captions_of(session, captioner, embeddings.select(list(plan.clips_of(part))), plan)
            write_json_atomic(parts.part_path(part, len(plan.parts)), captions)
            advance(len(captions))


def _captions_of(session: Session, captioner: "Captioner", embeddings: "Embeddings", plan: PartPlan) -> list[str]:
    from atrkit.models.decoding import write_captions
    from atrkit.models.ragged import Ragged

    written = write_captions(
        captioner,
        Ragged.from_rows(embeddings.frames_NF, embeddings.offsets),
        **plan.provenance["decoding"],
        clip_ids=embeddings.clip_ids,
        on_remark=session.say,
    )
    return [each.text for each in written]
