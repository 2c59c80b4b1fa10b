"""Column scaling: make the losses of different captions comparable before ranking captions for a clip.

A captioner finds some captions likely whatever the audio, because their words are frequent; their whole column is
low, and audio-to-text retrieves them for every clip. Scaling each column over the clips takes that away. The order of
clips within a column stays, so text-to-audio has no use for it and is always ranked by the raw losses.
"""

from typing import Literal, assert_never

import numpy as np
import numpy.typing as npt

from atrkit.errors import DivergedError, UsageError
from atrkit.score_matrix import IntArray, ScoreMatrix

Float64Array = npt.NDArray[np.float64]
ColumnScaling = Literal["none", "minmax", "minmax-calib", "pmi"]


def min_max_scale_columns(loss_AC: npt.ArrayLike) -> Float64Array:
    """Scale each caption's losses over the clips to [0, 1]: `(L - min) / (max - min)`.

    The clip that suits a caption best gets 0, the one that suits it least 1. A constant column says nothing about any
    clip; it becomes +inf, so that it ranks last for every one (as 0 it would rank first, and be a hub).
    Looks at all clips of the test set at once, as the paper does.

    Args:
        loss_AC: (A, C), lower is better, finite.

    Returns:
        (A, C) float64 in [0, 1], or +inf in constant columns; lower is better. The order of clips in a column stays,
        but losses that differ by less than rounding may become equal: break ties by the raw loss, as `rank_captions`
        does.

    Raises:
        DivergedError: NaN or infinity (or a range beyond float64) in a column; says how many and the first.

    Source: paper 004, section 4.2 and table 3; constant columns are our choice (PROTOCOL.md).

    Example:
        Paper 004, table 3: raw losses retrieve the first caption for every clip, scaled ones the right caption.

        >>> loss_AC = np.array([[1.7, 8.4, 8.1], [2.1, 7.6, 8.5], [2.0, 8.3, 6.5]])
        >>> loss_AC.argmin(axis=1).tolist()
        [0, 0, 0]
        >>> min_max_scale_columns(loss_AC).round(2).tolist()
        [[0.0, 1.0, 0.8], [1.0, 0.0, 1.0], [0.75, 0.88, 0.0]]
        >>> min_max_scale_columns(loss_AC).argmin(axis=1).tolist()
        [0, 1, 2]
    """
    loss = np.asarray(loss_AC, dtype=np.float64)
    low_C, range_C = _lowest_and_range(loss, "losses")
    return _scaled_from(loss, low_C, range_C)


def scale_columns(
    loss_AC: npt.ArrayLike, column_scaling: ColumnScaling, calibration_KC: npt.ArrayLike | None = None
) -> Float64Array:
    """Scale each caption's losses in one of the named ways.

    - `none`: the losses as they are.
    - `minmax`: `min_max_scale_columns`, over the test clips themselves.
    - `minmax-calib`: the same with minimum and maximum over calibration clips, clamped to [0, 1]. What an index can
      do whose clips come one by one.
    - `pmi`: minus the caption's mean loss over the calibration clips: how much likelier the clip makes the caption
      than an average clip does (pointwise mutual information, per token).

    Args:
        loss_AC: (A, C), lower is better; finite, except with `none`.
        column_scaling: the way.
        calibration_KC: (K, C) losses of K clips that are no test clips, for example of training, with the same
            captions; `minmax-calib` needs two clips or more, `pmi` one.

    Returns:
        (A, C) float64, lower is better. A caption whose column, or calibration column, is constant is +inf under
        `minmax` and `minmax-calib`: last for every clip.

    Raises:
        UsageError: the calibration losses are needed and absent, too few, or of other captions.
        DivergedError: a loss that is to be scaled is NaN or infinite; says how many columns and the first.

    Source: `minmax` is paper 004, section 4.2; its section 5 names "an estimation" of minimum and maximum as the way
    to new captions, which is `minmax-calib`. Clamping, constant columns and `pmi` are our choice (PROTOCOL.md).

    Example:
        >>> loss_AC, calibration_KC = [[2.0, 8.0], [5.0, 6.0]], [[1.0, 9.0], [3.0, 7.0]]
        >>> scale_columns(loss_AC, "minmax-calib", calibration_KC).tolist()
        [[0.5, 0.5], [1.0, 0.0]]
        >>> scale_columns(loss_AC, "pmi", calibration_KC).tolist()
        [[0.0, 0.0], [3.0, -2.0]]
    """
    loss = np.asarray(loss_AC, dtype=np.float64)
    match column_scaling:
        case "none":
            return loss.copy()
        case "minmax":
            return min_max_scale_columns(loss)
        case "minmax-calib":
            calibration = _calibration_for(loss, column_scaling, calibration_KC, least_clips=2)
            _lowest_and_range(loss, "losses")  # or clamping would hide an infinite one
            low_C, range_C = _lowest_and_range(calibration, "calibration losses")
            scaled_AC = _scaled_from(loss, low_C, range_C)
            np.clip(scaled_AC, 0.0, 1.0, out=scaled_AC)
            scaled_AC[:, range_C == 0] = np.inf
            return scaled_AC
        case "pmi":
            calibration = _calibration_for(loss, column_scaling, calibration_KC, least_clips=1)
            _lowest_and_range(loss, "losses")
            _lowest_and_range(calibration, "calibration losses")
            return np.asarray(loss - calibration.mean(axis=0))
        case _:
            assert_never(column_scaling)


