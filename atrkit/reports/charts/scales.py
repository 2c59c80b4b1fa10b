"""From numbers to places on a drawing, and the round numbers that stand on an axis."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """Numbers from `low` to `high` lie between the places `start` and `stop`.

    >>> Scale(0.0, 10.0, 100.0, 200.0)(2.5)
    125.0
    >>> Scale(1.0, 100.0, 0.0, 60.0, is_log=True)(10.0)
    30.0
    """

    low: float
    high: float
    start: float
    stop: float
    is_log: bool = False

    def __call__(self, value: float) -> float:
        """The place of a number; of the only number there is, the middle."""
        low, high, value = (math.log10(each) for each in (self.low, self.high, value)) if self.is_log else (
            self.low, self.high, value
        )  # fmt: skip
        fraction = (value - low) / (high - low) if high > low else 0.5
        return self.start + fraction * (self.stop - self.start)


def nice_ticks(low: float, high: float, wanted: int, *, whole: bool = False) -> tuple[float, ...]:
    """About so many round numbers whose ends enclose the range; a range without extent is widened.

    Args:
        low: finite, and
        high: not below it.
        wanted: how many, at least 2; the nearest round distance decides how many come.
        whole: whole numbers alone, as for epochs.

    >>> nice_ticks(0.0, 0.93, 5)
    (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
    >>> nice_ticks(1, 3, 6, whole=True)
    (1.0, 2.0, 3.0)
    >>> nice_ticks(5.0, 5.0, 3)
    (4.5, 5.0, 5.5)
    """
    if high <= low:
        margin = 1.0 if whole or low == 0 else abs(low) * 0.1
        low, high = (0.0 if low == 0 else low - margin), high + margin
    step = _nice_step((high - low) / max(wanted - 1, 1))
    step = max(1.0, step) if whole else step
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    decimals = _decimals(step)
    return tuple(round(index * step, decimals + 2) for index in range(first, last + 1))


def _nice_step(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough))
    return min((1.0, 2.0, 5.0, 10.0), key=lambda factor: abs(math.log(factor * power / rough))) * power


def _decimals(step: float) -> int:
    return max(0, -math.floor(math.log10(step) + 1e-9))


def tick_labels(ticks: Sequence[float]) -> list[str]:
    """The numbers with as many decimals as their distance needs.

    >>> tick_labels((0.0, 0.5, 1.0)), tick_labels((0.0, 20_000.0))
    (['0.0', '0.5', '1.0'], ['0', '20,000'])
    """
    decimals = _decimals(ticks[1] - ticks[0]) if len(ticks) > 1 else 0
    return [f"{0.0 if tick == 0 else tick:,.{decimals}f}" for tick in ticks]


def powers_of_ten(low: float, high: float) -> tuple[float, ...]:
    """1, 10, 100, ... from the power below `low` to the last one not above `high`.

    >>> powers_of_ten(1, 1200)
    (1.0, 10.0, 100.0, 1000.0)
    """
    return tuple(10.0**power for power in range(math.floor(math.log10(low)), math.floor(math.log10(high) + 1e-9) + 1))
