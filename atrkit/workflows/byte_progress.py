"""A display of bytes for transfers and archives."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from atrkit.workflows.session import Advance, Session


@contextmanager
def byte_progress(session: Session, description: str) -> Iterator[Callable[[int, int | None], None]]:
    """A display that opens with the first (done, total) bytes it is told of: a step that is not needed shows none."""
    with ExitStack() as stack:
        advance: Advance | None = None
        before_bytes = 0

        def on_progress(done_bytes: int, total_bytes: int | None) -> None:
            nonlocal advance, before_bytes
            if advance is None:
                display = session.open_progress(description, total_bytes or 0, "bytes", done_bytes)
                advance, before_bytes = stack.enter_context(display), done_bytes
            advance(done_bytes - before_bytes)
            before_bytes = done_bytes

        yield on_progress
