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
        "megabytes": round(path.stat().st_size / 1e6, 3),
        "problems": dict(sorted(Counter(problem["action"] for problem in embeddings.problems).items())),
        "was_there": was_there,
    }


def extraction_sentence(record: dict[str, Any]) -> str:
    """The same for people."""
    verb = "were there and are up to date" if record["was_there"] else "are made"
    problems = "".join(f", {count} {action}" for action, count in record["problems"].items())
    return (
        f"{record['encoder']} embeddings of {record['dataset']} {verb}: {record['clips']:,} clips, "
        f"{record['frames']:,} frames of {record['frame_dim']} numbers, {record['megabytes']:.1f} MB"
        f"{problems} ({record['path']})"
    )
