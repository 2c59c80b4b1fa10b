"""How patient a transfer is."""

import random
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class TransferSettings:
    """Timeouts, retries and the size of a read.

    Retries are counted only while no new byte arrives: a transfer that moves forward may be cut any number of times.

    Args:
        reach_timeout_s: to resolve the name and connect for the first time in a call, all addresses together. Short,
            because a machine without a network must be told so within two seconds; longer than the second after
            which TCP repeats a lost first packet.
        connect_timeout_s: to connect later, for each address.
        read_timeout_s: silence after which a connection counts as stalled.
        chunk_bytes: of one read and write: what a kill can lose.
        attempts: in a row that bring nothing new, after which the transfer gives up.
        first_delay_s: before the second attempt; doubled with each further one.
        longest_delay_s: at which doubling stops.
        longest_retry_after_s: the most that a server's Retry-After is heeded.
        jitter: draws from [0, 1); a delay is between half of its nominal value and all of it, so that many machines
            that were cut together do not come back together.

    Source: our choice.
    """

    reach_timeout_s: float = 1.5
    connect_timeout_s: float = 10.0
    read_timeout_s: float = 30.0
    chunk_bytes: int = 1 << 16
    attempts: int = 6
    first_delay_s: float = 1.0
    longest_delay_s: float = 60.0
    longest_retry_after_s: float = 120.0
    jitter: Callable[[], float] = random.random

    def delay_s(self, failures: int, retry_after_s: float | None = None) -> float:
        """Seconds to wait after `failures` attempts in a row that brought nothing.

        >>> patient = TransferSettings(jitter=lambda: 0.5)
        >>> [patient.delay_s(failures) for failures in (1, 2, 3, 9)]
        [0.75, 1.5, 3.0, 45.0]
        >>> patient.delay_s(1, retry_after_s=7), patient.delay_s(1, retry_after_s=3600)
        (7, 120.0)
        """
        if retry_after_s is not None:
            return min(max(retry_after_s, 0), self.longest_retry_after_s)
        nominal_s = min(self.first_delay_s * 2.0 ** max(failures - 1, 0), self.longest_delay_s)
        return nominal_s * (0.5 + 0.5 * self.jitter())
