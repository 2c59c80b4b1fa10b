"""From recordings to files that a manifest can list: every one read to its end, and copied at the rate of training.

Tens of thousands of recordings take an hour, so that what was done is remembered (`prepared_journal`): killed at any
instant, the same call goes on and comes to the same bytes.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from atrkit.audio.read import AudioFacts, UnreachableAudioError, UnusableAudioError, inspect_audio, sample_rate_of
from atrkit.audio.resample import write_resampled
from atrkit.datasets.manifest import AudioFile
from atrkit.datasets.prepared_journal import Entry, FileState, Journal, Prepared, Unusable
from atrkit.datasets.prepared_plan import AudioJob, Plan, Task, is_intact, refuse_conflicts
from atrkit.files import as_resource_error, fsync
from atrkit.processes import map_in_processes

__all__ = ["AudioJob", "Dropped", "Prepared", "Unusable", "drop_originals", "manifest_files", "prepare_audio"]


def prepare_audio(
    jobs: Iterable[AudioJob],
    *,
    sample_rate_hz: int | None,
    journal: Path,
    workers: int,
    on_progress: Callable[[int, float], None],
) -> dict[str, Prepared | Unusable]:
    """Read every recording to its end and write its copy, on several processes; what is done already is not done again.

    Done is what the journal holds for this rate, as long as size and modification time of the original and of the
    copy are those it states: also that a recording is broken, but not that it could not be read. A copy gets its
    original's modification time, so that not even the journal tells an interrupted preparation from an uninterrupted
    one. An original that is gone does not matter while its copy is there.

    Args:
        jobs: any order.
        sample_rate_hz: of the copies; None only inspects. An original that has the rate gets no copy.
        journal: the file that remembers; one process at a time (the caller holds `single_writer`).
        workers: processes that decode and resample; the result is the same for any number.
        on_progress: called with the recordings finished since its last call and the seconds of audio that were read
            for them (0 for what was done before).

    Returns:
        What came of each recording, by clip id, sorted; nothing is left out.

    Raises:
        UsageError: two jobs have one clip id or one target, or a target is a source (exit code 2).
        ResourceError: the disk is full, a folder cannot be written or a process was killed (exit code 4).
    """
    jobs = list(jobs)
    refuse_conflicts(jobs)
    log = Journal.open(journal)
    with log.appending() as append:
        plan = Plan(log, append, sample_rate_hz)
        outcomes: dict[str, Prepared | Unusable] = {}
        tasks: list[Task] = []
        for job in jobs:
            match plan.decide(job):
                case Task() as task:
                    tasks.append(task)
                case outcome:
                    outcomes[job.clip_id] = outcome
        if outcomes:
            on_progress(len(outcomes), 0.0)
        for entry, is_lasting in map_in_processes(_prepare, tasks, workers, what=f"prepared audio for {journal}"):
            if is_lasting:
                append(entry)
            outcomes[entry.clip_id] = entry.outcome
            on_progress(1, _duration_s(entry.outcome))
    return {clip_id: outcomes[clip_id] for clip_id in sorted(outcomes)}


def _prepare(task: Task) -> tuple[Entry, bool]:
    """What a worker does with one recording; the flag says that doing it again would come to the same."""
    copy_state, is_lasting = None, True
    outcome: Prepared | Unusable
    try:
        if task.target is None or task.sample_rate_hz in (None, sample_rate_of(task.source)):
            outcome = _prepared(task.source, inspect_audio(task.source))
        else:
            outcome = _copied(task.source, task.target, task.sample_rate_hz)
            copy_state = _dated(task.target, task.source_state.mtime_ns)
    except UnusableAudioError as error:
        outcome, is_lasting = Unusable(str(error)), not isinstance(error, UnreachableAudioError)
    entry = Entry(task.clip_id, task.sample_rate_hz, str(task.source), task.source_state, outcome, copy_state)
    return entry, is_lasting


def _prepared(source: Path, facts: AudioFacts) -> Prepared:
    original = _audio_file(source, facts)
    return Prepared(original, is_original_there=True, copy=None, clipped_samples=0, repairs=facts.repairs)


def _copied(source: Path, target: Path, sample_rate_hz: int) -> Prepared:
    resampled = write_resampled(source, target, sample_rate_hz)
    copy = _audio_file(target, resampled.copy)
    return replace(_prepared(source, resampled.original), copy=copy, clipped_samples=resampled.clipped_samples)


def _audio_file(path: Path, facts: AudioFacts) -> AudioFile:
    return AudioFile(str(path), facts.sha256, facts.sample_rate_hz, facts.frames, facts.channels)


def _dated(path: Path, mtime_ns: int) -> FileState | None:
    try:
        os.utime(path, ns=(mtime_ns, mtime_ns))
    except OSError as error:
        raise as_resource_error(error, path) from error
    return FileState.of(path)


def _duration_s(outcome: Prepared | Unusable) -> float:
    return 0.0 if isinstance(outcome, Unusable) else outcome.original.frames / outcome.original.sample_rate_hz


def manifest_files(
    prepared: Prepared, folder: Path, *, keep_original: bool = True
) -> tuple[AudioFile, tuple[AudioFile, ...]]:
    """The file that a manifest lists first, and its copies.

    Args:
        prepared: what came of a recording.
        folder: the dataset's; paths below it are given relative to it, so that it may be moved.
        keep_original: False when originals that have a copy are to be deleted once the manifest is written.

    Returns:
        The original and its copy, if any; the copy alone where the original is gone or going.

    >>> original = AudioFile("/data/set/rain.wav", "5e..", sample_rate_hz=44100, frames=441, channels=2)
    >>> copy = AudioFile("/data/set/audio/rain.flac", "9f..", sample_rate_hz=32000, frames=320, channels=1)
    >>> rain = Prepared(original, is_original_there=True, copy=copy, clipped_samples=0, repairs=())
    >>> first, copies = manifest_files(rain, Path("/data/set"))
    >>> first.path, [copy.path for copy in copies]
    ('rain.wav', ['audio/rain.flac'])
    >>> first, copies = manifest_files(rain, Path("/data/set"), keep_original=False)
    >>> first.path, copies
    ('audio/rain.flac', ())
    """
    prefix = f"{folder.absolute()}/"
    original, *copies = (
        replace(file, path=file.path.removeprefix(prefix))
        for file in (prepared.original, prepared.copy)
        if file is not None
    )
    if not copies or (prepared.is_original_there and keep_original):
        return original, tuple(copies)
    return copies[0], ()


@dataclass(frozen=True)
class Dropped:
    """What was deleted, and what was not.

    Args:
        outcomes: those that were given, with `is_original_there` as it is now.
        files: how many were deleted.
        size_bytes: what they took.
        damaged: clips whose copy was not what was written, sorted: the original was kept, and the copy deleted, so
            that the next `prepare_audio` makes it again.
    """

    outcomes: dict[str, Prepared | Unusable]
    files: int
    size_bytes: int
    damaged: tuple[str, ...]


def drop_originals(
    outcomes: Mapping[str, Prepared | Unusable], on_progress: Callable[[int, float], None] = lambda items, audio_s: None
) -> Dropped:
    """Delete the originals that have a copy, each after its copy was read back and found to be what was written.

    An original without a copy is what is trained on, and stays; so does one that any clip without a good copy needs.

    Args:
        outcomes: what `prepare_audio` returned.
        on_progress: called with the recordings looked at since its last call, and 0 seconds.

    Returns:
        What was done. Without damage the same `prepare_audio` then finds nothing to do.

    Raises:
        ResourceError: a file cannot be deleted (exit code 4); those before it are.
    """
    there, copied = {}, {}
    for clip_id, outcome in sorted(outcomes.items()):
        if isinstance(outcome, Prepared) and outcome.is_original_there:
            there[clip_id] = outcome
            if is_intact(outcome.copy):
                copied[clip_id] = outcome
        on_progress(1, 0.0)
    damaged = {clip_id: clip.copy for clip_id, clip in there.items() if clip.copy is not None and clip_id not in copied}
    needed = {clip.original.path for clip_id, clip in there.items() if clip_id not in copied}
    droppable = {clip_id: clip for clip_id, clip in copied.items() if clip.original.path not in needed}
    gone = {clip_id: replace(clip, is_original_there=False) for clip_id, clip in droppable.items()}

    _sync_folders({Path(clip.copy.path).parent for clip in droppable.values() if clip.copy is not None})
    sizes_bytes = [_delete(path) for path in sorted({clip.original.path for clip in droppable.values()})]
    for copy in damaged.values():
        _delete(copy.path)
    return Dropped({**outcomes, **gone}, len(sizes_bytes), sum(sizes_bytes), tuple(damaged))


def _delete(name: str) -> int:
    path = Path(name)
    try:
        size_bytes = path.stat().st_size
        path.unlink()
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise as_resource_error(error, path) from error
    return size_bytes


def _sync_folders(folders: Iterable[Path]) -> None:
    """Copies are renamed without this when they are made; before their originals go it must be on the disk."""
    for folder in folders:
        try:
            fsync(folder)
        except OSError as error:
            raise as_resource_error(error, folder) from error
