"""Fusion: scores of several models for the same clips and captions, brought to one scale and added."""

from collections.abc import Sequence

import numpy as np

from atrkit.errors import DivergedError, UsageError
from atrkit.score_matrix import FloatArray, ScoreMatrix


def fuse_scores(matrices: Sequence[ScoreMatrix], weights: Sequence[float] | None = None) -> ScoreMatrix:
    """Add the scores of several models after each caption's scores were standardised over the clips.

    A cosine and a cross-entropy have scales of their own, and a captioner's losses differ from caption to caption for
    reasons that have nothing to do with the clips; standardised columns compare.

    Args:
        matrices: one or more, of the same clips and captions, in any order of them; scores finite.
        weights: one for each; None: all alike.

    Returns:
        Clips and captions in the order of the first matrix. A column in which a model gives every clip the same score
        counts as 0 there.

    Raises:
        UsageError: no matrix, other clips or captions, or another number of weights.
        DivergedError: a score is infinite.

    Source: our choice; no paper fuses scores.

    Example:
        >>> own = ScoreMatrix([[3.0, 0.0], [1.0, 1.0]], ["rain", "dog"], ["r", "d"], ["rain", "dog"])
        >>> fuse_scores([own, own]).scores_AC.tolist()
        [[2.0, -2.0], [-2.0, 2.0]]
    """
    if not matrices:
        raise UsageError("there is no score matrix to fuse")
    weights = [1.0] * len(matrices) if weights is None else list(weights)
    if len(weights) != len(matrices):
        raise UsageError(f"{len(matrices)} score matrices and {len(weights)} weights: one for each is needed")
    return weighted_sum(matrices[0], standardised_scores(matrices), weights)


def standardised_scores(matrices: Sequence[ScoreMatrix]) -> list[FloatArray]:
    """Scores of each matrix, clips and captions in the order of the first, every column with mean 0 and deviation 1."""
    return [_standardised_columns(_aligned(matrix, matrices[0])) for matrix in matrices]


def weighted_sum(first: ScoreMatrix, scores: Sequence[FloatArray], weights: Sequence[float]) -> ScoreMatrix:
    """Weighted sum of (A, C) scores, with the ids of `first`."""
    fused_AC = np.zeros(first.scores_AC.shape)
    for scores_AC, weight in zip(scores, weights, strict=True):
        fused_AC += weight * scores_AC
    return ScoreMatrix(fused_AC, first.clip_ids, first.caption_ids, first.clip_of_caption)


def _aligned(matrix: ScoreMatrix, first: ScoreMatrix) -> FloatArray:
    """Scores with rows and columns in the order of the first matrix."""
    if matrix.pool_id != first.pool_id:
        raise UsageError(
            f"score matrices of different pools ({matrix.pool_id[:8]} and {first.pool_id[:8]}) cannot be fused: "
            "score the same clips and captions with each model"
        )
    row_of_clip = {clip_id: row for row, clip_id in enumerate(matrix.clip_ids)}
    column_of_caption = {caption_id: column for column, caption_id in enumerate(matrix.caption_ids)}
    rows_A = [row_of_clip[clip_id] for clip_id in first.clip_ids]
    columns_C = [column_of_caption[caption_id] for caption_id in first.caption_ids]
    return matrix.scores_AC[np.ix_(rows_A, columns_C)]


def _standardised_columns(scores_AC: FloatArray) -> FloatArray:
    scores = np.asarray(scores_AC, dtype=np.float64)
    if not np.isfinite(scores).all():
        raise DivergedError(
            f"{np.count_nonzero(~np.isfinite(scores))} scores are infinite: they cannot be standardised"
        )
    deviation_C = scores.std(axis=0)
    return np.asarray((scores - scores.mean(axis=0)) / np.where(deviation_C == 0, 1.0, deviation_C))
