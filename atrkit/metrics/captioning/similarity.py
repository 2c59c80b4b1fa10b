"""Likeness of captions by a sentence encoder, each text embedded once."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atrkit.metrics.captioning.library import quiet

_BATCH_SIZE = 32


class SentenceSimilarity:
    """Mean cosine of a caption to its references: what aac-metrics calls `sbert_sim`.

    References are the same in every epoch of a training, and for the baseline of an evaluation; most of the time goes
    into embedding them. So they are remembered, and a caption that was written for many clips is embedded once.

    Args:
        sbert: a `SentenceTransformer`.
    """

    def __init__(self, sbert: Any) -> None:
        self._sbert = sbert
        self._references: dict[str, NDArray[np.float32]] = {}

    def __call__(self, candidates: Sequence[str], references: Sequence[Sequence[str]]) -> NDArray[np.float64]:
        """One value in [-1, 1] for each clip.

        Args:
            candidates: one for each clip.
            references: of each clip, one or more.
        """
        self._references |= self._embed({text for group in references for text in group} - self._references.keys())
        written = self._embed(set(candidates))
        return np.array(
            [
                float(np.mean(np.stack([self._references[text] for text in group]) @ written[candidate]))
                for candidate, group in zip(candidates, references, strict=True)
            ]
        )

    def _embed(self, texts: set[str]) -> dict[str, NDArray[np.float32]]:
        if not texts:
            return {}
        ordered = sorted(texts)
        with quiet():
            embedded = self._sbert.encode(
                ordered, batch_size=_BATCH_SIZE, normalize_embeddings=True, show_progress_bar=False
            )
        return dict(zip(ordered, embedded, strict=True))
