"""The end of every download: recordings read and resampled, the dataset described, originals dropped."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from atrkit.audio.resample import RESAMPLING
from atrkit.datasets.manifest import DATASET_NAME, AudioFile, Dataset, save_dataset
from atrkit.datasets.missing import MISSING_NAME, save_missing
from atrkit.datasets.prepared import Prepared, Unusable, drop_originals, prepare_audio
from atrkit.datasets.prepared_journal import Journal
from atrkit.datasets.relevance import QRELS_FOLDER, Relevance, detect_and_read, save_relevance
from atrkit.errors import IntegrityError, MissingPrerequisiteError, UsageError
from atrkit.files import require_free_space
from atrkit.reports.counting import counted
from atrkit.workflows.download.recordings import Described, Recording, describe_recordings
from atrkit.workflows.download.steps import REPLACED_NAME, AudioOptions, Target
from atrkit.workflows.session import Session

# 16-bit FLAC takes about 0.6 of 16-bit PCM; the rest is for rates above the original's
RESAMPLED_SHARE = 0.8
JOURNAL_NAME = "prepared.jsonl"


@contextmanager
def _replacing(folder: Path) -> Iterator[None]:
    """Take the old description away while its files change, but not forget which subsets it had."""
    described, replaced = folder / DATASET_NAME, folder / REPLACED_NAME
    with suppress(FileNotFoundError):
        described.replace(replaced)
    yield
    replaced.unlink(missing_ok=True)


def finish_dataset(
    session: Session,
    target: Target,
    recordings: Sequence[Recording],
    options: AudioOptions,
    about: dict[str, Any],
    relevance: Sequence[Path] = (),
) -> Dataset:
    """Prepare the audio and write manifest, missing.csv and problems; originals go last, when all else is written.

    Raises:
        IntegrityError: with --strict, when anything is missing or was repaired.
    """
    prepared = _prepare(session, target, recordings, options)
    described = describe_recordings(
        recordings,
        prepared,
        target.folder,
        keep_original=options.keep_original,
        further_copies=_copies_at_other_rates(target.folder / JOURNAL_NAME, prepared, options.sample_rate_hz),
    )
    if options.strict:
        _refuse_flaws(described)
    if not described.clips:
        raise MissingPrerequisiteError(_why_nothing(target, recordings, described))
    dataset = Dataset(
        name=target.name,
        clips=described.clips,
        folder=target.folder,
        about={**about, "audio": _audio_record(described, options)},
        problems=described.problems,
    )
    judgements = [detect_and_read(path, dataset) for path in relevance]
    named = {judged.name for judged in judgements}
    with _replacing(target.folder):
        save_missing(target.folder, described.missing)
        save_dataset(dataset)
        for judged in judgements:
            save_relevance(target.folder, judged)
            _say_what_was_judged(session, judged)
        _renew_relevance(session, dataset, named)
    if described.clipped_samples:
        session.say(
            f"{described.clipped_samples:,} samples in {described.clipped_clips:,} copies were beyond full scale "
            "and lie on it now"
        )
    if not options.keep_original:
        _drop_originals(session, prepared)
    return dataset


def _why_nothing(target: Target, recordings: Sequence[Recording], described: Described) -> str:
    """Nothing of what was there before is touched; a first call leaves the list of what is missing."""
    message = f"none of the {len(recordings):,} clips is there ({described.missing[0].reason})"
    if target.about:
        return f"{message}; the dataset is left as it was"
    save_missing(target.folder, described.missing)
    return f"{message}; all are listed in {target.folder / MISSING_NAME}"


def _copies_at_other_rates(
    journal: Path, prepared: Mapping[str, Prepared | Unusable], sample_rate_hz: int | None
) -> dict[str, list[AudioFile]]:
    """What earlier calls made of the same recordings, as long as it lies there as it was written."""
    found: dict[str, list[AudioFile]] = defaultdict(list)
    for entry in Journal.open(journal).entries.values():
        now, then = prepared.get(entry.clip_id), entry.outcome
        if not isinstance(now, Prepared) or not isinstance(then, Prepared) or then.copy is None:
            continue
        same = {now.original.sha256, now.copy.sha256 if now.copy else None}
        is_other = entry.sample_rate_hz not in (None, sample_rate_hz)
        is_of_it = then.original.sha256 in same or then.copy.sha256 in same
        if is_other and is_of_it and entry.has_copy_at(Path(then.copy.path)):
            found[entry.clip_id].append(then.copy)
    return found


def _renew_relevance(session: Session, dataset: Dataset, named: set[str]) -> None:
    """Express judgements that were kept earlier in the clips and captions that there are now."""
    for record_path in sorted((dataset.folder / QRELS_FOLDER).glob("*.json")):
        if record_path.stem in named:
            continue
        try:
            source = Path(json.loads(record_path.read_bytes())["source"])
            save_relevance(dataset.folder, detect_and_read(source, dataset))
        except (UsageError, OSError, ValueError, KeyError, TypeError):
            session.say(
                f"{record_path.stem}: its judgements are those of an earlier state of the dataset, because what they "
                "were read from is gone: give --relevance PATH again, or delete them"
            )


def _drop_originals(session: Session, prepared: dict[str, Prepared | Unusable]) -> None:
    dropped = drop_originals(prepared)
    session.say(f"{dropped.files:,} originals deleted ({dropped.size_bytes / 1e9:,.2f} GB); their copies are kept")
    if dropped.damaged:
        raise IntegrityError(
            f"{len(dropped.damaged)} copies were not what had been written, that of {dropped.damaged[0]!r} the first: "
            "their originals were kept; look after the disk, and run the same command again"
        )


def _say_what_was_judged(session: Session, judged: Relevance) -> None:
    for qrels in judged.qrels:
        session.say(
            f"{judged.name}: {qrels.judgements:,} judgements for {len(qrels.grades):,} captions of {qrels.split}"
        )
    for reason, count in judged.problem_counts.items():
        session.say(f"{judged.name}: {count:,} left out: {reason}")
    for note in judged.notes:
        session.say(f"{judged.name}: {note}")


def _prepare(
    session: Session, target: Target, recordings: Sequence[Recording], options: AudioOptions
) -> dict[str, Prepared | Unusable]:
    jobs = [recording.job for recording in recordings if recording.lost is None]
    waiting = [job for job in jobs if job.target is not None and not job.target.is_file() and job.source.is_file()]
    needed_bytes = int(RESAMPLED_SHARE * sum(job.source.stat().st_size for job in waiting))
    require_free_space(target.folder, needed_bytes, f"resampling {len(waiting):,} recordings")
    doing = "checking" if options.sample_rate_hz is None else f"resampling to {options.sample_rate_hz:,} Hz:"
    with session.open_progress(f"{doing} {target.name}", len(jobs), "clips") as advance:
        return prepare_audio(
            jobs,
            sample_rate_hz=options.sample_rate_hz,
            journal=target.folder / JOURNAL_NAME,
            workers=options.workers,
            on_progress=advance,
        )


def _refuse_flaws(described: Described) -> None:
    flaws = [f"{clip.clip_id}: {clip.reason}" for clip in described.missing]
    flaws += [f"{problem.item}: {problem.reason}" for problem in described.problems]
    if flaws:
        listed = counted(len(flaws), "clip is missing", "clips are missing")
        raise IntegrityError(f"{listed} or cut short, and --strict refuses that; {flaws[0]}")


def _audio_record(described: Described, options: AudioOptions) -> dict[str, Any]:
    """What was done to the audio, for dataset.json."""
    return {
        "copies_hz": options.sample_rate_hz,
        "resampling": None if options.sample_rate_hz is None else RESAMPLING,
        "originals": described.originals,
        "clipped_samples": described.clipped_samples,
        "clipped_clips": described.clipped_clips,
    }