def rank_captions(
    loss_AC: npt.ArrayLike,
    *,
    column_scaling: ColumnScaling = "minmax",
    calibration_KC: npt.ArrayLike | None = None,
) -> IntArray:
    """Captions of each clip from best to worst: by scaled loss, then by raw loss.

    Several captions can have 0 for the same clip, each being its caption's best; the raw loss decides between them.

    Args:
        loss_AC: (A, C), lower is better, finite.
        column_scaling: a way of `scale_columns`; "none" for raw losses, which may be infinite.
        calibration_KC: (K, C), as for `scale_columns`.

    Returns:
        (A, C) int64, row a holds the columns in the order in which clip a retrieves them. Captions that are equal in
        both keep the order of columns: for lists that people read; figures take the expectation over ties instead.

    Raises:
        UsageError, DivergedError: NaN, and as for `scale_columns`.

    Source: paper 004, section 4.2; PROTOCOL.md, "Min-max column scaling".

    Example:
        >>> rank_captions([[1, 5], [2, 9]])[:, 0].tolist()
        [0, 0]
        >>> rank_captions([[3, 1], [3, 2]]).tolist()
        [[1, 0], [1, 0]]
    """
    loss = np.asarray(loss_AC, dtype=np.float64)
    nans = int(np.count_nonzero(np.isnan(loss)))
    if nans:
        raise DivergedError(f"{nans} of {loss.size} losses are NaN: no ranking; the model that made them has diverged")
    return np.lexsort((loss, scale_columns(loss, column_scaling, calibration_KC)), axis=1)


def audio_to_text_matrix(
    matrix: ScoreMatrix, column_scaling: ColumnScaling, calibration_KC: npt.ArrayLike | None = None
) -> ScoreMatrix:
    """The matrix that audio-to-text ranks by: each clip's captions in the order of scaled loss, then raw loss.

    A score matrix has one number for each pair, and the order needs two. So each row holds minus the dense rank of its
    pairs: 0 for the best caption, -1 for the next, and equal only where scaled and raw loss are both equal. Every
    audio-to-text figure of it is the figure of the scaled losses, ties at their expectation included. Its columns
    cannot be compared: text-to-audio is ranked by the raw matrix.

    Args:
        matrix: negated losses, higher is better; -inf (a loss of +inf) only with "none".
        column_scaling: a way of `scale_columns`; "none" gives `matrix` itself.
        calibration_KC: (K, C) calibration losses, not negated.

    Returns:
        A matrix of the same clips and captions.

    Raises:
        UsageError: as for `scale_columns`.
        DivergedError: a score that is to be scaled is infinite; names the first clip and caption.

    Source: paper 004, section 4.2 (the rule for equal scaled losses); PROTOCOL.md, "Min-max column scaling".

    Example:
        Paper 004, table 3, as scores: audio-to-text R@1 is 1 of 3 with the raw losses, and 3 of 3 with the scaled ones.

        >>> from atrkit.metrics.ranking import evaluate
        >>> loss_AC = np.array([[1.7, 8.4, 8.1], [2.1, 7.6, 8.5], [2.0, 8.3, 6.5]])
        >>> matrix = ScoreMatrix(-loss_AC, ["A1", "A2", "A3"], ["C1", "C2", "C3"], ["A1", "A2", "A3"])
        >>> for column_scaling in ("none", "minmax"):
        ...     round(evaluate(audio_to_text_matrix(matrix, column_scaling))["audio_to_text"]["R@1"], 3)
        0.333
        1.0
    """
    if column_scaling == "none":
        return matrix
    _refuse_infinite(matrix, column_scaling)
    loss_AC = np.negative(matrix.scores_AC, dtype=np.float64)
    scaled_AC = scale_columns(loss_AC, column_scaling, calibration_KC)
    scores_AC = np.empty_like(loss_AC)
    for scores_C, scaled_C, loss_C in zip(scores_AC, scaled_AC, loss_AC, strict=True):
        scores_C[:] = -_dense_rank(scaled_C, loss_C)
    return ScoreMatrix(scores_AC, matrix.clip_ids, matrix.caption_ids, matrix.clip_of_caption)


