"""Byte ranges of HTTP, which players ask for when somebody seeks."""


class UnsatisfiableRangeError(Exception):
    """Nothing of the range is in the file (416).

    Args:
        size_bytes: of the file.
    """

    def __init__(self, size_bytes: int) -> None:
        super().__init__(f"nothing of the range is in {size_bytes:,} bytes")
        self.size_bytes = size_bytes


def requested_range(header: str | None, size_bytes: int) -> tuple[int, int] | None:
    """The part of a file that is asked for.

    Args:
        header: value of `Range`; None: there is none.
        size_bytes: of the file.

    Returns:
        (start, stop); None: the whole file, also where the header is malformed or asks for several parts, as a server
        may do.

    Raises:
        UnsatisfiableRangeError: it begins behind the end.

    Source: RFC 9110, sections 14.1 and 14.2.

    Example:
        >>> requested_range("bytes=10-", 100), requested_range("bytes=-10", 100), requested_range("bytes=0-9", 100)
        ((10, 100), (90, 100), (0, 10))
        >>> requested_range("bytes=0-1,5-6", 100) is requested_range("rain=1-2", 100) is None
        True
    """
    unit, equals, value = (header or "").partition("=")
    first, dash, last = value.strip().partition("-")
    is_number = all(part.isascii() and part.isdigit() and len(part) < 20 for part in (first, last) if part)
    if unit.strip().lower() != "bytes" or not equals or not dash or not is_number or not (first or last):
        return None
    if not first:
        start, stop = max(0, size_bytes - int(last)), size_bytes
    else:
        if last and int(last) < int(first):
            return None
        start, stop = int(first), min(size_bytes, int(last) + 1) if last else size_bytes
    if start >= stop:
        raise UnsatisfiableRangeError(size_bytes)
    return start, stop
