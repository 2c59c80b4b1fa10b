"""One sentence about the scores of a split."""

import shlex
from collections import Counter
from pathlib import Path
from typing import Any, Protocol

from atrkit.reports.progress import as_minutes
from atrkit.reports.recall_notes import rerank_note


class ScoreFacts(Protocol):
    """What the sentence needs to know about scores (a workflow's `Scores` has it)."""

    @property
    def path(self) -> Path:
        """The file."""

    @property
    def matrix(self) -> Any:
        """The score matrix."""

    @property
    def calibration(self) -> Any:
        """Losses of training clips, or None."""

    @property
    def about(self) -> dict[str, Any]:
        """What made them."""

    @property
    def was_there(self) -> bool:
        """Nothing had to be computed."""

    @property
    def pairs_made(self) -> int:
        """Pairs computed now."""

    @property
    def seconds(self) -> float:
        """That it took."""

    @property
    def unknown_words(self) -> Counter[str]:
        """Of the captions."""


def score_record(scores: ScoreFacts) -> dict[str, Any]:
    """What `atrkit score --json` prints."""
    about, matrix = scores.about, scores.matrix
    return {
        "run": about["run"],
        "dataset": about["dataset"],
        "split": about["split"],
        "scoring": about["scoring"],
        "precision": about["provenance"]["precision"],
        "path": str(scores.path),
        "pool_id": matrix.pool_id,
        "clips": len(matrix.clip_ids),
        "captions": len(matrix.caption_ids),
        "calibration_clips": len(scores.calibration.clip_ids) if scores.calibration else 0,
        "unknown_words": scores.unknown_words.total(),
        "megabytes": round(scores.path.stat().st_size / 1e6, 3),
        **({"rerank": about["rerank"]} if "rerank" in about else {}),
        "was_there": scores.was_there,
        "pairs_made": scores.pairs_made,
        "seconds": round(scores.seconds, 3),
        "pairs_per_s": round(scores.pairs_made / scores.seconds, 1) if scores.pairs_made else None,
    }


def score_sentence(record: dict[str, Any]) -> str:
    """The same for people."""
    verb = "were there and are up to date" if record["was_there"] else "are made"
    calibration = f", {record['calibration_clips']:,} calibration clips" if record["calibration_clips"] else ""
    speed = ""
    if record["pairs_made"]:
        rate = f"{record['pairs_per_s']:,.0f} pairs/s"
        speed = f"; {record['pairs_made']:,} pairs in {as_minutes(record['seconds'])} ({rate})"
    reranked = record.get("rerank")
    ranked = f", {'; '.join(note.strip() for note in rerank_note(reranked))}" if reranked else ""
    precision = f" in {record['precision']}" if record["precision"] != "fp32" else ""
    return (
        f"{record['scoring']} scores{precision} of {record['dataset']}/{record['split']} by {record['run']} {verb}: "
        f"{record['clips']:,} clips x {record['captions']:,} captions{calibration}{ranked}, "
        f"{record['megabytes']:.1f} MB, pool {record['pool_id'][:12]}{speed} ({record['path']})"
    )


class ScoreShardFacts(Protocol):
    """What came of one shard (a workflow's `ScoreShard` has it)."""

    @property
    def run(self) -> str:
        """Name of the run."""

    @property
    def dataset(self) -> str:
        """Name of the dataset."""

    @property
    def split(self) -> str:
        """Name of the split."""

    @property
    def path(self) -> Path:
        """Folder of the parts, or the file they were joined into."""

    @property
    def shard(self) -> tuple[int, int]:
        """Which one of how many."""

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


def score_shard_record(outcome: ScoreShardFacts) -> dict[str, Any]:
    """What `atrkit score --shard I/N --json` prints."""
    return {
        "run": outcome.run,
        "dataset": outcome.dataset,
        "split": outcome.split,
        "shard": "/".join(map(str, outcome.shard)),
        "path": str(outcome.path),
        "parts": outcome.parts,
        "parts_made": outcome.parts_made,
        "unfinished_shards": list(outcome.unfinished_shards),
        "was_merged": outcome.was_merged,
    }


def score_shard_sentence(record: dict[str, Any]) -> str:
    """The same for people, with what comes next."""
    what = f"scores of {record['dataset']}/{record['split']} by {record['run']}"
    if record["was_merged"]:
        return f"{what} were made and joined before ({record['path']})"
    made = f"shard {record['shard']} of the {what}: {record['parts']} parts are there, {record['parts_made']} made now"
    if record["unfinished_shards"]:
        return f"{made}; shards to be finished: {', '.join(record['unfinished_shards'])} ({record['path']})"
    words = ["atrkit", "score", "--run", record["run"], "--dataset", record["dataset"], "--split", record["split"]]
    return f"{made}; all shards are finished, join them: {shlex.join([*words, '--merge'])}"