def _dense_rank(scaled_C: Float64Array, loss_C: Float64Array) -> IntArray:
    """0 for the lowest pair (scaled, raw), 1 for the next higher, ...; equal pairs have the same rank."""
    order = np.argsort(scaled_C)
    scaled, loss = scaled_C[order], loss_C[order]
    is_tied = np.zeros(len(order), dtype=bool)
    is_tied[1:] = scaled[1:] == scaled[:-1]
    is_tied[:-1] |= is_tied[1:]
    if is_tied.any():  # sorting by both keys costs four times as much, and few captions need it
        tied = order[is_tied]
        order[is_tied] = tied[np.lexsort((loss_C[tied], scaled_C[tied]))]
        loss = loss_C[order]
    rank = np.zeros(len(order), dtype=np.int64)
    rank[1:] = np.cumsum((scaled[1:] != scaled[:-1]) | (loss[1:] != loss[:-1]))
    rank_C = np.empty_like(rank)
    rank_C[order] = rank
    return rank_C


def _lowest_and_range(loss_XC: Float64Array, what: str) -> tuple[Float64Array, Float64Array]:
    """Minimum of each column and its distance to the maximum; refuses a column that has no finite one."""
    low_C = loss_XC.min(axis=0)
    with np.errstate(invalid="ignore", over="ignore"):
        range_C = loss_XC.max(axis=0) - low_C
    broken = np.flatnonzero(~np.isfinite(range_C))
    if len(broken):
        raise DivergedError(
            f"{len(broken)} of {len(range_C)} caption columns have {what} that are NaN, infinite or too far apart, "
            f"the first is column {broken[0]}: they cannot be scaled; the model that made them has diverged"
        )
    return low_C, range_C


def _scaled_from(loss_AC: Float64Array, low_C: Float64Array, range_C: Float64Array) -> Float64Array:
    """`(L - low) / range`, and +inf where the range is 0."""
    is_constant_C = range_C == 0
    scaled_AC = loss_AC - low_C
    scaled_AC /= np.where(is_constant_C, 1.0, range_C)
    scaled_AC[:, is_constant_C] = np.inf
    return scaled_AC


def _calibration_for(
    loss_AC: Float64Array, column_scaling: str, calibration_KC: npt.ArrayLike | None, *, least_clips: int
) -> Float64Array:
    if calibration_KC is None:
        raise UsageError(
            f"column scaling {column_scaling} compares with calibration clips, and there are no calibration losses: "
            "score training clips with the same captions (--calib-clips), or choose minmax"
        )
    calibration = np.asarray(calibration_KC, dtype=np.float64)
    captions = loss_AC.shape[1]
    if calibration.ndim != 2 or calibration.shape[1] != captions:
        raise UsageError(
            f"calibration losses have shape {calibration.shape}, but there are {captions} captions: "
            "they must be of the same captions, one column each"
        )
    if len(calibration) < least_clips:
        raise UsageError(
            f"column scaling {column_scaling} needs {least_clips} calibration clips or more, and there are "
            f"{len(calibration)}: say more with --calib-clips"
        )
    return calibration


def _refuse_infinite(matrix: ScoreMatrix, column_scaling: str) -> None:
    infinite_AC = np.isinf(matrix.scores_AC)
    if infinite_AC.any():
        rows, columns = np.nonzero(infinite_AC)
        raise DivergedError(
            f"{len(rows)} of {matrix.scores_AC.size} scores are infinite, the first at (clip, caption) "
            f"({matrix.clip_ids[rows[0]]!r}, {matrix.caption_ids[columns[0]]!r}): column scaling {column_scaling} "
            "needs finite losses; the model that made them has diverged"
        )
