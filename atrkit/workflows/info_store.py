"""`atrkit info --store FILE`: what embeddings or scores hold, every hash checked."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from atrkit.store.facts import inspect_store


def store_record(path: Path) -> dict[str, Any]:
    """What a store holds, as JSON; it was read to its end on the way.

    Raises:
        MissingPrerequisiteError: there is no such store.
        IntegrityError: it is damaged; names the file and the command that makes it again.
    """
    facts = inspect_store(path)
    record = {**asdict(facts), "path": str(facts.path)}
    if facts.frames is not None and "frame_period_s" in facts.notes:
        # a short clip that a network hears over and over has more frames than time
        record["frame_hours"] = round(facts.frames * facts.notes["frame_period_s"] / 3600, 4)
    return record
