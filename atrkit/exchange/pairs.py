"""Scores that come pair by pair, in any order: a matrix when every pair is there, otherwise lists of the best."""

from array import array
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from atrkit.datasets.csv_records import shown
from atrkit.errors import IntegrityError
from atrkit.exchange.foreign import Float64Array, FoundLists, FoundMatrix, RankedList
from atrkit.exchange.truth import Truth
from atrkit.score_matrix import IntArray


@dataclass(eq=False)
class Pairs:
    """Pairs of a caption and a clip with a score, as they are read; 24 bytes for each.

    Args:
        path: of the file, for messages.
    """

    path: Path
    captions: dict[str, int] = field(default_factory=dict)
    clips: dict[str, int] = field(default_factory=dict)
    caption_P: "array[int]" = field(default_factory=lambda: array("i"))
    clip_P: "array[int]" = field(default_factory=lambda: array("i"))
    line_P: "array[int]" = field(default_factory=lambda: array("q"))
    score_P: "array[float]" = field(default_factory=lambda: array("d"))

    def add(self, caption: str, clip: str, score: float, line: int) -> None:
        """Take one more pair."""
        self.caption_P.append(self.captions.setdefault(caption, len(self.captions)))
        self.clip_P.append(self.clips.setdefault(clip, len(self.clips)))
        self.score_P.append(score)
        self.line_P.append(line)

    def arranged(self, truth: Truth | None, *, is_encoded: bool = False) -> "ArrangedPairs":
        """Sort them by caption; a text that several captions have may have each clip several times.

        Raises:
            IntegrityError: a pair occurs again; names both lines (exit code 5).
        """
        caption_P, clip_P, line_P = (np.array(each, dtype=np.int64) for each in self._integers())
        key_P = caption_P * len(self.clips) + clip_P
        order_P = np.argsort(key_P, kind="stable")
        occurrence_P = np.empty_like(order_P)
        sorted_P = key_P[order_P]
        starts_P = np.flatnonzero(np.concatenate([[True], sorted_P[1:] != sorted_P[:-1]]))
        lengths_P = np.diff(np.append(starts_P, len(sorted_P)))
        occurrence_P[order_P] = np.arange(len(sorted_P)) - np.repeat(starts_P, lengths_P)
        names = list(self.captions)
        for pair in np.flatnonzero(occurrence_P)[:1] if truth is None else self._first_of_each(occurrence_P, caption_P):
            name = names[caption_P[pair]]
            may_be = 1 if truth is None else len(truth.captions_named(name, is_encoded=is_encoded).ids)
            if occurrence_P[pair] >= max(may_be, 1):
                earlier = np.flatnonzero(key_P == key_P[pair])[0]
                raise IntegrityError(
                    f"{self.path}:{line_P[pair]}: caption {shown(name)} with clip "
                    f"{shown(list(self.clips)[clip_P[pair]])} is on line {line_P[earlier]} too: keep one of them"
                )
        several = int(occurrence_P.max(initial=0)) + 1
        columns, column_P = np.unique(caption_P * several + occurrence_P, return_inverse=True)
        captions = tuple(names[column // several] for column in columns.tolist())
        return ArrangedPairs(captions, tuple(self.clips), column_P, clip_P, np.array(self.score_P, dtype=np.float64))

    def _integers(self) -> tuple["array[int]", "array[int]", "array[int]"]:
        return self.caption_P, self.clip_P, self.line_P

    def _first_of_each(self, occurrence_P: IntArray, caption_P: IntArray) -> IntArray:
        """For each caption the pair that occurs most often, where one occurs again."""
        again = np.flatnonzero(occurrence_P)
        order = again[np.lexsort((-occurrence_P[again], caption_P[again]))]
        return np.asarray(order[np.unique(caption_P[order], return_index=True)[1]])


@dataclass(frozen=True, eq=False)
class ArrangedPairs:
    """Pairs, each once.

    Args:
        captions: names of the columns; a text that several captions have may stand here several times.
        clips: names of the rows.
        column_P: (P,) column of each pair.
        row_P: (P,) its row.
        score_P: (P,) its score.
    """

    captions: tuple[str, ...]
    clips: tuple[str, ...]
    column_P: IntArray
    row_P: IntArray
    score_P: Float64Array

    @property
    def missing(self) -> int:
        """How many pairs of these captions and clips have no score."""
        return len(self.captions) * len(self.clips) - len(self.score_P)

    @property
    def listed_C(self) -> IntArray:
        """How many clips each caption has a score with."""
        return np.bincount(self.column_P, minlength=len(self.captions)).astype(np.int64)

    def first_missing(self) -> tuple[str, str]:
        """Caption and clip of a pair without a score; there is one."""
        column = int(np.flatnonzero(self.listed_C < len(self.clips))[0])
        there = set(self.row_P[self.column_P == column].tolist())
        return self.captions[column], next(clip for row, clip in enumerate(self.clips) if row not in there)

    def as_matrix(self, format_name: str, *, is_encoded: bool = False, notes: tuple[str, ...] = ()) -> FoundMatrix:
        """Every pair is there."""
        scores_AC = np.empty((len(self.clips), len(self.captions)))
        scores_AC[self.row_P, self.column_P] = self.score_P
        return FoundMatrix(scores_AC, self.clips, self.captions, format_name, is_encoded=is_encoded, notes=notes)

    def as_lists(self, format_name: str, *, is_encoded: bool = False, notes: tuple[str, ...] = ()) -> FoundLists:
        """A list for each caption; pairs without a score are not listed, which is not a score of 0."""
        order_P = np.argsort(self.column_P, kind="stable")
        ends = np.cumsum(self.listed_C)[:-1]
        rows, scores = np.split(self.row_P[order_P], ends), np.split(self.score_P[order_P], ends)
        lists = [
            RankedList(tuple(self.clips[row] for row in rows_N.tolist()), scores_N)
            for rows_N, scores_N in zip(rows, scores, strict=True)
        ]
        return FoundLists(self.captions, tuple(lists), format_name, is_encoded=is_encoded, notes=notes)
