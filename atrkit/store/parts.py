"""The part: unit of work, of resumption and of distribution (DESIGN.md section 4).

A plan fixed before the work starts cuts the clips into parts. A finished part is a file that is never touched again;
whatever is missing is made by running the same command again, with bit-identical results. Several processes may make
different shards of one plan at the same time: they hold `single_writer(final_path, shard=(i, n))`, everything else on
the same output holds `single_writer(final_path)`.
"""

import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atrkit.errors import IntegrityError, MissingPrerequisiteError, UsageError
from atrkit.files import as_resource_error, one_at_a_time, write_json_atomic
from atrkit.store.differences import describe_difference
from atrkit.store.embeddings import Embeddings, load_embeddings, save_embeddings
from atrkit.store.merge import ExpectedPart, merge_parts

__all__ = ["PLAN_NAME", "PartFolder", "PartPlan", "describe_difference"]

PLAN_NAME = "plan.json"
SHARDS_NAME = "shards.json"


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

    def clips_of(self, part: int) -> dict[str, str]:
        """Audio sha256 of each clip of a part, by id and in order."""
        return {self.clip_ids[index]: self.audio_sha256[index] for index in self.parts[part]}

    def shard(self, index: int, count: int) -> tuple[int, ...]:
        """Numbers of the parts that are one shard's; every part is in exactly one of the `count` shards.

        Args:
            index: of the shard, from 1.
            count: of all shards.

        Raises:
            UsageError: there is no such shard.

        Example:
            >>> plan = PartPlan({}, tuple("abcde"), tuple("01234"), part_clips=1)
            >>> plan.shard(1, 2), plan.shard(2, 2)
            ((0, 2, 4), (1, 3))
        """
        if not 1 <= index <= count:
            raise UsageError(
                f"there is no shard {index}/{count}: shards of {count} go from 1/{count} to {count}/{count}"
            )
        return tuple(range(index - 1, len(self.parts), count))

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

    def start(self, plan: PartPlan, *, shards: int | None = None) -> None:
        """Fix the plan, or check that the one under way is the same; shards may all do so at the same time.

        Args:
            plan: of the work that begins.
            shards: how many shards the caller's is one of, so that `require_finished` can say which ones are missing;
                None: the caller makes all parts.

        Raises:
            IntegrityError: parts of another plan lie there; says what differs and how to start afresh.
            ResourceError: the folder cannot be written.
        """
        with one_at_a_time(self.final_path):
            if not self._plan_path.is_file():
                self.clear()  # parts without a plan are what a killed `clear` left: nobody knows what they are of
                write_json_atomic(self._plan_path, plan.as_record())
            difference = self.difference(plan)
            if difference is None and shards is not None and shards != self.shards():
                write_json_atomic(self.folder / SHARDS_NAME, {"shards": shards})
        if difference:
            afresh = (
                "start afresh with --overwrite"
                if shards is None
                else "say the same to every shard, or stop them all and delete the folder to start afresh"
            )
            raise IntegrityError(
                f"unfinished embeddings in {self.folder} were begun with other input: {difference}; {afresh}"
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

    def plan(self) -> PartPlan:
        """The plan under way, as it was fixed.

        Raises:
            MissingPrerequisiteError: there is none.
            IntegrityError: it is damaged; says how to start afresh.
        """
        if not self._plan_path.is_file():
            raise MissingPrerequisiteError(
                f"no unfinished embeddings in {self.folder}; run: atrkit extract --encoder {self.final_path.stem}"
            )
        try:
            record = json.loads(self._plan_path.read_bytes())
            clips: dict[str, str] = record["clips"]
            return PartPlan(record["provenance"], tuple(clips), tuple(clips.values()), int(record["part_clips"]))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            command = f"atrkit extract --encoder {self.final_path.stem} --overwrite"
            raise IntegrityError(f"{self._plan_path} is damaged; start afresh: {command}") from error

    def shards(self) -> int | None:
        """Into how many shards the plan was cut last; None where it was not, or nobody knows any more."""
        try:
            count = json.loads((self.folder / SHARDS_NAME).read_bytes())["shards"]
            return count if type(count) is int and count > 0 else None
        except (OSError, ValueError, KeyError, TypeError):
            return None  # it only makes messages clearer

    def finished(self, plan: PartPlan) -> frozenset[int]:
        """Numbers of the parts that are there."""
        count = len(plan.parts)
        return frozenset(part for part in range(count) if self.part_path(part, count).is_file())

    def missing(self, plan: PartPlan) -> tuple[int, ...]:
        """Numbers of the parts that are not there, in order."""
        finished = self.finished(plan)
        return tuple(part for part in range(len(plan.parts)) if part not in finished)

    def expected(self, plan: PartPlan, parts: Iterable[int]) -> list[ExpectedPart]:
        """What the files of some parts must be."""
        return [ExpectedPart(self.part_path(part, len(plan.parts)), plan.clips_of(part)) for part in parts]

    def unfinished_shards(self, plan: PartPlan) -> tuple[str, ...]:
        """Shards with a part missing, as `--shard` takes them; none where the plan was never cut into shards."""
        count, missing = self.shards(), self.missing(plan)
        return () if count is None else tuple(f"{i}/{count}" for i in sorted({part % count + 1 for part in missing}))

    def require_finished(self, plan: PartPlan) -> None:
        """See that there is nothing left to make before parts are merged.

        Raises:
            MissingPrerequisiteError: parts are missing; says which ones, of which shards, and the command.
        """
        missing, command = self.missing(plan), f"atrkit extract --encoder {self.final_path.stem}"
        if not missing:
            return
        shards = self.unfinished_shards(plan)
        of_shards = f", of the shards {_first(shards)}" if shards else ""
        raise MissingPrerequisiteError(
            f"{len(missing)} of {len(plan.parts)} parts are missing in {self.folder} ({_first(missing)}{of_shards}); "
            f"run: {command}{f' --shard {shards[0]}' if shards else ''}"
            + (" and so on, or without --shard for all that is missing" if shards else "")
        )

    def save(self, part: int, plan: PartPlan, embeddings: Embeddings) -> None:
        """Write one finished part.

        Raises:
            ResourceError: the disk is full or cannot be written; nothing is left behind.
        """
        save_embeddings(self.part_path(part, len(plan.parts)), embeddings)

    def merge(self, plan: PartPlan) -> Embeddings:
        """Join all parts into the final file, read it back, and remove them; in memory is one part at a time.

        Returns:
            What is in the file, its arrays mapped.

        Raises:
            MissingPrerequisiteError: parts are missing.
            IntegrityError: a part is damaged, or of another plan; names it and the way out.
            ResourceError: the file cannot be written; the parts stay.
        """
        self.require_finished(plan)
        merge_parts(self.final_path, self.expected(plan, range(len(plan.parts))), plan.provenance)
        merged = load_embeddings(self.final_path, mapped=True)
        self.clear()
        return merged

    def clear(self) -> None:
        """Remove the plan and all parts; the plan first, so that a kill leaves no part that a plan seems to own.

        Raises:
            ResourceError: something could not be removed.
        """
        try:
            self._plan_path.unlink(missing_ok=True)
            if self.folder.exists():
                shutil.rmtree(self.folder)
        except OSError as error:
            raise as_resource_error(error, self.folder) from error


def _first(values: Iterable[object], at_most: int = 5) -> str:
    """The first few of many.

    >>> _first(range(9))
    '0, 1, 2, 3, 4, ...'
    """
    shown = list(map(str, values))
    return ", ".join(shown[:at_most]) + (", ..." if len(shown) > at_most else "")
