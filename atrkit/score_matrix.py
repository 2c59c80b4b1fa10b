"""The score matrix: what every scorer makes and every metric reads.

Rows are audio clips, columns are captions, and higher is better (PROTOCOL.md). Ground truth is by id: each caption
names the clip it belongs to, so that four captions on one clip, or clips in another order, change nothing.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt

from atrkit.errors import DivergedError, UsageError

FloatArray = npt.NDArray[np.floating]
IntArray = npt.NDArray[np.int64]

_BLOCK_BYTES = 64 * 2**20
_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


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


class ScoreRows(Protocol):
    """Scores that can be read from the first clip to the last, as often as wanted: all that a metric needs.

    A `ScoreMatrix` has them in memory; `BlockedScores` reads them in blocks from wherever they lie, so that a matrix
    larger than memory can be ranked.
    """

    @property
    def clip_ids(self) -> tuple[str, ...]:
        """Ids of the rows."""

    @property
    def caption_ids(self) -> tuple[str, ...]:
        """Ids of the columns."""

    @property
    def clip_of_caption(self) -> tuple[str, ...]:
        """For each column the id of its own clip."""

    @property
    def clip_index_of_caption_C(self) -> IntArray:
        """Row of each caption's own clip, (C,)."""

    @property
    def pool_id(self) -> str:
        """Sha256 of the sorted ids."""

    def row_blocks(self) -> Iterator[FloatArray]:
        """Blocks of consecutive rows, (rows, C) float32 or float64, from the first row to the last; no NaN."""


@dataclass(frozen=True, eq=False)
class ScoreMatrix:
    """Scores of every clip with every caption, and whose caption each one is.

    Args:
        scores_AC: (A clips, C captions), any float type, **higher is better**; -inf and +inf are allowed.
        clip_ids: A unique ids.
        caption_ids: C unique ids.
        clip_of_caption: for each caption the id of its clip, C of them; every one is among `clip_ids`.

    Raises:
        UsageError: shapes that disagree, scores that are complex or masked, a caption of an unknown clip, or ids that
            are empty, occur twice, or have a line break or another control character or half a character in them.
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
        object.__setattr__(self, "scores_AC", _as_floats(scores_AC))
        object.__setattr__(self, "clip_ids", tuple(clip_ids))
        object.__setattr__(self, "caption_ids", tuple(caption_ids))
        object.__setattr__(self, "clip_of_caption", tuple(clip_of_caption))
        _validate_ids(self.scores_AC.shape, self.clip_ids, self.caption_ids, self.clip_of_caption)
        _refuse_nan(self.scores_AC, self.clip_ids, self.caption_ids)

    @cached_property
    def clip_index_of_caption_C(self) -> IntArray:
        """Row of each caption's own clip, (C,)."""
        return _rows_of(self.clip_ids, self.clip_of_caption)

    @cached_property
    def pool_id(self) -> str:
        """Sha256 of the sorted clip and caption ids."""
        return pool_id_of(self.clip_ids, self.caption_ids)

    def row_blocks(self) -> Iterator[FloatArray]:
        """The whole matrix as one block, in a type that numpy compares fast, and as it would in float64."""
        yield _comparable(self.scores_AC)


