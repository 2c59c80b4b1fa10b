"""Captions that several clips share: how many, and what they cost a perfect system.

Ground truth gives each caption one clip. Where another clip has the same words, no scorer can know which is meant, so
recall has a ceiling below 100 % that belongs beside the figure (PROTOCOL.md, "Pools").
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from atrkit.errors import UsageError
from atrkit.score_matrix import ScoreMatrix
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


def duplicate_captions(matrix: ScoreMatrix, caption_texts: Sequence[str]) -> DuplicateCaptions:
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
        >>> matrix = ScoreMatrix([[.9, .1], [.2, .3]], ["a", "b"], ["a#1", "b#1"], ["a", "b"])
        >>> duplicate_captions(matrix, ["A dog barks.", "a dog barks"])
        DuplicateCaptions(captions=2, of=2, ceiling_text_to_audio_R1=0.5)
    """
    if len(caption_texts) != len(matrix.caption_ids):
        raise UsageError(f"{len(matrix.caption_ids)} captions in the score matrix, but {len(caption_texts)} texts")
    clips_of_text: dict[str, Counter[str]] = defaultdict(Counter)
    for text, clip_id in zip(caption_texts, matrix.clip_of_caption, strict=True):
        clips_of_text[normalise_caption(text)][clip_id] += 1
    shared = sum(clips.total() for clips in clips_of_text.values() if len(clips) > 1)
    within_reach = sum(max(clips.values()) for clips in clips_of_text.values())
    return DuplicateCaptions(shared, len(caption_texts), within_reach / len(caption_texts))
