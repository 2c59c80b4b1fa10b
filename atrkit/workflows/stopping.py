"""Ctrl-C and SIGTERM during a training: met between two steps, after a checkpoint."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from atrkit.errors import TerminatedError

if TYPE_CHECKING:
    from atrkit.training.settings import StopRequested


@contextmanager
def stop_between_steps() -> Iterator["StopRequested"]:
    """Turn the first Ctrl-C or SIGTERM into a wish that the loop meets after its step; a second one ends at once."""
    wish: list[type[BaseException]] = []

    def handle(signum: int, frame: Any) -> None:
        wish.append(KeyboardInterrupt if signum == signal.SIGINT else TerminatedError)
        for number in before:
            signal.signal(number, signal.SIG_DFL)

    heeded = [number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, handle) for number in heeded}
    try:
        yield lambda: wish[0] if wish else None
        if wish:  # it came after the last step: no other seed is begun
            raise wish[0]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
