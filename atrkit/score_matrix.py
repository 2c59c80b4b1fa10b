"""The score matrix: what every scorer makes and every metric reads.

Rows are audio clips, columns are captions, and higher is better (PROTOCOL.md). Ground truth is by id: each caption
names the clip it belongs to, so that four captions on one clip, or clips in another order, change nothing.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from atrkit.errors import DivergedError, UsageError

FloatArray = npt.NDArray[np.floating]
IntArray = npt.NDArray[np.int64]


def pool_id_of(clip_ids: Sequence[str], caption_ids: Sequence[str]) -> str:
    """Sha256 of the sorted ids: two score matrices may be compared only when it is equal.

    >>> pool_id_of(["b", "a"], ["b#1", "a#1"]) == pool_id_of(["a", "b"], ["a#1", "b#1"])
    True
    >>> pool_id_of(["a"], ["a#1"]) == pool_id_of(["a"], ["a#2"])
    False
    """
    digest = hashlib.sha256()
    for kind, ids in (("clip", clip_ids), ("caption", caption_ids)):
        for item_id in sorted(ids):
            digest.update(f"{kind}\t{item_id}\n".encode())
    return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class ScoreMatrix:
    """Scores of every clip with every caption, and whose caption each one is.

    Args:
        scores_AC: (A clips, C captions), any float type, **higher is better**; -inf and +inf are allowed.
        clip_ids: A unique ids.
        caption_ids: C unique ids.
        clip_of_caption: for each caption the id of its clip, C of them; every one is among `clip_ids`.

    Raises:
        UsageError: shapes that disagree, duplicate ids, or a caption of an unknown clip.
        DivergedError: NaN anywhere; says how many and where the first ones are.

    Source: PROTOCOL.md, "Input".

    Example:
        >>> matrix = ScoreMatrix(np.eye(2), ["rain", "dog"], ["rain#1", "dog#1"], ["rain", "dog"])
        >>> matrix.clip_index_of_caption_C.tolist()
        [0, 1]
    """

    scores_AC: FloatArray
    clip_ids: tuple[str, ...]
    caption_ids: tuple[str, ...]
    clip_of_caption: tuple[str, ...]

    def __init__(
        self,
        scores_AC: npt.ArrayLike,
        clip_ids: Sequence[str],
        caption_ids: Sequence[str],
        clip_of_caption: Sequence[str],
    ) -> None:
        scores = np.asarray(scores_AC)
        object.__setattr__(self, "scores_AC", scores if scores.dtype.kind == "f" else scores.astype(np.float64))
        object.__setattr__(self, "clip_ids", tuple(clip_ids))
        object.__setattr__(self, "caption_ids", tuple(caption_ids))
        object.__setattr__(self, "clip_of_caption", tuple(clip_of_caption))
        self._validate_ids()
        self._refuse_nan()

    def _validate_ids(self) -> None:
        expected = (len(self.clip_ids), len(self.caption_ids))
        if self.scores_AC.shape != expected:
            raise UsageError(
                f"scores have shape {self.scores_AC.shape}, but there are {expected[0]} clip ids and "
                f"{expected[1]} caption ids: rows are clips, columns are captions"
            )
        if 0 in expected:
            raise UsageError("a score matrix needs at least one clip and one caption")
        if len(self.clip_of_caption) != expected[1]:
            raise UsageError(f"{expected[1]} captions, but {len(self.clip_of_caption)} entries in clip_of_caption")
        for kind, ids in (("clip", self.clip_ids), ("caption", self.caption_ids)):
            if len(set(ids)) != len(ids):
                seen: set[str] = set()
                twice = next(i for i in ids if i in seen or seen.add(i))  # type: ignore[func-returns-value]
                raise UsageError(f"{kind} id {twice!r} occurs more than once: ids must be unique")
        unknown = set(self.clip_of_caption) - set(self.clip_ids)
        if unknown:
            raise UsageError(f"{len(unknown)} captions belong to clips that are no row, the first {min(unknown)!r}")

    def _refuse_nan(self) -> None:
        with np.errstate(invalid="ignore", over="ignore"):  # +inf and -inf together, both of them allowed
            total = np.sum(self.scores_AC, dtype=np.float64)
        if not np.isnan(total):
            return  # a matrix with a NaN has sum NaN: one pass, no mask in memory
        nan_AC = np.isnan(self.scores_AC)
        if nan_AC.any():
            rows, columns = np.nonzero(nan_AC)
            first = ", ".join(
                f"({self.clip_ids[a]!r}, {self.caption_ids[c]!r})" for a, c in zip(rows[:3], columns[:3], strict=True)
            )
            raise DivergedError(
                f"{len(rows)} of {self.scores_AC.size} scores are NaN, the first at (clip, caption) {first}: "
                "no ranking can be computed; the model that made them has diverged"
            )

    @cached_property
    def clip_index_of_caption_C(self) -> IntArray:
        """Row of each caption's own clip, (C,)."""
        row_of_id = {clip_id: row for row, clip_id in enumerate(self.clip_ids)}
        return np.array([row_of_id[clip_id] for clip_id in self.clip_of_caption], dtype=np.int64)

    @cached_property
    def pool_id(self) -> str:
        """Sha256 of the sorted clip and caption ids."""
        return pool_id_of(self.clip_ids, self.caption_ids)
