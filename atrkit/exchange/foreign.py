"""What a file of somebody else's scores holds: every pair, or the best few of each query."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from atrkit.score_matrix import ScoreRows

Float64Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RankedList:
    """What one query retrieved.

    Args:
        clip_ids: of the clips that are listed, in any order, each once.
        scores_N: (N,) of these clips, higher is better; for ranked names without scores minus their rank.
    """

    clip_ids: tuple[str, ...]
    scores_N: Float64Array


@dataclass(frozen=True, eq=False)
class RankedLists:
    """Text to audio alone: for each query the best clips; the others are somewhere below, in no known order.

    Args:
        lists: query (a caption's id) -> its list.
    """

    lists: Mapping[str, RankedList]

    @property
    def depth(self) -> int:
        """How many clips every query lists at least: figures at ranks beyond it are not known."""
        return min(len(ranked.clip_ids) for ranked in self.lists.values())


@dataclass(frozen=True, eq=False)
class ForeignScores:
    """A score file that was read, with the ground truth it is to be judged by.

    Args:
        scores: of every pair, or lists of the best.
        grades: caption id -> clip id -> grade, from judgements or, for lists, from the captions' own clips; None: each
            caption's own clip, which `scores` names.
        clips: size of the gallery.
        texts: caption id -> text, where they are known.
        format_name: how the file was read, such as "TREC run".
        notes: what was left out, matched by text or guessed, counted, for people.
    """

    scores: ScoreRows | RankedLists
    grades: Mapping[str, Mapping[str, int]] | None
    clips: int
    texts: Mapping[str, str] = field(default_factory=dict)
    format_name: str = ""
    notes: tuple[str, ...] = ()
