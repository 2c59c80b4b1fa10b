"""Whether systems were scored on the same clips and captions, and what they share where not."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from atrkit.errors import UsageError
from atrkit.reports.counting import counted
from atrkit.score_matrix import FloatArray, IntArray, ScoreMatrix, ScoreRows, pool_id_of
from atrkit.workflows.compared_system import Member, System


def refuse_other_pools(systems: Sequence[System]) -> None:
    """Figures of different pools do not compare.

    Raises:
        UsageError: names the first clip or caption that only one system has, or that belongs to another clip.

    Source: PROTOCOL.md, "Pools".
    """
    every = [member for system in systems for member in system.members]
    first = every[0]
    for other in every[1:]:
        if other.scores.pool_id != first.scores.pool_id:
            raise UsageError(_difference(first, other))
        _refuse_other_truth(first, other)


def _difference(first: Member, other: Member) -> str:
    for kind, ids, others in (
        ("clip", first.scores.clip_ids, other.scores.clip_ids),
        ("caption", first.scores.caption_ids, other.scores.caption_ids),
    ):
        only_one = sorted(set(ids) ^ set(others))
        if only_one:
            scored, missing = (first, other) if only_one[0] in set(ids) else (other, first)
            more = f", and {len(only_one) - 1:,} more differ" if len(only_one) > 1 else ""
            return (
                f"{first.name} has {len(ids):,} {kind}s and {other.name} {len(others):,}: {kind} {only_one[0]!r} is "
                f"in {scored.name} and not in {missing.name}{more}; only figures of one pool compare: "
                "--intersect ranks again what all of them share"
            )
    raise AssertionError("pools of the same ids have the same pool id")


def _refuse_other_truth(first: Member, other: Member) -> None:
    own = dict(zip(first.scores.caption_ids, first.scores.clip_of_caption, strict=True))
    for caption_id, clip_id in zip(other.scores.caption_ids, other.scores.clip_of_caption, strict=True):
        if caption_id in own and own[caption_id] != clip_id:
            raise UsageError(
                f"caption {caption_id!r} belongs to clip {own[caption_id]!r} in {first.name} and to {clip_id!r} in "
                f"{other.name}: their ground truths differ"
            )


def intersect(systems: Sequence[System]) -> tuple[list[System], dict[str, dict[str, int]]]:
    """All systems on the clips and captions that all of them have; column scaling then sees these alone.

    Args:
        systems: of any pools.

    Returns:
        The systems, and for each member's name how many "clips" and "captions" of it were left out.

    Raises:
        UsageError: nothing is shared, or a caption that is belongs to different clips.

    Source: PROTOCOL.md, "Pools".
    """
    every = [member for system in systems for member in system.members]
    for other in every[1:]:
        _refuse_other_truth(every[0], other)
    clips = set[str](every[0].scores.clip_ids).intersection(*(each.scores.clip_ids for each in every))
    shared = set[str](every[0].scores.caption_ids).intersection(*(each.scores.caption_ids for each in every))
    first = every[0].scores
    own = zip(first.caption_ids, first.clip_of_caption, strict=True)
    captions = {caption_id for caption_id, clip_id in own if caption_id in shared and clip_id in clips}
    if not captions:
        names = ", ".join(dict.fromkeys(member.name for member in every))
        raise UsageError(f"{names} share {len(clips):,} clips and no caption of them: are the ids of one dataset?")
    left_out = {
        member.name: {
            "clips": len(member.scores.clip_ids) - len(clips),
            "captions": len(member.scores.caption_ids) - len(captions),
        }
        for member in every
    }
    kept = [replace(system, members=tuple(_select(m, clips, captions) for m in system.members)) for system in systems]
    return kept, left_out


def _select(member: Member, clips: set[str], captions: set[str]) -> Member:
    scores = member.scores
    rows_a = np.array([row for row, clip_id in enumerate(scores.clip_ids) if clip_id in clips], dtype=np.int64)
    columns_c = np.array([c for c, caption_id in enumerate(scores.caption_ids) if caption_id in captions], np.int64)
    loss_KC = None if member.loss_KC is None else member.loss_KC[:, columns_c]
    return replace(member, scores=select_scores(scores, rows_a, columns_c), loss_KC=loss_KC)


def select_scores(scores: ScoreRows, rows_a: IntArray, columns_c: IntArray) -> ScoreRows:
    """Some clips and captions of a score matrix; what lies on disk stays there.

    Args:
        scores: of all.
        rows_a: rising numbers of clips.
        columns_c: numbers of captions, each of one of these clips.
    """
    if isinstance(scores, ScoreMatrix):
        return ScoreMatrix(
            scores.scores_AC[np.ix_(rows_a, columns_c)],
            [scores.clip_ids[row] for row in rows_a],
            [scores.caption_ids[column] for column in columns_c],
            [scores.clip_of_caption[column] for column in columns_c],
        )
    return _SelectedScores(scores, rows_a, columns_c)


@dataclass(frozen=True, eq=False)
class _SelectedScores:
    """Rows and columns of scores that are read in blocks."""

    scores: ScoreRows
    rows_a: IntArray
    columns_c: IntArray

    @cached_property
    def clip_ids(self) -> tuple[str, ...]:
        return tuple(self.scores.clip_ids[row] for row in self.rows_a)

    @cached_property
    def caption_ids(self) -> tuple[str, ...]:
        return tuple(self.scores.caption_ids[column] for column in self.columns_c)

    @cached_property
    def clip_of_caption(self) -> tuple[str, ...]:
        return tuple(self.scores.clip_of_caption[column] for column in self.columns_c)

    @cached_property
    def clip_index_of_caption_C(self) -> IntArray:
        return np.searchsorted(self.rows_a, self.scores.clip_index_of_caption_C[self.columns_c])

    @cached_property
    def pool_id(self) -> str:
        return pool_id_of(self.clip_ids, self.caption_ids)

    def row_blocks(self) -> Iterator[FloatArray]:
        first = 0
        for block in self.scores.row_blocks():
            start, stop = np.searchsorted(self.rows_a, (first, first + len(block)))
            if stop > start:
                yield block[np.ix_(self.rows_a[start:stop] - first, self.columns_c)]
            first += len(block)


def left_out_lines(left_out: Mapping[str, Mapping[str, int]], shared: ScoreRows) -> list[str]:
    """What `intersect` did, for people: how many are shared, and how many were left out on each side."""
    lines = [f"shared: {_counted(len(shared.clip_ids), len(shared.caption_ids))}, ranked again"]
    of_names: dict[tuple[Any, ...], list[str]] = {}
    for name, counts in left_out.items():
        of_names.setdefault((counts["clips"], counts["captions"]), []).append(name)
    for (clips, captions), names in of_names.items():
        lines.append(f"  left out of {', '.join(names)}: {_counted(clips, captions)}")
    return lines


def _counted(clips: int, captions: int) -> str:
    return f"{counted(clips, 'clip')} and {counted(captions, 'caption')}"
