"""The part: unit of work and of resumption (DESIGN.md section 4).

A plan fixed before the work starts cuts the clips into parts. A finished part is a file that is never touched again;
whatever is missing is made by running the same command again, with bit-identical results.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atrkit.errors import IntegrityError
from atrkit.files import write_json_atomic
from atrkit.store.embeddings import (
    Embeddings,
    concatenate,
    first_difference,
    load_embeddings,
    save_embeddings,
)

PLAN_NAME = "plan.json"


@dataclass(frozen=True)
class PartPlan:
    """Which clips go into which part, and with which settings.

    Args:
        provenance: everything that changes the numbers.
        clip_ids: all clips, in the order in which they are cut into parts.
        audio_sha256: hash of each clip's audio.
        part_clips: clips per part.
    """

    provenance: dict[str, Any]
    clip_ids: tuple[str, ...]
    audio_sha256: tuple[str, ...]
    part_clips: int

    @property
    def parts(self) -> tuple[range, ...]:
        """For each part the range of positions in `clip_ids`."""
        starts = range(0, len(self.clip_ids), self.part_clips)
        return tuple(range(start, min(start + self.part_clips, len(self.clip_ids))) for start in starts)

    def as_record(self) -> dict[str, Any]:
        """The plan as JSON."""
        clips = dict(zip(self.clip_ids, self.audio_sha256, strict=True))
        return {"provenance": self.provenance, "part_clips": self.part_clips, "clips": clips}


class PartFolder:
    """Finished parts of one plan, beside the file they will become.

    Args:
        final_path: the embedding file, `<encoder>.h5`; parts lie in `<encoder>.parts/`.
    """

    def __init__(self, final_path: Path) -> None:
        self.final_path = final_path
        self.folder = final_path.with_suffix(".parts")
        self._plan_path = self.folder / PLAN_NAME

    def part_path(self, part: int, parts: int) -> Path:
        """File of one finished part."""
        return self.folder / f"part-{part:05d}-of-{parts:05d}.h5"

    def start(self, plan: PartPlan) -> None:
        """Fix the plan, or check that the one under way is the same.

        Raises:
            IntegrityError: parts of another plan lie there; says what differs and how to start afresh.
        """
        if not self._plan_path.is_file():
            self.clear()  # parts without a plan are what a killed `clear` left: nobody knows what they are of
            write_json_atomic(self._plan_path, plan.as_record())
        difference = self.difference(plan)
        if difference:
            raise IntegrityError(
                f"unfinished embeddings in {self.folder} were begun with other input: {difference}; "
                "start afresh with --overwrite"
            )

    def difference(self, plan: PartPlan) -> str | None:
        """In words, how the plan under way differs from this one; None when it is the same or there is none."""
        if not self._plan_path.is_file():
            return None
        try:
            there = json.loads(self._plan_path.read_bytes())
            if there["part_clips"] != plan.part_clips:
                return f"part_clips is {there['part_clips']} there and {plan.part_clips} now"
            return describe_difference(there, plan.as_record())
        except (ValueError, KeyError, TypeError, AttributeError):
            return f"{PLAN_NAME} is damaged"

    def finished(self, plan: PartPlan) -> frozenset[int]:
        """Numbers of the parts that are there."""
        count = len(plan.parts)
        return frozenset(part for part in range(count) if self.part_path(part, count).is_file())

    def save(self, part: int, plan: PartPlan, embeddings: Embeddings) -> None:
        """Write one finished part."""
        save_embeddings(self.part_path(part, len(plan.parts)), embeddings)

    def merge(self, plan: PartPlan) -> Embeddings:
        """Join all parts into the final file and remove them.

        Raises:
            IntegrityError: a part is damaged; names it and the way out.
            ResourceError: the file cannot be written; the parts stay.
        """
        count = len(plan.parts)
        merged = concatenate([self._load(self.part_path(part, count)) for part in range(count)])
        save_embeddings(self.final_path, merged)
        self.clear()
        return merged

    def _load(self, path: Path) -> Embeddings:
        try:
            return load_embeddings(path)
        except IntegrityError as error:
            raise IntegrityError(f"{path} is damaged: delete it and run the same command again") from error

    def clear(self) -> None:
        """Remove the plan and all parts; the plan first, so that a kill leaves no part that a plan seems to own."""
        self._plan_path.unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)


def describe_difference(there: dict[str, Any], asked: dict[str, Any]) -> str | None:
    """In words, what differs between what was made and what is asked, or None.

    Args:
        there: `{"provenance": ..., "clips": {clip id: audio sha256}}` of what lies on disk.
        asked: the same for what the command would make now.
    """
    difference = first_difference(there["provenance"], asked["provenance"])
    if difference:
        return difference
    return _clip_difference(there["clips"], asked["clips"])


def _clip_difference(there: dict[str, str], asked: dict[str, str]) -> str | None:
    gone, new = sorted(set(there) - set(asked)), sorted(set(asked) - set(there))
    if gone or new:
        named = _name_first(gone, "gone from") + _name_first(new, "new in")
        return f"{' and '.join(named)} the dataset"
    changed = sorted(clip_id for clip_id in asked if there[clip_id] != asked[clip_id])
    if changed:
        return f"the audio of {len(changed)} clips changed, the first {changed[0]!r}"
    return None


def _name_first(clip_ids: Sequence[str], what: str) -> list[str]:
    return [f"{len(clip_ids)} clips ({clip_ids[0]!r} ...) are {what}"] if clip_ids else []
