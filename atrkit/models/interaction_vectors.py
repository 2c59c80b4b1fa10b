"""What hierarchical cross-modal interaction compares: vectors of clips, and vectors of captions."""

from typing import NamedTuple

from torch import Tensor


class ClipVectors(NamedTuple):
    """What captions are compared with, all of norm 1; None where the model has no such term.

    Args:
        clip_BD: one vector per clip.
        lengths_B: frames of each clip.
        frames_BTD: padded with anything finite.
        segments_BSD: the same number of each clip.
        caption_BD: of the caption that was generated for the clip.
    """

    clip_BD: Tensor
    lengths_B: Tensor
    frames_BTD: Tensor | None
    segments_BSD: Tensor | None
    caption_BD: Tensor | None

    def take(self, index_N: Tensor) -> "ClipVectors":
        """Vectors of some clips, by position, in any order and with repetitions."""
        return ClipVectors(
            self.clip_BD[index_N],
            self.lengths_B[index_N],
            _taken(self.frames_BTD, index_N),
            _taken(self.segments_BSD, index_N),
            _taken(self.caption_BD, index_N),
        )


class CaptionVectors(NamedTuple):
    """What clips are compared with, all of norm 1; None where the model has no such term.

    Args:
        sentence_BD: one vector per caption.
        lengths_B: words of each caption.
        words_BLD: padded with anything finite.
        phrases_BPD: the same number of each caption.
    """

    sentence_BD: Tensor
    lengths_B: Tensor
    words_BLD: Tensor | None
    phrases_BPD: Tensor | None

    def take(self, index_N: Tensor) -> "CaptionVectors":
        """Vectors of some captions, by position, in any order and with repetitions."""
        return CaptionVectors(
            self.sentence_BD[index_N],
            self.lengths_B[index_N],
            _taken(self.words_BLD, index_N),
            _taken(self.phrases_BPD, index_N),
        )


def _taken(part: Tensor | None, index_N: Tensor) -> Tensor | None:
    return None if part is None else part[index_N]
