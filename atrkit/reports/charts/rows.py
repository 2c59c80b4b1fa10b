"""Large matrices a few rows at a time."""

from collections.abc import Iterator

_AT_ONCE = 1 << 20  # numbers


def row_slices(rows: int, columns: int) -> Iterator[slice]:
    """Slices of consecutive rows of about a million numbers: fast, and no second matrix in memory.

    >>> list(row_slices(3, 600_000))
    [slice(0, 1, None), slice(1, 2, None), slice(2, 3, None)]
    """
    each = max(1, _AT_ONCE // max(1, columns))
    return (slice(start, min(start + each, rows)) for start in range(0, rows, each))
