"""Re-ranking: a fast model's best candidates, scored again by a slow one and put above all others."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from atrkit.errors import UsageError
from atrkit.score_matrix import FloatArray, IntArray

BoolArray = npt.NDArray[np.bool_]
Float32Array = npt.NDArray[np.float32]


def shortlist(scores_AC: FloatArray, k: int) -> BoolArray:
    """Pairs that are worth a second look: the k best clips of each caption, and the k best captions of each clip.

    Whatever ties with the k-th is in the list too, so that it does not depend on the order of clips and captions; a
    list may then be longer than k. Because a pair counts that one of both directions chose, most lists are.

    Args:
        scores_AC: of the fast model, higher is better.
        k: 1 or more.

    Returns:
        (A, C), True where a pair is in the list.

    Raises:
        UsageError: k is less than 1.

    Example:
        >>> shortlist(np.array([[0.9, 0.1, 0.2], [0.8, 0.7, 0.6], [0.1, 0.2, 0.3]]), k=1).astype(int).tolist()
        [[1, 0, 0], [1, 1, 1], [0, 0, 1]]
    """
    if k < 1:
        raise UsageError(f"a shortlist of {k} candidates is none: k is 1 or more")
    return _best_of_columns(scores_AC, k) | _best_of_columns(scores_AC.T, k).T


def _best_of_columns(scores_NM: FloatArray, k: int) -> BoolArray:
    candidates = len(scores_NM)
    if k >= candidates:
        return np.ones(scores_NM.shape, dtype=bool)
    kth_M = np.partition(scores_NM, candidates - k, axis=0)[candidates - k]
    return np.asarray(scores_NM >= kth_M)


def put_above(scores_AC: FloatArray, is_listed_AC: BoolArray, pair_scores_N: npt.ArrayLike) -> Float32Array:
    """Scores in which listed pairs stand above all others, by their new scores; the others keep their order below.

    New scores stay as they are. Every other score is replaced by a lower one: the best of them by 1 below the lowest
    new score, or by -1 where that is above 0, each next distinct one by the next float32 below. A shift by an offset
    would round scores that differ in their last digits to the same; this keeps every order and every tie, in rows, in
    columns and between them, for up to a thousand million distinct scores. The size of such a score says nothing.

    Args:
        scores_AC: of the fast model; no NaN.
        is_listed_AC: from `shortlist`.
        pair_scores_N: new scores of the listed pairs, finite, in the order of `np.nonzero(is_listed_AC)`.

    Returns:
        (A, C) float32.

    Raises:
        UsageError: another number of new scores than of listed pairs.

    Source: our choice.

    Example:
        >>> first_AC = np.array([[0.9, 0.1], [0.8, 0.1]])
        >>> put_above(first_AC, np.array([[True, False], [True, False]]), [0.2, 0.5]).round(3).tolist()
        [[0.20000000298023224, -1.0], [0.5, -1.0]]
    """
    pair_scores = np.asarray(pair_scores_N, dtype=np.float32)
    if pair_scores.shape != (np.count_nonzero(is_listed_AC),):
        raise UsageError(f"{np.count_nonzero(is_listed_AC)} listed pairs, and scores of shape {pair_scores.shape}")
    lowest = pair_scores.min(initial=0.0)
    highest_of_others = min(np.float32(lowest - 1), np.nextafter(lowest, np.float32(-np.inf)))
    distinct_U, place_N = np.unique(scores_AC[~is_listed_AC], return_inverse=True)
    steps_down_N = len(distinct_U) - 1 - place_N
    # the bits of negative floats, read as integers, rise by one from each float to the next one below
    bits_N = np.float32(highest_of_others).view(np.uint32) + steps_down_N.astype(np.uint32)
    reranked_AC = np.empty(scores_AC.shape, dtype=np.float32)
    reranked_AC[~is_listed_AC] = bits_N.view(np.float32)
    reranked_AC[is_listed_AC] = pair_scores
    return reranked_AC


@dataclass(frozen=True)
class ShortlistFigures:
    """What a shortlist holds.

    Args:
        pairs: that are in it.
        share_of_pairs: of all.
        mean_clips: per caption.
        mean_captions: per clip.
        text_to_audio_recall: share of captions whose clip is in their list; recall at anything up to k cannot pass it.
        audio_to_text_recall: share of clips of which a caption is in their list, of those that have captions.
    """

    pairs: int
    share_of_pairs: float
    mean_clips: float
    mean_captions: float
    text_to_audio_recall: float
    audio_to_text_recall: float


def shortlist_figures(is_listed_AC: BoolArray, clip_index_of_caption_C: IntArray) -> ShortlistFigures:
    """Size of a shortlist, and how often the right item is in it.

    Args:
        is_listed_AC: from `shortlist`.
        clip_index_of_caption_C: row of each caption's own clip.
    """
    clips, captions = is_listed_AC.shape
    pairs = int(np.count_nonzero(is_listed_AC))
    has_own_C = is_listed_AC[clip_index_of_caption_C, np.arange(captions)]
    queries = np.unique(clip_index_of_caption_C)
    found = np.unique(clip_index_of_caption_C[has_own_C])
    return ShortlistFigures(
        pairs=pairs,
        share_of_pairs=pairs / is_listed_AC.size,
        mean_clips=pairs / captions,
        mean_captions=pairs / clips,
        text_to_audio_recall=float(has_own_C.mean()),
        audio_to_text_recall=len(found) / len(queries),
    )
