"""Room for a fixed number of samples, handed out in contiguous pieces."""

from bisect import insort


class Room:
    """Which parts of a buffer are taken: what bounds the audio that is decoded ahead.

    Args:
        samples: length of the buffer.

    Example:
        >>> room = Room(10)
        >>> room.take(4), room.take(4), room.take(4)
        (0, 4, None)
        >>> room.give_back(0)
        >>> room.take(3)
        0
    """

    def __init__(self, samples: int) -> None:
        self.samples = samples
        self._taken: list[tuple[int, int]] = []  # (start, end), sorted

    @property
    def taken_samples(self) -> int:
        """How much is taken."""
        return sum(end - start for start, end in self._taken)

    def take(self, samples: int) -> int | None:
        """The start of the first gap that is large enough for these, one or more; None where there is none."""
        start = 0
        for taken_start, taken_end in self._taken:
            if taken_start - start >= samples:
                break
            start = taken_end
        if start + samples > self.samples:
            return None
        insort(self._taken, (start, start + samples))
        return start

    def give_back(self, start: int) -> None:
        """Free the piece that starts there."""
        self._taken = [piece for piece in self._taken if piece[0] != start]
