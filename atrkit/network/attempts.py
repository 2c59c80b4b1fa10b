"""Attempts at one file until its part is whole: go on, start again, wait, or give up."""

from collections.abc import Callable
from dataclasses import replace

from atrkit.files import require_free_space
from atrkit.network.answer import Answer, get, require_address
from atrkit.network.failures import Interrupted, Refused, Unreachable
from atrkit.network.part_file import Origin, PartFile
from atrkit.network.proof import Proof
from atrkit.network.reach import require_reachable
from atrkit.network.settings import TransferSettings
from atrkit.network.wording import Wording, in_megabytes

_TRY_LATER = (408, 425, 429)
_HEEDS_RETRY_AFTER = (429, 503)


class Attempts:
    """The transfer of one file, from what an earlier call left to the last byte.

    Args:
        part: what is there, and where more goes.
        proof: what is known of the published file.
        wording: what, from where, to where.
        on_progress: called with (bytes there, total or None).
        on_remark: called with a line for people.
        settings: timeouts and retries.
        sleep: waits some seconds.
    """

    def __init__(
        self,
        part: PartFile,
        proof: Proof,
        wording: Wording,
        *,
        on_progress: Callable[[int, int | None], None],
        on_remark: Callable[[str], None],
        settings: TransferSettings,
        sleep: Callable[[float], None],
    ) -> None:
        self.received_bytes = 0
        self.kept_bytes = 0
        self._part = part
        self._proof = proof
        self._wording = wording
        self._on_progress = on_progress
        self._on_remark = on_remark
        self._settings = settings
        self._sleep = sleep
        self._origin: Origin | None = None
        self._was_answered = False
        self._furthest_bytes = 0
        self._failures = 0
        self._restarts = 0

    @property
    def total_bytes(self) -> int | None:
        """Length of the whole file, where it is known."""
        return self._proof.size_bytes if self._origin is None else self._origin.total_bytes

    def run(self) -> None:
        """Ask until the part is whole.

        Raises:
            AttemptFailed: there is no point in going on; the part is as it was, or longer.
            IntegrityError: the server has another file than the published one.
            ResourceError: the disk refuses.
        """
        require_address(self._wording.url)
        self._take_over()
        if not self._is_whole():
            require_reachable(self._wording.url, self._settings.reach_timeout_s)
        while not self._is_whole():
            try:
                self._attempt()
            except (Unreachable, Interrupted) as failure:
                self._wait_or_give_up(failure)

    def _is_whole(self) -> bool:
        return self._origin is not None and self._part.size_bytes == self._origin.total_bytes

    def _take_over(self) -> None:
        """Decide whether what an earlier call left is the beginning of this file."""
        there_bytes = self._part.size_bytes
        if not there_bytes:
            return
        origin = self._part.read_origin()
        if origin is None:
            self._start_again("nothing says what it is the beginning of")
        elif origin.url != self._wording.url:
            self._start_again(f"it came from {origin.url}")
        elif origin.total_bytes is not None and there_bytes > origin.total_bytes:
            self._start_again("it is longer than the whole file")
        else:
            self._origin = origin
            self.kept_bytes = self._furthest_bytes = there_bytes

    def _start_again(self, reason: str) -> None:
        """Forget the part, which stays on disk until the first answer with a new beginning."""
        self._origin = None
        self._on_remark(
            f"{self._wording.what}: the {in_megabytes(self._part.size_bytes)} that are there cannot be used "
            f"({reason}); starting again from 0"
        )

    def _attempt(self) -> None:
        start_bytes = self._start_bytes()
        with get(self._wording.url, self._range_headers(start_bytes), self._settings) as answer:
            self._was_answered = True
            _require_usable(answer, is_range_asked=bool(start_bytes))
            if answer.status == 200:
                self._begin(answer, start_bytes)
            elif reason := self._why_not_continued(answer, start_bytes):
                self._start_again(reason)
                return
            if answer.status != 416:
                self._receive(answer)

    def _start_bytes(self) -> int:
        """From which byte on to ask; a part that nothing could vouch for is forgotten."""
        there_bytes = self._part.size_bytes
        if self._origin is None or not there_bytes:
            return 0
        if not (self._origin.can_be_recognised or self._proof.has_checksum):
            self._start_again("the server gives no ETag or date to tell whether the file is still the same")
            return 0
        return there_bytes

    def _range_headers(self, start_bytes: int) -> dict[str, str]:
        if not start_bytes or self._origin is None:
            return {}
        headers = {"Range": f"bytes={start_bytes}-"}
        if self._origin.if_range:
            headers["If-Range"] = self._origin.if_range
        return headers

    def _why_not_continued(self, answer: Answer, start_bytes: int) -> str | None:
        """Why an answer to a Range request (206 or 416) is not the rest of our part; None: it is."""
        assert self._origin is not None
        if self._origin.differs_from(answer.etag, answer.last_modified):
            return "the file changed on the server"
        if answer.status == 416:
            if answer.range_total != start_bytes:
                return "the server has no such range"
        elif answer.range_start != start_bytes:
            return "the server sent another range than asked for"
        if answer.range_total is not None and self._origin.total_bytes not in (None, answer.range_total):
            return "the file on the server has another length now"
        is_vouched_for = self._origin.if_range or answer.etag or self._proof.has_checksum
        if not is_vouched_for:
            return "the server does not say whether the file is still the same"
        if self._origin.total_bytes is None and answer.range_total is not None:
            self._describe(answer.range_total)
        return None

    def _describe(self, total_bytes: int) -> None:
        assert self._origin is not None
        self._origin = replace(self._origin, total_bytes=total_bytes)
        self._part.describe(self._origin)

    def _begin(self, answer: Answer, start_bytes: int) -> None:
        """Check what a whole file (200) promises, and make room for it in place of what is there."""
        expected_bytes = self._proof.size_bytes
        if None not in (expected_bytes, answer.length_bytes) and answer.length_bytes != expected_bytes:
            page = "; it is a web page (HTML)" if answer.is_web_page else ""
            raise self._wording.not_offered(f"{expected_bytes:,} bytes expected, {answer.length_bytes:,} offered{page}")
        self._require_trustworthy(answer, start_bytes)
        there_bytes = self._part.size_bytes
        if there_bytes:
            self._restarts += 1
            if self._restarts > self._settings.attempts:
                raise Refused(f"the transfer was cut {self._restarts} times and the server does not resume")
        if start_bytes and self._origin is not None:
            has_changed = self._origin.differs_from(answer.etag, answer.last_modified)
            self._start_again("the file changed on the server" if has_changed else "the server does not resume")
        total_bytes = expected_bytes if answer.length_bytes is None else answer.length_bytes
        self._require_space((total_bytes or 0) - there_bytes)
        self._origin = Origin(self._wording.url, answer.etag, answer.last_modified, total_bytes)
        self._part.begin(self._origin)
        self.kept_bytes = self._furthest_bytes = 0

    def _require_trustworthy(self, answer: Answer, start_bytes: int) -> None:
        if start_bytes and answer.is_web_page:
            raise Refused("it answers with a web page (HTML) in place of the file, perhaps of a login or an error")
        if answer.encoding and not self._proof.has_checksum:
            raise Refused(f"it sends the file compressed ({answer.encoding}), though asked not to")
        is_end_known = answer.length_bytes is not None or answer.is_chunked or self._proof.size_bytes is not None
        if not is_end_known and not self._proof.has_checksum:
            raise Refused("it does not say how long the file is, so that a cut transfer would look complete")

    def _require_space(self, needed_bytes: int) -> None:
        require_free_space(self._part.path.parent, needed_bytes, f"downloading {self._wording.what}")

    def _receive(self, answer: Answer) -> None:
        """Append what comes; a chunk is on its way to the disk before the next one is read."""
        total_bytes, there_bytes = self.total_bytes, self._part.size_bytes
        self._require_space((total_bytes or there_bytes) - there_bytes)
        self._on_progress(there_bytes, total_bytes)
        with self._part.appending() as part:
            while chunk := answer.read(self._settings.chunk_bytes):
                there_bytes += len(chunk)
                self.received_bytes += len(chunk)
                if total_bytes is not None and there_bytes > total_bytes:
                    difference = f"{total_bytes:,} bytes were promised and more came"
                    raise self._wording.not_the_published_file(difference, self._part.set_aside())
                self._part.write_to(part, chunk)
                self._on_progress(there_bytes, total_bytes)
        if total_bytes is None:
            self._describe(there_bytes)
        elif there_bytes < total_bytes:
            raise Interrupted(f"the connection ended after {there_bytes:,} of {total_bytes:,} bytes")

    def _wait_or_give_up(self, failure: Unreachable | Interrupted) -> None:
        if not self._was_answered and isinstance(failure, Unreachable):
            raise failure
        settings, there_bytes = self._settings, self._part.size_bytes
        has_moved_on = there_bytes > self._furthest_bytes
        self._furthest_bytes = max(self._furthest_bytes, there_bytes)
        self._failures = 0 if has_moved_on else self._failures + 1
        if self._failures >= settings.attempts:
            raise type(failure)(f"{settings.attempts} attempts in a row brought nothing new, the last one: {failure}")
        retry_after_s = failure.retry_after_s if isinstance(failure, Interrupted) else None
        delay_s = settings.delay_s(max(self._failures, 1), retry_after_s)
        if not has_moved_on:
            count = f"attempt {self._failures + 1} of {settings.attempts}"
            self._on_remark(f"{self._wording.what}: {failure}; trying again in {delay_s:.0f} s ({count})")
        self._sleep(delay_s)


def _require_usable(answer: Answer, *, is_range_asked: bool) -> None:
    """Refuse, now or for good, an answer that brings no bytes of the file."""
    if answer.status == 200 or (answer.status in (206, 416) and is_range_asked):
        return
    reason = f"the server answers {answer.status} {answer.reason}".rstrip()
    if answer.status in _TRY_LATER or answer.status >= 500:
        raise Interrupted(reason, answer.retry_after_s if answer.status in _HEEDS_RETRY_AFTER else None)
    raise Refused(reason)
