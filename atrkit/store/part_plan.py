"""The part: unit of work, of resumption and of distribution (DESIGN.md section 4).

A plan fixed before the work starts cuts the clips into parts. A finished part is a file that is never touched again;
whatever is missing is made by running the same command again, with bit-identical results. Several processes may make
different shards of one plan at the same time: they hold `single_writer(final_path, shard=(i, n))`, everything else on
the same output holds `single_writer(final_path)`.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any

from atrkit.errors import UsageError


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

    @cached_property
    def sha256(self) -> str:
        """Digest of everything in the plan, the order of its clips too."""
        clips = list(zip(self.clip_ids, self.audio_sha256, strict=True))
        return sha256(json.dumps([self.provenance, self.part_clips, clips], sort_keys=True).encode()).hexdigest()

    def as_record(self) -> dict[str, Any]:
        """The plan as JSON."""
        clips = dict(zip(self.clip_ids, self.audio_sha256, strict=True))
        return {"provenance": self.provenance, "part_clips": self.part_clips, "clips": clips}
