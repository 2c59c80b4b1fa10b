"""Which recordings are to be read, and which were before."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from atrkit.datasets.manifest import AudioFile
from atrkit.datasets.prepared_journal import Entry, FileState, Journal, Prepared, Unusable
from atrkit.errors import UsageError
from atrkit.files import sha256_of_file


@dataclass(frozen=True)
class AudioJob:
    """A recording to prepare.

    Args:
        clip_id: of the recording, unique.
        source: the original.
        target: the copy at the wanted rate, `.flac`; None for no copy.
    """

    clip_id: str
    source: Path
    target: Path | None


def refuse_conflicts(jobs: Sequence[AudioJob]) -> None:
    """Refuse jobs that would overwrite each other's files.

    Raises:
        UsageError: two have one clip id or one target, or a target is a source.
    """
    clip_ids: set[str] = set()
    written: set[Path] = set()
    sources = {job.source for job in jobs}
    for job in jobs:
        if job.clip_id in clip_ids:
            raise UsageError(f"clip {job.clip_id!r} is to be prepared twice: clip ids must be unique")
        if job.target in written:
            raise UsageError(f"two clips would be written to {job.target}: give each a file of its own")
        if job.target in sources:
            raise UsageError(f"{job.target} is an original and would be overwritten: put copies into another folder")
        clip_ids.add(job.clip_id)
        if job.target is not None:
            written.add(job.target)


@dataclass(frozen=True)
class Task:
    """What a worker is told: a recording that is there, and the copy that is wanted, if any."""

    clip_id: str
    source: Path
    source_state: FileState
    target: Path | None
    sample_rate_hz: int | None


class Plan:
    """Tells recordings that are done from those to do.

    Args:
        log: what was done before.
        append: keeps an entry in it.
        sample_rate_hz: of the copies; None for none.
    """

    def __init__(self, log: Journal, append: Callable[[Entry], None], sample_rate_hz: int | None) -> None:
        self._log = log
        self._append = append
        self._sample_rate_hz = sample_rate_hz
        self._rates_hz = sorted({rate_hz for _, rate_hz in log.entries})

    def decide(self, job: AudioJob) -> Prepared | Unusable | Task:
        """What came of a recording, when that is known without reading it, or what a worker is to do."""
        rate_hz = None if job.target is None else self._sample_rate_hz
        target = None if job.target is None or rate_hz is None else job.target.absolute()
        known = self._log.entries.get((job.clip_id, rate_hz or 0))
        source = job.source.absolute()
        source_state = FileState.of(source)
        if source_state is None:
            return self._without_original(job, known, target)
        is_same = known is not None and known.source_state == source_state and known.source == str(source)
        if known is not None and is_same and _is_copied(known, target):
            return known.outcome
        return Task(job.clip_id, source, source_state, target, rate_hz)

    def _without_original(self, job: AudioJob, known: Entry | None, target: Path | None) -> Prepared | Unusable:
        prepared = known.outcome if known is not None else None
        if known is None or target is None or not isinstance(prepared, Prepared):
            return Unusable(self._why_gone(job))
        if not known.has_copy_at(target):
            # a folder that was copied has new times: the hash decides, where the copy cannot be made again
            if prepared.copy is None or prepared.copy.path != str(target) or not is_intact(prepared.copy):
                return Unusable(self._why_gone(job))
            self._append(replace(known, copy_state=FileState.of(target)))
        return replace(prepared, is_original_there=False)

    def _why_gone(self, job: AudioJob) -> str:
        reason = _why_unreachable(job.source)
        for rate_hz in self._rates_hz:
            other = self._log.entries.get((job.clip_id, rate_hz))
            copy = other.outcome.copy if other and isinstance(other.outcome, Prepared) else None
            if other and copy and rate_hz != self._sample_rate_hz and other.has_copy_at(Path(copy.path)):
                return f"{reason}, only its copy at {rate_hz:,} Hz: get it again, or use --sample-rate {rate_hz}"
        return reason


def _is_copied(known: Entry, target: Path | None) -> bool:
    """Whether the copy is there, where there should be one: a broken original has none, nor one that has the rate."""
    if isinstance(known.outcome, Unusable) or known.outcome.copy is None:
        return True
    return target is not None and known.has_copy_at(target)


def is_intact(file: AudioFile | None) -> bool:
    """Whether there is a file, with the bytes that were written; reads all of it."""
    try:
        return file is not None and sha256_of_file(Path(file.path)) == file.sha256
    except OSError:
        return False


def _why_unreachable(path: Path) -> str:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return "there is no such file"
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    return "there was no such file a moment ago"
