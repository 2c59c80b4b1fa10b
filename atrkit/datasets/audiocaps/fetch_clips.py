"""Many clips from YouTube, several at once: resumable, and polite when YouTube has had enough.

Workers only fetch; this thread hands out the work, writes the journal, pauses everybody and decides when to stop. So
Ctrl-C ends it at once, wherever it is, and no lock is needed.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from atrkit.datasets.audiocaps.fetch_journal import Entry, FetchJournal
from atrkit.datasets.audiocaps.reasons import Kind, Reason
from atrkit.datasets.audiocaps.tables import AudioCapsClip
from atrkit.datasets.audiocaps.tools import Children, Tools, find_tools
from atrkit.datasets.audiocaps.youtube import FetchedAudio, Timeouts, fetch_clip
from atrkit.errors import NetworkError, UsageError
from atrkit.files import require_writable

DEFAULT_STREAMS = 4
ATTEMPTS_PER_RUN = 2
# our choice; YouTube forgets within an hour at most, says yt-dlp
PAUSES_S = (30.0, 60.0, 120.0, 300.0, 600.0)
_FAILURES_WORTH_A_REMARK = 20


@dataclass(frozen=True)
class Outcome:
    """What became of one clip.

    Args:
        state: "fetched" in this run, "present" before it, or "missing".
        path: of the file, unless it is missing.
        reason: why it is missing.
        attempts: how often it was asked for, in all runs.
        audio: what was written; None when it is missing, or came from elsewhere.
    """

    state: Literal["fetched", "present", "missing"]
    path: Path | None = None
    reason: Reason | None = None
    attempts: int = 0
    audio: FetchedAudio | None = None


def clip_path(folder: Path, clip: AudioCapsClip) -> Path:
    """Where a clip lies in its folder, as aac-datasets has it.

    Raises:
        ValueError: the clip has a `fault`; its id must not become a path.
    """
    if clip.fault is not None:
        raise ValueError(f"{clip.id!r}: {clip.fault}")
    return folder / f"{clip.id}.flac"


def fetch_clips(
    wanted: Iterable[tuple[AudioCapsClip, Path]],
    *,
    journal: Path,
    tools: Tools | None = None,
    streams: int = DEFAULT_STREAMS,
    timeouts: Timeouts = Timeouts(),
    on_clip: Callable[[str, Outcome], None] = lambda clip_id, outcome: None,
    on_remark: Callable[[str], None] = lambda remark: None,
    sleep: Callable[[float], None] = time.sleep,
    cookies: Path | None = None,
    retry_missing: bool = False,
) -> dict[str, Outcome]:
    """Fetch what is not there yet, and say of every clip what became of it.

    A clip is skipped when its file is there, or when an earlier run learned that it is gone for good. Everything else
    is asked for, up to twice per run; the second time after all others.

    Args:
        wanted: clips, each with the folder for its file (`clip_path`).
        journal: the file that remembers answers; only one process may use it.
        tools: yt-dlp and ffmpeg; None looks for them once a clip has to be fetched.
        streams: clips that are fetched at once.
        timeouts: how long to wait for one.
        on_clip: told of every clip, in this thread, as soon as its outcome is known.
        on_remark: told what a person should know.
        sleep: waits that many seconds.
        cookies: a file for yt-dlp; clips that need a log-in are then asked for again.
        retry_missing: ask again for clips that were gone for good.

    Returns:
        The outcome of every clip, by clip id, in the order of `wanted`.

    Raises:
        UsageError: there are no cookies in that place, or no streams (exit code 2).
        MissingPrerequisiteError: yt-dlp or ffmpeg is missing (exit code 3).
        ResourceError: the disk is full or a folder cannot be written (exit code 4).
        NetworkError: YouTube cannot be reached, or keeps refusing (exit code 6); the same command goes on.
    """
    if streams < 1:
        raise UsageError(f"clips cannot be fetched {streams} at once: try --streams 1")
    if cookies is not None and not cookies.is_file():
        raise UsageError(f"no cookies in {cookies}: export them from a browser in Netscape format")
    with FetchJournal(journal) as answers:
        if answers.unreadable_lines > 1:
            on_remark(f"{answers.unreadable_lines} lines of {journal} cannot be read: their clips are asked for again")
        outcomes: dict[str, Outcome] = {}
        queue: deque[_Job] = deque()
        for clip, folder in wanted:
            known = _known_outcome(clip, folder, answers.entries.get(clip.id), cookies is not None, retry_missing)
            if known is None:
                queue.append(_Job(clip, clip_path(folder, clip)))
                outcomes[clip.id] = _NOT_YET
            else:
                outcomes[clip.id] = known
                on_clip(clip.id, known)
        if queue:
            _prepare_folders(queue)
            run = _Run(
                queue, outcomes, answers, tools or find_tools(), streams, timeouts, cookies, on_clip, on_remark, sleep
            )
            run.all()
    return outcomes


_NOT_YET = Outcome("missing", reason=Reason("not asked for yet", Kind.FAILED))


def _known_outcome(
    clip: AudioCapsClip, folder: Path, entry: Entry | None, has_cookies: bool, retry_missing: bool
) -> Outcome | None:
    if clip.fault is not None:
        return Outcome("missing", reason=Reason(clip.fault, Kind.GONE))
    attempts = entry.attempts if entry else 0
    path = clip_path(folder, clip)
    if path.is_file():
        return Outcome("present", path, attempts=attempts, audio=entry.audio if entry else None)
    reason = entry.reason if entry else None
    if reason is None or not reason.permanent or retry_missing or (reason.cookies_help and has_cookies):
        return None
    return Outcome("missing", reason=reason, attempts=attempts)


def _prepare_folders(jobs: Iterable["_Job"]) -> None:
    for folder in sorted({job.path.parent for job in jobs}):
        require_writable(folder)
        for part in folder.glob(".*.part"):
            part.unlink(missing_ok=True)


@dataclass(frozen=True)
class _Job:
    clip: AudioCapsClip
    path: Path
    failures: int = 0


class _Run:
    """One run over the clips that have to be asked for."""

    def __init__(
        self,
        queue: deque[_Job],
        outcomes: dict[str, Outcome],
        journal: FetchJournal,
        tools: Tools,
        streams: int,
        timeouts: Timeouts,
        cookies: Path | None,
        on_clip: Callable[[str, Outcome], None],
        on_remark: Callable[[str], None],
        sleep: Callable[[float], None],
    ) -> None:
        self._queue = queue
        self._outcomes = outcomes
        self._journal = journal
        self._tools = tools
        self._streams = streams
        self._timeouts = timeouts
        self._cookies = cookies
        self._on_clip = on_clip
        self._on_remark = on_remark
        self._sleep = sleep
        self._children = Children()
        self._refusals: list[Reason] = []  # since the last pause
        self._pauses = 0  # since YouTube last answered
        self._offline_in_a_row = 0
        self._failures_in_a_row = 0
        self._was_answered = False

    def all(self) -> None:
        """Ask for every clip; whatever ends this early, no program is left running."""
        pool = ThreadPoolExecutor(self._streams, thread_name_prefix="atrkit-audiocaps")
        try:
            self._work(pool)
        finally:
            self._children.kill_all()
            pool.shutdown(wait=True, cancel_futures=True)

    def _work(self, pool: ThreadPoolExecutor) -> None:
        running: dict[Future[FetchedAudio | Reason], _Job] = {}
        while self._queue or running:
            while self._queue and len(running) < self._streams and not self._refusals:
                job = self._queue.popleft()
                running[pool.submit(self._fetch, job)] = job
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                self._take(running.pop(future), future.result())
            if self._refusals and not running:
                self._pause()

    def _fetch(self, job: _Job) -> FetchedAudio | Reason:
        return fetch_clip(
            job.clip,
            job.path,
            tools=self._tools,
            children=self._children,
            timeouts=self._timeouts,
            cookies=self._cookies,
        )

    def _take(self, job: _Job, answer: FetchedAudio | Reason) -> None:
        kind = None if isinstance(answer, FetchedAudio) else answer.kind
        if isinstance(answer, Reason) and answer.kind is Kind.LIMITED:
            self._refusals.append(answer)
            self._queue.appendleft(job)
            return
        self._note(answer)
        entry = self._journal.add(job.clip.id, answer)
        if kind in (Kind.FAILED, Kind.OFFLINE) and job.failures + 1 < ATTEMPTS_PER_RUN:
            self._queue.append(_Job(job.clip, job.path, job.failures + 1))
            return
        state: Literal["fetched", "missing"] = "fetched" if entry.reason is None else "missing"
        path = job.path if entry.reason is None else None
        self._outcomes[job.clip.id] = Outcome(state, path, entry.reason, entry.attempts, entry.audio)
        self._on_clip(job.clip.id, self._outcomes[job.clip.id])

    def _note(self, answer: FetchedAudio | Reason) -> None:
        """Count what comes in a row: it tells one clip's trouble from everybody's."""
        if isinstance(answer, Reason) and answer.kind is Kind.OFFLINE:
            self._offline_in_a_row += 1
            if self._offline_in_a_row >= max(ATTEMPTS_PER_RUN, self._streams):
                self._offline_in_a_row = 0
                self._refusals.append(answer)
            return
        self._offline_in_a_row = self._pauses = 0
        self._was_answered = True
        self._failures_in_a_row = self._failures_in_a_row + 1 if _is_failure(answer) else 0
        if isinstance(answer, Reason) and self._failures_in_a_row == _FAILURES_WORTH_A_REMARK:
            self._on_remark(
                f"{self._failures_in_a_row} clips in a row failed, the last: {answer.text} ({answer.detail}); "
                "yt-dlp may be too old for YouTube: pip install -U yt-dlp"
            )

    def _pause(self) -> None:
        reason = self._refusals[-1]
        is_offline_from_the_start = reason.kind is Kind.OFFLINE and not self._was_answered
        if self._pauses == len(PAUSES_S) or is_offline_from_the_start:
            raise NetworkError(self._why_stopped(reason))
        pause_s = PAUSES_S[self._pauses]
        self._pauses += 1
        self._refusals.clear()
        self._on_remark(f"{reason.text}: all wait {pause_s:g} s (pause {self._pauses} of {len(PAUSES_S)})")
        self._sleep(pause_s)

    def _why_stopped(self, reason: Reason) -> str:
        there = _count(self._outcomes.values(), ("fetched", "present"))
        said = f" ({reason.detail})" if reason.detail else ""
        help_ = (
            "check the network, or use files that you have with --from DIR"
            if reason.kind is Kind.OFFLINE
            else "wait an hour, log in with --cookies FILE, or use fewer --streams"
        )
        return (
            f"{reason.text}{said}: {there:,} of {len(self._outcomes):,} clips are there; "
            f"{help_}; the same command goes on from here"
        )


def _is_failure(answer: FetchedAudio | Reason) -> bool:
    return isinstance(answer, Reason) and answer.kind is Kind.FAILED


def _count(outcomes: Iterable[Outcome], states: Sequence[str]) -> int:
    return sum(outcome.state in states for outcome in outcomes)
