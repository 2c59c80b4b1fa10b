"""Two-sided p of paired differences, by flipping their signs; and the correction for several comparisons."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Float64Array = npt.NDArray[np.float64]

FLIPS = 10_000
_CELLS_AT_ONCE = 4_000_000
_SAME = 1e-9  # of the largest possible sum: sums that differ by rounding are equally extreme


def randomisation_p(
    differences_AF: npt.ArrayLike, generator: np.random.Generator, *, flips: int = FLIPS
) -> Float64Array:
    """How often chance alone would make differences as large, in either direction.

    If two systems were equal, each clip's difference could as well have had the other sign. Signs are flipped at
    random, and the sum of all clips is compared with the one that was measured. Where so few clips differ that all
    signs can be tried, all are.

    Args:
        differences_AF: (A, F) summed difference of each clip, for each of F figures.
        generator: of the flips, the same ones for all figures.
        flips: how many.

    Returns:
        (F,) in (0, 1]: (1 + as extreme) / (1 + flips); the exact fraction where all signs were tried. A difference of
        zero everywhere has p = 1.

    Source: PROTOCOL.md says "by randomisation"; flips by clip, as clips are what is drawn, are our choice.

    Example:
        >>> randomisation_p([[1.0], [1.0], [1.0]], np.random.default_rng(0)).tolist()
        [0.25]
    """
    differences = np.asarray(differences_AF, dtype=np.float64)
    clips, figures = differences.shape
    least_F = np.abs(differences.sum(axis=0)) - _SAME * np.abs(differences).sum(axis=0)
    nonzero_F = np.count_nonzero(differences, axis=0)
    is_exact_F = nonzero_F < flips.bit_length()  # 2**nonzero <= flips
    p_F = np.empty(figures)
    for f in np.flatnonzero(is_exact_F):
        p_F[f] = _exact_p(differences[differences[:, f] != 0, f], least_F[f])
    if not is_exact_F.all():
        extreme_F = np.zeros(figures, dtype=np.int64)
        for is_flipped_RA in _random_flips(clips, generator, flips):
            flipped_RF = differences.sum(axis=0) - 2 * (is_flipped_RA.astype(np.float64) @ differences)
            extreme_F += np.count_nonzero(np.abs(flipped_RF) >= least_F, axis=0)
        p_F = np.where(is_exact_F, p_F, (1 + extreme_F) / (1 + flips))
    return p_F


def _random_flips(clips: int, generator: np.random.Generator, flips: int) -> Iterator[npt.NDArray[np.bool_]]:
    at_once = max(1, _CELLS_AT_ONCE // max(clips, 1))
    for start in range(0, flips, at_once):
        yield generator.integers(2, size=(min(at_once, flips - start), clips), dtype=np.bool_)


def _exact_p(differences_A: Float64Array, least: float) -> float:
    sums = np.zeros(1)
    for difference in differences_A:
        sums = np.concatenate((sums + difference, sums - difference))
    return float(np.count_nonzero(np.abs(sums) >= least) / len(sums))


def holm_adjusted(p_values: npt.ArrayLike) -> Float64Array:
    """Holm's correction: what p is worth when so many comparisons are made at once.

    Args:
        p_values: of each comparison.

    Returns:
        In the same order, never below the given ones.

    Source: Holm 1979, "A simple sequentially rejective multiple test procedure".

    Example:
        >>> holm_adjusted([0.01, 0.04, 0.03]).tolist()
        [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    factors = len(p) - np.arange(len(p))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1.0)
    return adjusted
