"""`atrkit extract --shard I/N` and `--merge`: one extraction shared by processes that know nothing of each other."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atrkit.datasets.manifest import Dataset
from atrkit.errors import IntegrityError, UsageError
from atrkit.files import single_writer, write_jsonl_atomic
from atrkit.store.embeddings import load_embeddings
from atrkit.store.parts import PartFolder, describe_difference
from atrkit.workflows.extract import ExtractOutcome, open_encoder, problems_path_of, refuse_problems, require_room
from atrkit.workflows.extract_options import ExtractOptions, Shard
from atrkit.workflows.extract_parts import make_parts, plan_parts
from atrkit.workflows.extract_reuse import clips_record, reuse
from atrkit.workflows.session import Session


@dataclass(frozen=True)
class ShardOutcome:
    """What came of one shard.

    Args:
        folder: where the parts lie.
        shard: which one this was.
        parts: how many parts are this shard's.
        parts_made: how many of them this call made.
        unfinished_shards: which shards have parts to make yet; with none, `--merge` can join them.
        was_merged: all of it had been made and joined before.
    """

    folder: Path
    shard: Shard
    parts: int
    parts_made: int
    unfinished_shards: tuple[str, ...]
    was_merged: bool


def extract_shard(session: Session, dataset: Dataset, options: ExtractOptions) -> ShardOutcome:
    """Make one shard's parts; other shards may be at work on the same folder.

    Raises:
        MissingPrerequisiteError: another process makes this shard, or all of it; or the recordings are not there.
        IntegrityError, ResourceError, DivergedError: as `extract`.
    """
    shard = options.shard
    if shard is None:
        raise UsageError("--shard I/N is needed")
    path = session.workspace.embeddings_path(dataset.name, options.encoder)
    encoder = open_encoder(session, dataset, options, path)
    plan = plan_parts(dataset, encoder, options)
    parts = PartFolder(path)
    own = plan.shard(shard.index, shard.count)
    with single_writer(path, shard=(shard.index, shard.count)):
        if path.is_file():
            reuse(session, dataset, path, plan)
            return ShardOutcome(path, shard, len(own), 0, (), was_merged=True)
        require_room(dataset, encoder, options, path)
        parts.start(plan, shards=shard.count)
        made = make_parts(session, dataset, encoder, options, plan, parts, own)
        unfinished = parts.unfinished_shards(plan)
    return ShardOutcome(parts.folder, shard, len(own), len(made), unfinished, was_merged=False)


def merge_shards(session: Session, dataset: Dataset, encoder_name: str, *, strict: bool = False) -> ExtractOutcome:
    """Join the parts that shards have made; neither weights nor audio are needed.

    Args:
        session: where to speak.
        dataset: whose embeddings they are.
        encoder_name: of the encoder.
        strict: clips that were skipped or padded are an error.

    Raises:
        MissingPrerequisiteError: parts are missing (says which shards make them), there are none, or somebody still
            writes.
        IntegrityError: a part is damaged, the dataset is another than when they were made, or, with `strict`, clips
            were skipped or padded.
        ResourceError: the disk is full or cannot be written; the parts stay.
    """
    path = session.workspace.embeddings_path(dataset.name, encoder_name)
    parts = PartFolder(path)
    with single_writer(path):
        was_there = path.is_file()
        if was_there:
            embeddings = load_embeddings(path, mapped=True)
            _refuse_other_encoder(embeddings.provenance, encoder_name, path)
            _refuse_other_dataset(clips_record(embeddings), dataset, path)
        else:
            plan = parts.plan()
            _refuse_other_dataset(plan.as_record(), dataset, parts.folder)
            embeddings = parts.merge(plan)
        write_jsonl_atomic(problems_path_of(path), embeddings.problems)
    if strict:
        refuse_problems(path, embeddings)
    return ExtractOutcome(path, embeddings, was_there=was_there, parts_made=0)


def _refuse_other_encoder(provenance: dict[str, Any], encoder_name: str, path: Path) -> None:
    if provenance["encoder"] != encoder_name:
        raise IntegrityError(f"{path} holds embeddings of {provenance['encoder']}: was it copied there? delete it")


def _refuse_other_dataset(there: dict[str, Any], dataset: Dataset, place: Path) -> None:
    """See that all of it is of the dataset as it is now.

    Args:
        there: provenance and clips, as `describe_difference` compares them.
        dataset: as it is now.
        place: a file or folder, to be named.
    """
    sample_rate_hz = there["provenance"]["sample_rate_hz"]
    clips = {clip.id: clip.best_file(sample_rate_hz).sha256 for clip in dataset.clips}
    difference = describe_difference(there, {"provenance": there["provenance"], "clips": clips})
    if difference:
        raise IntegrityError(f"{place} is of another state of the dataset: {difference}; delete it and extract again")
