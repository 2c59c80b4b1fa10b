"""What a file of somebody else's scores holds: every pair, or the best few of each query."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from atrkit.score_matrix import FloatArray, ScoreRows

Float64Array = npt.NDArray[np.float64]
ReadRows = Callable[[int, int], FloatArray]

# a larger matrix is read in blocks; 5,225 captions x 1,045 clips are 22 MB
LARGEST_IN_MEMORY_BYTES = 256 * 2**20


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
        """How many clips every query lists at least."""
        return min(len(ranked.clip_ids) for ranked in self.lists.values())


@dataclass(frozen=True, eq=False)
class FoundMatrix:
    """Scores of every pair with the names that the file gives, before it is settled which caption each one is.

    Args:
        scores: (A, C), or what reads its rows.
        clips: A names of clips.
        captions: C names of captions: ids, or texts; a text may occur several times.
        own_clips: for each caption the name of its clip, where the file says so.
        texts: for each caption its text, where the file has it beside the id.
        format_name: how the file was read, such as "TREC run".
        is_encoded: names may be percent-encoded; whether they are, `Truth.is_encoded` says.
        notes: what was accepted although it is not quite as it should be, counted.
    """

    scores: FloatArray | ReadRows
    clips: tuple[str, ...]
    captions: tuple[str, ...]
    format_name: str
    own_clips: tuple[str, ...] | None = None
    texts: tuple[str, ...] | None = None
    is_encoded: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class FoundLists:
    """Ranked lists with the names that the file gives; fields as of `FoundMatrix`.

    Args:
        captions: names of the queries, in the order of `lists`.
        lists: of clips by the file's names.
    """

    captions: tuple[str, ...]
    lists: tuple[RankedList, ...]
    format_name: str
    is_encoded: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class ForeignScores:
    """Scores that were read, with the ground truth they are to be judged by; all names are the truth's ids.

    Args:
        scores: of every pair, or lists of the best.
        clip_of_caption: caption id -> id of its own clip.
        clip_ids: the gallery.
        texts: caption id -> text, where they are known.
        format_name: how the file was read, such as "TREC run".
        notes: what was left out, matched by text or guessed, counted, for people.
    """

    scores: ScoreRows | RankedLists
    clip_of_caption: Mapping[str, str]
    clip_ids: tuple[str, ...]
    format_name: str
    texts: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
