"""Mean and standard deviation over several seeds, as in the papers' tables."""

import math
from collections.abc import Mapping, Sequence

from atrkit.errors import UsageError


def mean_and_deviation(values: Sequence[float]) -> dict[str, float | None]:
    """Mean of a figure over seeds, and its sample standard deviation.

    The deviation divides by n - 1: seeds are a sample of all that could have been taken. It says how much one training
    differs from the next, not how well the mean is known.

    Args:
        values: one of each seed.

    Returns:
        "mean", and "deviation": None for a single seed, which has none.

    Raises:
        UsageError: there is no value.

    Source: PROTOCOL.md, "Confidence".

    Example:
        >>> mean_and_deviation([29.0, 29.3, 29.6])
        {'mean': 29.3, 'deviation': 0.3...}
    """
    if not values:
        raise UsageError("there is no seed to take a mean of")
    count = len(values)
    mean = math.fsum(values) / count
    if count == 1:
        return {"mean": mean, "deviation": None}
    return {"mean": mean, "deviation": math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (count - 1))}


def over_seeds(figures: Sequence[Mapping[str, float]], names: Sequence[str]) -> dict[str, dict[str, float | None]]:
    """`mean_and_deviation` of each of several figures.

    >>> over_seeds([{"R@1": 0.5}, {"R@1": 0.5}], ["R@1"])
    {'R@1': {'mean': 0.5, 'deviation': 0.0}}
    """
    return {name: mean_and_deviation([each[name] for each in figures]) for name in names}
