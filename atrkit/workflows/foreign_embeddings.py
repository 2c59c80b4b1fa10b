"""Cosines of embeddings that were made elsewhere, in blocks where there are many."""

from pathlib import Path

import numpy as np

from atrkit.errors import UsageError
from atrkit.exchange.embeddings import NamedVectors, read_caption_vectors, read_clip_vectors
from atrkit.exchange.foreign import LARGEST_IN_MEMORY_BYTES, FoundMatrix
from atrkit.score_matrix import FloatArray
from atrkit.scoring.cosine import cosine_scores, directions

_FLOAT32_BYTES = 4


def cosines_found(clips_path: Path, captions_path: Path) -> FoundMatrix:
    """Read two files of embeddings; their cosines are computed now, or block by block where they are many.

    Args:
        clips_path: of clips.
        captions_path: of captions.

    Raises:
        UsageError: they have not the same dimension (exit code 2).
        IntegrityError: a file is damaged, or a vector is all zeros (exit code 5).
        DivergedError: a vector is NaN or infinite (exit code 8).
    """
    clips, captions = read_clip_vectors(clips_path), read_caption_vectors(captions_path)
    if clips.emb_ND.shape[1] != captions.emb_ND.shape[1]:
        raise UsageError(
            f"{clips_path} has vectors of {clips.emb_ND.shape[1]} numbers and {captions_path} of "
            f"{captions.emb_ND.shape[1]}: cosines need the two sides of one model"
        )
    pairs = len(clips.names) * len(captions.names)
    is_large = pairs * _FLOAT32_BYTES > LARGEST_IN_MEMORY_BYTES
    scores = _InBlocks(clips, captions).read_rows if is_large else cosine_scores(clips.emb_ND, captions.emb_ND)
    return FoundMatrix(
        scores,
        clips.names,
        captions.names,
        "pair of embedding files",
        own_clips=captions.own_clips,
        texts=captions.texts,
    )


class _InBlocks:
    """Cosines of rows of clips with every caption, rounded as `cosine_scores` does."""

    def __init__(self, clips: NamedVectors, captions: NamedVectors) -> None:
        self._clips = clips
        distinct_UD, place_C = np.unique(captions.emb_ND, axis=0, return_inverse=True)  # equal ones tie
        self._place_C = place_C.ravel()
        self._text_DU = directions(distinct_UD).T

    def read_rows(self, start: int, stop: int) -> FloatArray:
        product_BU = directions(self._clips.emb_ND[start:stop]) @ self._text_DU
        return np.clip(product_BU, -1.0, 1.0).astype(np.float32)[:, self._place_C]
