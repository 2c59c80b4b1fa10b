"""Bootstrap by groups that move together: how often each is drawn, and intervals of what is computed from them."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from atrkit.score_matrix import IntArray

Float64Array = npt.NDArray[np.float64]

RESAMPLES = 10_000
_CELLS_AT_ONCE = 4_000_000  # of a block of counts: 32 MB


def drawn_counts(
    groups: int, generator: np.random.Generator, *, resamples: int = RESAMPLES, cells_per_resample: int = 0
) -> Iterator[IntArray]:
    """How often each group is drawn, when as many are drawn with replacement as there are.

    Counts say all that a resample of groups is: sums over a resample are products with them, so that no list of drawn
    items is ever made.

    Args:
        groups: how many there are, at least 1.
        generator: of the draws; where the blocks end changes nothing.
        resamples: how many.
        cells_per_resample: numbers that the caller holds for each resample, where they are more than groups.

    Yields:
        (some resamples, groups) counts, each row with the sum `groups`; `resamples` rows in all, in bounded memory.

    Example:
        >>> [block.sum(axis=1).tolist() for block in drawn_counts(3, np.random.default_rng(0), resamples=2)]
        [[3, 3]]
    """
    at_once = max(1, _CELLS_AT_ONCE // max(groups, cells_per_resample))
    for start in range(0, resamples, at_once):
        rows = min(at_once, resamples - start)
        drawn_RG = generator.integers(groups, size=(rows, groups))
        drawn_RG += np.arange(rows)[:, None] * groups
        yield np.bincount(drawn_RG.ravel(), minlength=rows * groups).reshape(rows, groups)


def percentile_interval(values_R: npt.ArrayLike) -> tuple[float, float]:
    """95 % interval: the 2.5 and 97.5 percentiles of what resamples gave.

    Source: PROTOCOL.md, "Confidence"; the plain percentile method is our choice.

    Example:
        >>> percentile_interval(range(41))
        (1.0, 39.0)
    """
    low, high = np.quantile(np.asarray(values_R, dtype=np.float64), [0.025, 0.975])
    return float(low), float(high)


def ratio_interval(
    hits_G: npt.ArrayLike, comparisons_G: npt.ArrayLike, generator: np.random.Generator, *, resamples: int = RESAMPLES
) -> tuple[float, float]:
    """95 % interval of all hits / all comparisons, by drawing whole groups with replacement.

    Captions of one clip share its recording and its quirks: taken as independent they would make the interval look
    narrower than it is.

    Args:
        hits_G: (G,) hits of each group; a half counts for an equal pair.
        comparisons_G: (G,) comparisons of each group, at least 1.
        generator: of the resamples.
        resamples: how many.

    Returns:
        The 2.5 and 97.5 percentiles.

    Source: PROTOCOL.md, "Confidence".

    Example:
        >>> low, high = ratio_interval([4, 5, 2, 5], [5, 5, 5, 5], np.random.default_rng(0))
        >>> low < 16 / 20 < high
        True
    """
    both_G2 = np.column_stack((np.asarray(hits_G, dtype=np.float64), np.asarray(comparisons_G, dtype=np.float64)))
    sums = [counts_RG @ both_G2 for counts_RG in drawn_counts(len(both_G2), generator, resamples=resamples)]
    hits_R, comparisons_R = np.concatenate(sums).T
    return percentile_interval(hits_R / comparisons_R)
