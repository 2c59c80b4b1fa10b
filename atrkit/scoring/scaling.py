"""Column scaling: make the losses of different captions comparable before ranking captions for a clip.

A captioner finds some captions likely whatever the audio, because their words are frequent; their whole column is
low, and audio-to-text retrieves them for every clip. Scaling each column over the clips takes that away.
"""

from typing import Literal

import numpy as np
import numpy.typing as npt

from atrkit.errors import DivergedError
from atrkit.score_matrix import IntArray

Float64Array = npt.NDArray[np.float64]
ColumnScaling = Literal["none", "minmax"]


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
    low_C = loss.min(axis=0)
    with np.errstate(invalid="ignore", over="ignore"):
        range_C = loss.max(axis=0) - low_C
    broken = np.flatnonzero(~np.isfinite(range_C))
    if len(broken):
        raise DivergedError(
            f"{len(broken)} of {len(range_C)} caption columns have losses that are NaN, infinite or too far apart, "
            f"the first is column {broken[0]}: they cannot be scaled to [0, 1]; the model that made them has diverged"
        )
    is_constant_C = range_C == 0
    scaled_AC = (loss - low_C) / np.where(is_constant_C, 1.0, range_C)
    scaled_AC[:, is_constant_C] = np.inf
    return np.asarray(scaled_AC)


def rank_captions(loss_AC: npt.ArrayLike, *, column_scaling: ColumnScaling = "minmax") -> IntArray:
    """Captions of each clip from best to worst: by scaled loss, then by raw loss.

    Several captions can have 0 for the same clip, each being its caption's best; the raw loss decides between them.

    Args:
        loss_AC: (A, C), lower is better, finite.
        column_scaling: "minmax", or "none" for raw losses.

    Returns:
        (A, C) int64, row a holds the columns in the order in which clip a retrieves them. Captions that are equal in
        both keep the order of columns: for lists that people read; figures take the expectation over ties instead.

    Raises:
        DivergedError: NaN, and with "minmax" as for `min_max_scale_columns`.

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
    scaled_AC = min_max_scale_columns(loss) if column_scaling == "minmax" else np.zeros_like(loss)
    return np.lexsort((loss, scaled_AC), axis=1)
