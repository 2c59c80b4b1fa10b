"""How fast an extraction was, and what held it up: the model, the decoding of audio, the disk or the memory."""

import time
from collections.abc import Callable

# our choice: a model that waits less than a twentieth of the time gains nothing that one would notice
_NOTICEABLE_SHARE = 0.05


class Balance:
    """What the threads of the model did while an extraction ran.

    The pipeline says what holds from now on (`observe`) and the time until it speaks again is booked, so that the
    shares are of the whole time, whatever the length of its steps.

    Args:
        clock: seconds that only go up.

    Attributes:
        wall_s: from the first observation to the last.
        busy_s: in which a thread encoded, summed over threads.
        waited_s: in which a thread had nothing to encode because audio was not decoded yet.
        held_s: in which a thread had nothing to encode because earlier parts were not taken (written) yet.
        cramped_s: in which a thread had nothing to encode because there was no room for more audio or results.
        decode_s: spent hashing, decoding and resampling, summed over processes or threads.
        audio_s: length of the clips that were encoded; skipped ones cost no time that one could compare.

    Example:
        >>> now = iter([0.0, 1.0, 10.0])
        >>> balance = Balance(clock=lambda: next(now))
        >>> balance.observe(waiting=1)
        >>> balance.observe(busy=1)
        >>> balance.observe()
        >>> balance.busy_s, balance.waited_s, balance.waited_share
        (9.0, 1.0, 0.1)
        >>> balance.limit
        'limit: decoding; the model waited 10 % of the time for audio'
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.wall_s = self.busy_s = self.waited_s = self.held_s = self.cramped_s = 0.0
        self.decode_s = self.audio_s = 0.0
        self._clock = clock
        self._since: float | None = None
        self._busy = self._waiting = self._held = self._cramped = 0

    def observe(self, *, busy: int = 0, waiting: int = 0, held: int = 0, cramped: int = 0) -> None:
        """Say what the threads of the model do from now on.

        Args:
            busy: how many encode.
            waiting: how many wait for audio that is being decoded.
            held: how many wait for parts to be written.
            cramped: how many wait for room in memory.
        """
        now = self._clock()
        if self._since is not None:
            elapsed_s = now - self._since
            self.wall_s += elapsed_s
            self.busy_s += elapsed_s * self._busy
            self.waited_s += elapsed_s * self._waiting
            self.held_s += elapsed_s * self._held
            self.cramped_s += elapsed_s * self._cramped
        self._since = now
        self._busy, self._waiting, self._held, self._cramped = busy, waiting, held, cramped

    def add_decoding(self, seconds: float) -> None:
        """Count time that a process or thread spent on audio."""
        self.decode_s += seconds

    def add_audio(self, audio_s: float) -> None:
        """Count clips that were encoded."""
        self.audio_s += audio_s

    @property
    def times_real_time(self) -> float:
        """Seconds of audio per second."""
        return self.audio_s / self.wall_s if self.wall_s else 0.0

    @property
    def waited_share(self) -> float:
        """Share of the model's time in which it waited for audio, 0 to 1."""
        return self._share(self.waited_s)

    @property
    def held_share(self) -> float:
        """Share of the model's time in which it waited for earlier parts to be written, 0 to 1."""
        return self._share(self.held_s)

    @property
    def cramped_share(self) -> float:
        """Share of the model's time in which it waited for room in memory, 0 to 1."""
        return self._share(self.cramped_s)

    @property
    def bottleneck(self) -> str:
        """What a faster extraction would need more of: "model", "decoding", "writing" or "memory"."""
        shares = {"decoding": self.waited_share, "writing": self.held_share, "memory": self.cramped_share}
        largest = max(shares, key=lambda name: shares[name])
        return largest if shares[largest] >= _NOTICEABLE_SHARE else "model"

    @property
    def limit(self) -> str:
        """The same in one line, with the share of time that says so."""
        match self.bottleneck:
            case "model":
                return f"limit: the model, which waited {100 * self.waited_share:.0f} % of the time for audio"
            case "decoding":
                return f"limit: decoding; the model waited {100 * self.waited_share:.0f} % of the time for audio"
            case "writing":
                return f"limit: writing; the model waited {100 * self.held_share:.0f} % of the time for the disk"
            case _:
                return (
                    f"limit: memory; the model waited {100 * self.cramped_share:.0f} % of the time "
                    "for room for more audio"
                )

    @property
    def sentence(self) -> str:
        """How fast it was and what limited it, for the end of an extraction; empty when nothing was encoded."""
        return f"{self.times_real_time:,.0f} times real time; {self.limit}" if self.audio_s else ""

    def _share(self, seconds: float) -> float:
        total_s = self.busy_s + self.waited_s + self.held_s + self.cramped_s
        return seconds / total_s if total_s else 0.0
