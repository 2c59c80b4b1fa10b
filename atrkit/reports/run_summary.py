"""One sentence about a finished run."""

from pathlib import Path
from typing import Any


def run_record(folder: Path, finished: dict[str, Any], *, was_there: bool) -> dict[str, Any]:
    """What `atrkit train --json` prints for one seed."""
    return {**finished, "folder": str(folder), "was_there": was_there}


def run_sentence(record: dict[str, Any]) -> str:
    """The same for people."""
    verb = "was finished before" if record["was_there"] else "is finished"
    facts = f"{record['model']} on {record['train_clips']:,} clips of {record['dataset']}/{record['train_split']}"
    if record.get("best_metric") is not None:
        facts += f", epoch {record['best_epoch']} of {record['epochs']} kept by {record['keep_best']}"
        facts += f" = {record['best_metric']:.4f}"
    return f"{record['run']} {verb}: {facts} ({record['folder']})"
