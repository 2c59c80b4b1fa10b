"""What there is to do when memory runs out: tell it from other errors, and give a batch the device to itself.

Threads that encode at once share a device. A window that finds no room beside the others' batches may well fit alone.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch

from atrkit.errors import ResourceError

Result = TypeVar("Result")

# of errors that are RuntimeError or torch.AcceleratorError: the CPU's allocator, CUDA outside of torch's own allocator,
# its libraries when they set themselves up, and C++
_SIGNS = (
    "can't allocate memory",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "std::bad_alloc",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch or numpy found no room, on a device or on the CPU.

    >>> is_out_of_memory(MemoryError()), is_out_of_memory(RuntimeError("shapes differ"))
    (True, False)
    """
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or any(sign in str(error) for sign in _SIGNS)


class Turns:
    """Work that goes on together, except where one piece of it needs to be alone.

    Who wants to be alone waits until those under way have ended, and nobody begins meanwhile.

    Example:
        >>> turns = Turns()
        >>> with turns.together(), turns.together():
        ...     "two threads, say"
        'two threads, say'
        >>> with turns.alone():
        ...     "one"
        'one'
    """

    def __init__(self) -> None:
        self._change = threading.Condition()
        self._num_together = 0
        self._num_wanting_alone = 0
        self._is_alone = False

    @contextmanager
    def together(self) -> Iterator[None]:
        """Work beside others; not for who is alone."""
        with self._change:
            self._change.wait_for(lambda: not self._num_wanting_alone)
            self._num_together += 1
        try:
            yield
        finally:
            with self._change:
                self._num_together -= 1
                self._change.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Work beside nobody; not for who works beside others."""
        with self._change:
            self._num_wanting_alone += 1
            try:
                self._change.wait_for(lambda: not self._num_together and not self._is_alone)
                self._is_alone = True
            except BaseException:  # Ctrl-C: the others go on
                self._num_wanting_alone -= 1
                self._change.notify_all()
                raise
        try:
            yield
        finally:
            with self._change:
                self._is_alone = False
                self._num_wanting_alone -= 1
                self._change.notify_all()


class DeviceMemory:
    """The memory that the threads of one encoder share.

    Args:
        user: the encoder's name, for messages.
        device: whose memory it is.
    """

    def __init__(self, user: str, device: torch.device) -> None:
        self._user = user
        self._device = device
        self._turns = Turns()

    def attempt(self, work: Callable[[], Result]) -> Result | None:
        """What some work gives, beside that of other threads, or None where memory runs out.

        Args:
            work: gives anything but None; what it holds is freed when this returns.

        Raises:
            Exception: any other error of the work.
        """
        try:
            with self._turns.together():
                return work()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        return None  # outside of `except`, whose traceback keeps what the work had allocated

    def fit(self, work: Callable[[], Result], what: str) -> Result:
        """What work gives that cannot be made smaller: where it does not fit beside that of other threads, alone.

        Args:
            work: gives anything but None.
            what: it needs room for, for the message.

        Raises:
            ResourceError: memory runs out although no other thread is at work.
            Exception: any other error of the work.
        """
        result = self.attempt(work)
        if result is not None:
            return result
        with self._turns.alone():
            self.free_unused()
            try:
                return work()
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                raise ResourceError(
                    f"{self._user} has no room for {what} on {self._device}: free some of its memory, or use another "
                    "--device"
                ) from error

    def free_unused(self) -> None:
        """Give back what torch keeps for later: in pieces of other sizes it may be of use."""
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
