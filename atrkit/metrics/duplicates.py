"""Captions that several clips share: how many, and what they cost a perfect system.

Ground truth gives each caption one clip. Where another clip has the same words, no scorer can know which is meant, so
recall has a ceiling below 100 % that belongs beside the figure (PROTOCOL.md, "Pools").
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from atrkit.errors import UsageError
from atrkit.score_matrix import ScoreRows
from atrkit.text.normalise import normalise_caption


@dataclass(frozen=True)
class DuplicateCaptions:
    """Captions with an identical twin on another clip.

    Args:
        captions: how many have one.
        of: how many captions there are.
        ceiling_text_to_audio_R1: what T2A R@1 cannot exceed, in [0, 1].
    """

    captions: int
    of: int
    ceiling_text_to_audio_R1: float


def duplicate_captions(matrix: ScoreRows, caption_texts: Sequence[str]) -> DuplicateCaptions:
    """Count captions whose normalised text also belongs to another clip, and the ceiling on T2A R@1.

    The same words get the same scores, so the best a system can do is to put first, for each text, the clip that has
    it most often.

    Args:
        matrix: names the clip of each caption.
        caption_texts: as written, in the order of the matrix's captions; normalised here.

    Raises:
        UsageError: not one text for each caption.

    Source: PROTOCOL.md, "Pools".

    Example:
        >>> from atrkit import ScoreMatrix
        >>> matrix = ScoreMatrix([[.9, .1], [.2, .3]], ["a", "b"], ["a#1", "b#1"], ["a", "b"])
        >>> duplicate_captions(matrix, ["A dog barks.", "a dog barks"])
        DuplicateCaptions(captions=2, of=2, ceiling_text_to_audio_R1=0.5)
    """
    if len(caption_texts) != len(matrix.caption_ids):
        raise UsageError(f"{len(matrix.caption_ids)} captions in the score matrix, but {len(caption_texts)} texts")
    return duplicates_among(zip(matrix.clip_of_caption, map(normalise_caption, caption_texts), strict=True))


def duplicates_among(captions: Iterable[tuple[str, str]]) -> DuplicateCaptions:
    """The same without a score matrix, for a split of a hundred million pairs.

    Args:
        captions: for each the id of its clip and its normalised text.

    Returns:
        The counts; the ceiling is 1 when there are no captions.

    Example:
        >>> duplicates_among([("a", "rain"), ("a", "rain"), ("b", "rain"), ("b", "a dog barks")])
        DuplicateCaptions(captions=3, of=4, ceiling_text_to_audio_R1=0.75)
    """
    clips_of_text: dict[str, Counter[str]] = defaultdict(Counter)
    for clip_id, text in captions:
        clips_of_text[text][clip_id] += 1
    total = sum(clips.total() for clips in clips_of_text.values())
    shared = sum(clips.total() for clips in clips_of_text.values() if len(clips) > 1)
    within_reach = sum(max(clips.values()) for clips in clips_of_text.values())
    return DuplicateCaptions(shared, total, within_reach / total if total else 1.0)
