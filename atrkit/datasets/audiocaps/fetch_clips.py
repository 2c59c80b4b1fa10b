"""Many clips from YouTube, several at once: resumable, and polite when YouTube has had enough.

Workers only fetch; this thread hands out the work, writes the journal, pauses everybody and decides when to stop. So
Ctrl-C ends it at once, wherever it is, and no lock is needed.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from atrkit.datasets.audiocaps.fetch_journal import Entry, FetchJournal
from atrkit.datasets.audiocaps.pacing import FAILURES_WORTH_A_REMARK, PAUSES_S, Pacing
from atrkit.datasets.audiocaps.reasons import Kind, Reason
from atrkit.datasets.audiocaps.tables import AudioCapsClip
from atrkit.datasets.audiocaps.tools import Children, Tools, find_tools
from atrkit.datasets.audiocaps.youtube import FetchedAudio, Timeouts, fetch_clip
from atrkit.errors import NetworkError, UsageError
from atrkit.files import require_writable
from atrkit.processes import LONGEST_WAIT_S

DEFAULT_STREAMS = 4
ATTEMPTS_PER_RUN = 2


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
    timeouts: Timeouts | None = None,
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
        timeouts: how long to wait for one; None takes the defaults.
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
            children = Children()
            fetch = partial(
                fetch_clip,
                tools=tools or find_tools(),
                children=children,
                timeouts=timeouts or Timeouts(),
                cookies=cookies,
            )
            run = _Run(queue, outcomes, answers, fetch, streams, on_clip, on_remark, sleep)
            pool = ThreadPoolExecutor(streams, thread_name_prefix="atrkit-audiocaps")
            try:
                run.ask_all(pool)
            finally:  # whatever ends this early, no program is left running
                children.kill_all()
                pool.shutdown(wait=True, cancel_futures=True)
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


@dataclass
class _Run:
    """One run over the clips that have to be asked for."""

    queue: deque[_Job]
    outcomes: dict[str, Outcome]
    journal: FetchJournal
    fetch: Callable[[AudioCapsClip, Path], FetchedAudio | Reason]
    streams: int
    on_clip: Callable[[str, Outcome], None]
    on_remark: Callable[[str], None]
    sleep: Callable[[float], None]

    def __post_init__(self) -> None:
        self._pacing = Pacing(self.streams)

    def ask_all(self, pool: ThreadPoolExecutor) -> None:
        """Ask for every clip.

        Raises:
            NetworkError: going on would be in vain.
        """
        running: dict[Future[FetchedAudio | Reason], _Job] = {}
        while self.queue or running:
            while self.queue and len(running) < self._pacing.width and self._pacing.refusal is None:
                job = self.queue.popleft()
                running[pool.submit(self.fetch, job.clip, job.path)] = job
            for future in wait(running, LONGEST_WAIT_S, return_when=FIRST_COMPLETED).done:
                self._take(running.pop(future), future.result())
            if self._pacing.refusal is not None and not running:
                self._pause(self._pacing.refusal)

    def _take(self, job: _Job, answer: FetchedAudio | Reason) -> None:
        self._pacing.note(answer)
        if isinstance(answer, Reason) and answer.kind is Kind.LIMITED:
            self.queue.appendleft(job)  # no answer about this clip
            return
        entry = self.journal.add(job.clip.id, answer)
        if isinstance(answer, FetchedAudio):
            self._settle(job, Outcome("fetched", job.path, attempts=entry.attempts, audio=answer))
        elif answer.permanent or job.failures + 1 == ATTEMPTS_PER_RUN:
            self._settle(job, Outcome("missing", reason=answer, attempts=entry.attempts))
        else:
            self.queue.append(_Job(job.clip, job.path, job.failures + 1))
        if isinstance(answer, Reason) and self._pacing.failures_in_a_row == FAILURES_WORTH_A_REMARK:
            self.on_remark(
                f"{FAILURES_WORTH_A_REMARK} requests in a row failed, the last: {answer.text} ({answer.detail}); "
                "if yt-dlp is too old for YouTube: pip install -U yt-dlp"
            )

    def _settle(self, job: _Job, outcome: Outcome) -> None:
        self.outcomes[job.clip.id] = outcome
        self.on_clip(job.clip.id, outcome)

    def _pause(self, refusal: Reason) -> None:
        if self._pacing.is_hopeless:
            raise NetworkError(self._why_stopped(refusal))
        pause_s = self._pacing.begin_pause()
        if self.queue:
            self.on_remark(f"{refusal.text}: all wait {pause_s:g} s (pause {self._pacing.pauses} of {len(PAUSES_S)})")
            self.sleep(pause_s)

    def _why_stopped(self, refusal: Reason) -> str:
        there = sum(outcome.path is not None for outcome in self.outcomes.values())
        said = f" ({refusal.detail})" if refusal.detail else ""
        way_out = (
            "check the network, or use files that you have with --from DIR"
            if refusal.kind is Kind.OFFLINE
            else "wait an hour, log in with --cookies FILE, or use fewer --streams"
        )
        return (
            f"{refusal.text}{said}: {there:,} of {len(self.outcomes):,} clips are there; {way_out}; "
            "the same command goes on from here"
        )
