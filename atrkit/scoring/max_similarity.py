"""Cross-interaction of every clip with every caption: each frame's best word, and each word's best frame (paper 001).

Captions of equal length are scored together with their words position-major, so that one matrix product and two
maxima over it give the scores of a block of captions, with no padding and no mask. Blocks are small enough for a
processor's cache: the products are the cost, and what is done with them comes nearly free.
"""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from atrkit.models.ragged import Ragged

_COLUMNS_AT_ONCE = {"cpu": 1024, "cuda": 1 << 16}


class CaptionSide(Protocol):
    """Captions with which clips are compared."""

    def scores_of(self, frames_GTD: Tensor) -> Tensor:
        """Cross-interaction of G clips of equal length with every caption, (G, T, D) to (G, C)."""


class _Block(NamedTuple):
    """Captions of equal length L: positions in the list (n,), and the rows of their words (L, n)."""

    captions_n: Tensor
    rows_Ln: Tensor


class MaxSimilarity:
    """Cross-interaction of any clips with a set of captions whose words are vectors of their own.

    Args:
        words: (N, D) vectors of norm 1 of all captions' words, at least one per caption.
        columns_at_once: words per matrix product; None: what suits the device. Changes speed, not the result.

    Source: paper 001, section 3.1, eq. 6 and 8; PERFORMANCE.md, section 2 (method).

    Example:
        >>> words = Ragged(torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 1, 3]))
        >>> MaxSimilarity(words).scores_of(torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])).tolist()
        [[0.75, 1.0]]
    """

    def __init__(self, words: Ragged, *, columns_at_once: int | None = None) -> None:
        self.num_captions = len(words)
        columns = columns_at_once or _columns_at_once(words.values.device)
        # words are gathered once: position-major, a block after the other
        self._blocks = [
            (block.captions_n, block.rows_Ln.shape[0], words.values[block.rows_Ln.flatten()])
            for block in _blocks_of(words.offsets, columns)
        ]

    def scores_of(self, frames_GTD: Tensor) -> Tensor:
        """Cross-interaction of G clips of equal length with every caption.

        Args:
            frames_GTD: vectors of norm 1.

        Returns:
            (G, C), in [-1, 1].
        """
        clips, frames, _ = frames_GTD.shape
        frames_ND = frames_GTD.flatten(0, 1)
        scores_GC = frames_GTD.new_empty(clips, self.num_captions)
        for captions_n, length, words_MD in self._blocks:
            similarity_GTM = (frames_ND @ words_MD.T).view(clips, frames, -1)
            similarity_GTLn = similarity_GTM.view(clips, frames, length, -1)
            of_words_Gn = similarity_GTM.amax(dim=1).view(clips, length, -1).mean(dim=1)
            of_frames_Gn = similarity_GTLn.amax(dim=2).mean(dim=1)
            scores_GC[:, captions_n] = (of_words_Gn + of_frames_Gn) / 2
        return scores_GC


class DistinctWordSimilarity:
    """The same for captions whose words are vectors of a list: each distinct word is compared with the frames once.

    Words that do not know their neighbours are the same vector wherever they stand: of Clotho's test captions, one in
    seventeen is left to compare. What remains is to look their similarities up.

    Args:
        vectors_UD: (U, D) vectors of norm 1 of the distinct words.
        words: (N,) which of them each word of a caption is.
        columns_at_once: words looked up at once; None: what suits the device. Changes speed, not the result.

    Source: PERFORMANCE.md, section 2.
    """

    def __init__(self, vectors_UD: Tensor, words: Ragged, *, columns_at_once: int | None = None) -> None:
        self.num_captions = len(words)
        self._vectors_UD = vectors_UD
        columns = columns_at_once or _columns_at_once(vectors_UD.device)
        self._blocks = [(block.captions_n, words.values[block.rows_Ln]) for block in _blocks_of(words.offsets, columns)]

    def scores_of(self, frames_GTD: Tensor) -> Tensor:
        """As `MaxSimilarity.scores_of`."""
        scores_GC = frames_GTD.new_empty(len(frames_GTD), self.num_captions)
        for scores_C, frames_TD in zip(scores_GC, frames_GTD, strict=True):
            # a row per word: looking words up then copies whole rows
            similarity_UT = self._vectors_UD @ frames_TD.T
            best_U = similarity_UT.amax(dim=1)
            for captions_n, words_Ln in self._blocks:
                of_words_n = best_U[words_Ln].mean(dim=0)
                best_nT = similarity_UT[words_Ln[0]]
                for words_n in words_Ln[1:]:
                    torch.maximum(best_nT, similarity_UT[words_n], out=best_nT)
                scores_C[captions_n] = (of_words_n + best_nT.mean(dim=1)) / 2
        return scores_GC


def _blocks_of(offsets: Tensor, columns_at_once: int) -> Iterator[_Block]:
    """Captions by length, in blocks of so many words or of one caption."""
    lengths_C = offsets.diff()
    for length in lengths_C.unique().tolist():
        captions = (lengths_C == length).nonzero()[:, 0]
        for captions_n in captions.split(max(1, columns_at_once // length)):
            position_L1 = torch.arange(length, device=offsets.device)[:, None]
            yield _Block(captions_n, offsets[captions_n] + position_L1)


def _columns_at_once(device: torch.device) -> int:
    return _COLUMNS_AT_ONCE.get(device.type, _COLUMNS_AT_ONCE["cuda"])