@dataclass(frozen=True, eq=False)
class BlockedScores:
    """Scores that stay where they are, and are read a block of rows at a time.

    Args:
        read_rows: called with the first row and the one behind the last; gives (rows, C) of any float type, the same
            whenever it is asked.
        clip_ids, caption_ids, clip_of_caption: as of `ScoreMatrix`.

    Raises:
        UsageError: as for `ScoreMatrix`.

    Source: PROTOCOL.md, "Input".

    Example:
        >>> scores = np.array([[0.9, 0.1], [0.2, 0.8]])
        >>> blocked = BlockedScores(lambda a, b: scores[a:b], ["rain", "dog"], ["rain#1", "dog#1"], ["rain", "dog"])
        >>> [block.tolist() for block in blocked.row_blocks()]
        [[[0.9, 0.1], [0.2, 0.8]]]
    """

    read_rows: Callable[[int, int], FloatArray]
    clip_ids: tuple[str, ...]
    caption_ids: tuple[str, ...]
    clip_of_caption: tuple[str, ...]

    def __init__(
        self,
        read_rows: Callable[[int, int], FloatArray],
        clip_ids: Sequence[str],
        caption_ids: Sequence[str],
        clip_of_caption: Sequence[str],
    ) -> None:
        object.__setattr__(self, "read_rows", read_rows)
        object.__setattr__(self, "clip_ids", tuple(clip_ids))
        object.__setattr__(self, "caption_ids", tuple(caption_ids))
        object.__setattr__(self, "clip_of_caption", tuple(clip_of_caption))
        shape = (len(self.clip_ids), len(self.caption_ids))
        _validate_ids(shape, self.clip_ids, self.caption_ids, self.clip_of_caption)

    @cached_property
    def clip_index_of_caption_C(self) -> IntArray:
        """Row of each caption's own clip, (C,)."""
        return _rows_of(self.clip_ids, self.clip_of_caption)

    @cached_property
    def pool_id(self) -> str:
        """Sha256 of the sorted clip and caption ids."""
        return pool_id_of(self.clip_ids, self.caption_ids)

    def row_blocks(self) -> Iterator[FloatArray]:
        """Blocks of about 64 MB.

        Raises:
            DivergedError: NaN in a block; says how many and where the first ones are.
        """
        rows = max(1, _BLOCK_BYTES // (8 * len(self.caption_ids)))
        for start in range(0, len(self.clip_ids), rows):
            stop = min(start + rows, len(self.clip_ids))
            block = self.read_rows(start, stop)
            _refuse_nan(block, self.clip_ids[start:stop], self.caption_ids)
            yield _comparable(block)


def _validate_ids(
    shape: tuple[int, ...], clip_ids: Sequence[str], caption_ids: Sequence[str], clip_of_caption: Sequence[str]
) -> None:
    expected = (len(clip_ids), len(caption_ids))
    if shape != expected:
        raise UsageError(
            f"scores have shape {shape}, but there are {expected[0]} clip ids and "
            f"{expected[1]} caption ids: rows are clips, columns are captions"
        )
    if 0 in expected:
        raise UsageError("a score matrix needs at least one clip and one caption")
    if len(clip_of_caption) != expected[1]:
        raise UsageError(f"{expected[1]} captions, but {len(clip_of_caption)} entries in clip_of_caption")
    for kind, ids in (("clip", clip_ids), ("caption", caption_ids)):
        _refuse_ids_that_files_cannot_hold(kind, ids)
        if len(set(ids)) != len(ids):
            seen: set[str] = set()
            twice = next(i for i in ids if i in seen or seen.add(i))  # type: ignore[func-returns-value]
            raise UsageError(f"{kind} id {twice!r} occurs more than once: ids must be unique")
    unknown = set(clip_of_caption) - set(clip_ids)
    if unknown:
        raise UsageError(f"{len(unknown)} captions belong to clips that are no row, the first {min(unknown)!r}")


def _refuse_ids_that_files_cannot_hold(kind: str, ids: Sequence[str]) -> None:
    """Ids are lines of the pool id's digest and cells of tables: a line break could make two of one."""
    for item_id in ids:
        if not isinstance(item_id, str):
            raise UsageError(f"{kind} id {item_id!r} is no text but {type(item_id).__name__}: ids are strings")
        if not item_id:
            raise UsageError(f"a {kind} id is empty: name every {kind}")
        if (item_id.isascii() and item_id.isprintable()) or not _UNFIT.search(item_id):
            continue
        raise UsageError(
            f"{kind} id {item_id!r} has a line break, another control character or half a character in it, which no "
            "file of ids can hold: rename it"
        )


def _as_floats(scores_AC: npt.ArrayLike) -> FloatArray:
    """Scores as an array of floats that means what was given."""
    if isinstance(scores_AC, np.ma.MaskedArray) and np.ma.is_masked(scores_AC):
        raise UsageError(
            f"{np.ma.count_masked(scores_AC):,} scores are masked, and every pair needs one: fill them, with -inf for "
            "the worst"
        )
    scores = np.asarray(scores_AC)
    if scores.dtype.kind == "c":
        raise UsageError("scores are complex numbers, which have no order: give their real part, or their magnitude")
    return scores if scores.dtype.kind == "f" else scores.astype(np.float64)


def _refuse_nan(scores_AC: FloatArray, clip_ids: Sequence[str], caption_ids: Sequence[str]) -> None:
    with np.errstate(invalid="ignore", over="ignore"):  # +inf and -inf together, both of them allowed
        total = np.sum(scores_AC, dtype=np.float64)
    if not np.isnan(total):
        return  # a matrix with a NaN has sum NaN: one pass, no mask in memory
    nan_AC = np.isnan(scores_AC)
    if nan_AC.any():
        rows, columns = np.nonzero(nan_AC)
        first = ", ".join(f"({clip_ids[a]!r}, {caption_ids[c]!r})" for a, c in zip(rows[:3], columns[:3], strict=True))
        raise DivergedError(
            f"{len(rows)} of {scores_AC.size} scores are NaN, the first at (clip, caption) {first}: "
            "no ranking can be computed; the model that made them has diverged"
        )


def _rows_of(clip_ids: Sequence[str], clip_of_caption: Sequence[str]) -> IntArray:
    row_of_id = {clip_id: row for row, clip_id in enumerate(clip_ids)}
    return np.array([row_of_id[clip_id] for clip_id in clip_of_caption], dtype=np.int64)


def _comparable(scores_AC: FloatArray) -> FloatArray:
    """The scores in a type that numpy compares fast, and as it would in float64.

    float16 and float32 convert to float64 exactly, so comparing them as float32 gives the same ranks without
    another copy in memory; only what is wider than float64 is rounded.
    """
    match scores_AC.dtype.itemsize:
        case 4 | 8:
            return scores_AC
        case 2:
            return scores_AC.astype(np.float32)
        case _:
            return scores_AC.astype(np.float64)
