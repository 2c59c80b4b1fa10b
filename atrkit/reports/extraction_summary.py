"""One sentence about the embeddings of a dataset."""

from collections import Counter
from pathlib import Path
from typing import Any, Protocol


class EmbeddingFacts(Protocol):
    """What the sentence needs to know about embeddings (a store's `Embeddings` has it)."""

    @property
    def clip_ids(self) -> tuple[str, ...]:
        """Clips that have an embedding."""

    @property
    def frames_NF(self) -> Any:
        """All frames."""

    @property
    def provenance(self) -> dict[str, Any]:
        """What made them."""

    @property
    def largest_cosine_loss(self) -> float | None:
        """How much of a frame's cosine is lost by the way it is kept; None where nothing is."""

    @property
    def problems(self) -> tuple[dict[str, Any], ...]:
        """What was skipped or padded."""


def extraction_record(dataset: str, path: Path, embeddings: EmbeddingFacts, *, was_there: bool) -> dict[str, Any]:
    """What `atrkit extract --json` prints."""
    return {
        "dataset": dataset,
        "encoder": embeddings.provenance["encoder"],
        "path": str(path),
        "clips": len(embeddings.clip_ids),
        "frames": int(embeddings.frames_NF.shape[0]),
        "frame_dim": int(embeddings.frames_NF.shape[1]),
        "frame_dtype": str(embeddings.frames_NF.dtype),
        "largest_cosine_loss": embeddings.largest_cosine_loss,
        "megabytes": round(path.stat().st_size / 1e6, 3),
        "problems": dict(sorted(Counter(problem["action"] for problem in embeddings.problems).items())),
        "was_there": was_there,
    }


def extraction_sentence(record: dict[str, Any]) -> str:
    """The same for people."""
    verb = "were there and are up to date" if record["was_there"] else "are made"
    loss = record["largest_cosine_loss"]
    kept = f"{record['frame_dtype']}, cosine to float32 at least 1 - {loss:.1e}" if loss else record["frame_dtype"]
    problems = "".join(f", {count} {action}" for action, count in record["problems"].items())
    return (
        f"{record['encoder']} embeddings of {record['dataset']} {verb}: {record['clips']:,} clips, "
        f"{record['frames']:,} frames of {record['frame_dim']} numbers ({kept}), {record['megabytes']:.1f} MB"
        f"{problems} ({record['path']})"
    )


class ShardFacts(Protocol):
    """What came of one shard (a workflow's `ShardOutcome` has it)."""

    @property
    def folder(self) -> Path:
        """Where the parts lie."""

    @property
    def shard(self) -> Any:
        """As the user wrote it, when made a string."""

    @property
    def parts(self) -> int:
        """Parts of this shard."""

    @property
    def parts_made(self) -> int:
        """Those made now."""

    @property
    def unfinished_shards(self) -> tuple[str, ...]:
        """Shards with parts to make yet."""

    @property
    def was_merged(self) -> bool:
        """Everything was there and joined."""


def shard_record(dataset: str, encoder: str, outcome: ShardFacts) -> dict[str, Any]:
    """What `atrkit extract --shard I/N --json` prints."""
    return {
        "dataset": dataset,
        "encoder": encoder,
        "shard": str(outcome.shard),
        "path": str(outcome.folder),
        "parts": outcome.parts,
        "parts_made": outcome.parts_made,
        "unfinished_shards": list(outcome.unfinished_shards),
        "was_merged": outcome.was_merged,
    }


def shard_sentence(record: dict[str, Any]) -> str:
    """The same for people, with what comes next."""
    what = f"{record['encoder']} embeddings of {record['dataset']}"
    if record["was_merged"]:
        return f"{what} were made and joined before ({record['path']})"
    made = f"shard {record['shard']} of the {what}: {record['parts']} parts are there, {record['parts_made']} made now"
    if record["unfinished_shards"]:
        return f"{made}; shards to be finished: {', '.join(record['unfinished_shards'])} ({record['path']})"
    command = f"atrkit extract --encoder {record['encoder']} --dataset {record['dataset']} --merge"
    return f"{made}; all shards are finished, join them: {command}"
