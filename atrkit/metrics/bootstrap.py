"""Bootstrap intervals of accuracies whose comparisons come in groups that move together."""

import numpy as np
import numpy.typing as npt

Float64Array = npt.NDArray[np.float64]

_RESAMPLES_AT_ONCE = 500


def ratio_interval(
    hits_G: npt.ArrayLike, comparisons_G: npt.ArrayLike, generator: np.random.Generator, *, resamples: int = 10_000
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
    hits, comparisons = np.asarray(hits_G, dtype=np.float64), np.asarray(comparisons_G, dtype=np.float64)
    ratios: list[Float64Array] = []
    for start in range(0, resamples, _RESAMPLES_AT_ONCE):
        size = (min(_RESAMPLES_AT_ONCE, resamples - start), len(hits))
        drawn_RG = generator.integers(len(hits), size=size)
        ratios.append(hits[drawn_RG].sum(axis=1) / comparisons[drawn_RG].sum(axis=1))
    low, high = np.quantile(np.concatenate(ratios), [0.025, 0.975])
    return float(low), float(high)
