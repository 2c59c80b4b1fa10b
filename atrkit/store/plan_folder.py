"""The folder where work that is cut into parts is under way: its plan, which parts are there, and which are missing."""

import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from atrkit.errors import IntegrityError, MissingPrerequisiteError
from atrkit.files import as_resource_error, one_at_a_time, write_json_atomic
from atrkit.store.differences import describe_difference
from atrkit.store.part_plan import PartPlan

PLAN_NAME = "plan.json"
SHARDS_NAME = "shards.json"


class PlanFolder:
    """A plan and its finished parts, beside the file they will become.

    What the parts hold is another's affair: `PartFolder` for embeddings, `ScoreParts` for scores.

    Args:
        final_path: the file, `<name>.h5`; parts lie in `<name>.parts/`.
        noun: what is being made, in the plural, for messages.
        command: that makes it, the whole of it, for messages.
        afresh: what a user does who wants to begin again, for messages.
    """

    def __init__(
        self, final_path: Path, noun: str, command: str, *, afresh: str = "start afresh with --overwrite"
    ) -> None:
        self.final_path = final_path
        self.noun = noun
        self.command = command
        self.afresh = afresh
        self.folder = final_path.with_suffix(".parts")
        self._plan_path = self.folder / PLAN_NAME

    @property
    def is_under_way(self) -> bool:
        """Whether a plan was fixed and its parts were not joined yet."""
        return self._plan_path.is_file()

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
            if not self.is_under_way:
                self.clear()  # parts without a plan are what a killed `clear` left: nobody knows what they are of
                write_json_atomic(self._plan_path, plan.as_record())
            difference = self.difference(plan)
            if difference is None and shards is not None and shards != self.shards():
                write_json_atomic(self.folder / SHARDS_NAME, {"shards": shards})
        if difference:
            way_out = self.way_out(plan, is_shard=shards is not None)
            raise IntegrityError(
                f"unfinished {self.noun} in {self.folder} were begun with other input: {difference}; {way_out}"
            )

    def way_out(self, plan: PartPlan, *, is_shard: bool = False) -> str:
        """What a user can do who wants this plan while another one is under way."""
        if is_shard:
            return "say the same to every shard, or stop them all and delete the folder to start afresh"
        return self.afresh

    def difference(self, plan: PartPlan) -> str | None:
        """In words, how the plan under way differs from this one; None when it is the same or there is none."""
        if not self.is_under_way:
            return None
        try:
            there = json.loads(self._plan_path.read_bytes())
            if there["part_clips"] != plan.part_clips:
                return f"part_clips is {there['part_clips']} there and {plan.part_clips} now"
            difference = self._describe(there, plan.as_record())
            if difference is None and list(there["clips"]) != list(plan.clip_ids):
                return "the clips are in another order"
            return difference
        except (ValueError, KeyError, TypeError, AttributeError):
            return f"{PLAN_NAME} is damaged"

    def _describe(self, there: dict[str, Any], asked: dict[str, Any]) -> str | None:
        """How the plan under way differs, both as JSON."""
        return describe_difference(there, asked)

    def plan(self) -> PartPlan:
        """The plan under way, as it was fixed.

        Raises:
            MissingPrerequisiteError: there is none.
            IntegrityError: it is damaged; says how to start afresh.
        """
        if not self.is_under_way:
            raise MissingPrerequisiteError(f"no unfinished {self.noun} in {self.folder}; run: {self.command}")
        try:
            record = json.loads(self._plan_path.read_bytes())
            clips: dict[str, str] = record["clips"]
            return PartPlan(record["provenance"], tuple(clips), tuple(clips.values()), int(record["part_clips"]))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise IntegrityError(f"{self._plan_path} is damaged; start afresh: {self.command} --overwrite") from error

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

    def unfinished_shards(self, plan: PartPlan) -> tuple[str, ...]:
        """Shards with a part missing, as `--shard` takes them; none where the plan was never cut into shards."""
        count, missing = self.shards(), self.missing(plan)
        return () if count is None else tuple(f"{i}/{count}" for i in sorted({part % count + 1 for part in missing}))

    def require_finished(self, plan: PartPlan) -> None:
        """See that there is nothing left to make before parts are merged.

        Raises:
            MissingPrerequisiteError: parts are missing; says which ones, of which shards, and the command.
        """
        missing = self.missing(plan)
        if not missing:
            return
        shards = self.unfinished_shards(plan)
        of_shards = f", of the shards {_first(shards)}" if shards else ""
        raise MissingPrerequisiteError(
            f"{len(missing)} of {len(plan.parts)} parts are missing in {self.folder} ({_first(missing)}{of_shards}); "
            f"run: {self.command}{f' --shard {shards[0]}' if shards else ''}"
            + (" and so on, or without --shard for all that is missing" if shards else "")
        )

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
