"""Connections on which nobody asks anything: ended, so that a few clients cannot keep everybody else out."""

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

LONGEST_WAIT_S = 15.0  # our choice: heads are sent at once, and come late over the worst of lines only


class Connection(H11Protocol):
    """A connection of uvicorn's that ends where the head of a request, or the rest of an answered one, does not come.

    By itself uvicorn waits for ever for a first request, and for the rest of whatever begins with a byte.
    """

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for a request."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Go on waiting, if this was not all of it: the time is for all, whatever comes byte by byte."""
        super().data_received(data)
        is_answered = self.cycle is not None and self.cycle.response_complete
        if self.conn.their_state is not h11.IDLE and not is_answered:
            self._stop_waiting()
        elif self._timer is None:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._timer = self.loop.call_later(LONGEST_WAIT_S, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
