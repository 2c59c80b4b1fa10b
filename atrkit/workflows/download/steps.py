"""Steps that both datasets share: transfers with a display, resampling, and writing the manifest."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atrkit.audio.resample import RESAMPLING
from atrkit.datasets.aac_tables import PublishedFile
from atrkit.datasets.folder import check_dataset_name
from atrkit.datasets.manifest import DATASET_NAME, Dataset, load_dataset, save_dataset
from atrkit.datasets.missing import MISSING_NAME, save_missing
from atrkit.datasets.prepared import Prepared, Unusable, drop_originals, prepare_audio
from atrkit.datasets.relevance import Relevance, detect_and_read, save_relevance
from atrkit.errors import IntegrityError, MissingPrerequisiteError, UsageError
from atrkit.files import require_free_space, single_writer
from atrkit.network import Fetched, fetch
from atrkit.workflows.download.recordings import Described, Recording, describe_recordings
from atrkit.workflows.session import Advance, Session

# 16-bit FLAC takes about 0.6 of 16-bit PCM; the rest is for rates above the original's
RESAMPLED_SHARE = 0.8
JOURNAL_NAME = "prepared.jsonl"
REPLACED_NAME = f".{DATASET_NAME}.replaced"


@dataclass(frozen=True)
class AudioOptions:
    """What becomes of the recordings.

    Args:
        sample_rate_hz: of the copies; None makes none.
        keep_original: False deletes what was downloaded once its copy is there.
        workers: processes that decode and resample.
        strict: a recording that is missing, unusable or cut short is an error.
    """

    sample_rate_hz: int | None = 32_000
    keep_original: bool = True
    workers: int = 2
    strict: bool = False

    def __post_init__(self) -> None:
        """Refuse to delete originals that have no copy."""
        if self.sample_rate_hz is None and not self.keep_original:
            raise UsageError("--drop-original needs copies to keep: give a --sample-rate other than 0")


@dataclass(frozen=True)
class Target:
    """The dataset that is being written.

    Args:
        name: of the dataset.
        folder: of the dataset.
        about: what an earlier call wrote of it; empty when this is the first.
    """

    name: str
    folder: Path
    about: dict[str, Any]

    @property
    def subsets(self) -> tuple[str, ...]:
        """What earlier calls have brought already, and this one keeps."""
        return tuple(self.about.get("subsets", ()))


@contextmanager
def writing_dataset(session: Session, name: str, published: str, version: str) -> Iterator[Target]:
    """Be the only one to write the dataset, and never mix two versions under one name.

    Raises:
        UsageError: no name for a dataset, or the folder holds something else (exit code 2).
        MissingPrerequisiteError: another process writes it (exit code 3).
    """
    check_dataset_name(name)
    folder = session.workspace.dataset_folder(name)
    with single_writer(folder):
        about = _what_is_there(folder)
        there = about.get("source")
        if about and (not isinstance(there, dict) or (there.get("name"), there.get("version")) != (published, version)):
            held = f"{there.get('name')} {there.get('version')}" if isinstance(there, dict) else "another dataset"
            raise UsageError(
                f"{folder} holds {held}: give {published} {version} a name of its own, "
                f"--name {published.lower()}-{version}"
            )
        yield Target(name, folder, about)


def _what_is_there(folder: Path) -> dict[str, Any]:
    """What an earlier call wrote of the dataset, also when it was killed while it replaced one."""
    if (folder / DATASET_NAME).is_file():
        return load_dataset(folder).about
    try:
        about: dict[str, Any] = json.loads((folder / REPLACED_NAME).read_bytes())["about"]
    except FileNotFoundError:
        return {}
    return about


@contextmanager
def _replacing(folder: Path) -> Iterator[None]:
    """Take the old description away while its files change, but not forget which subsets it had."""
    described, replaced = folder / DATASET_NAME, folder / REPLACED_NAME
    with suppress(FileNotFoundError):
        described.replace(replaced)
    yield
    replaced.unlink(missing_ok=True)


def choose_subsets(wanted: Sequence[str] | None, known: Sequence[str], there: Sequence[str]) -> tuple[str, ...]:
    """What the user asked for and what earlier calls have brought, in the publisher's order.

    Raises:
        UsageError: there is no such subset; lists those there are.
    """
    unknown = [subset for subset in wanted or () if subset not in known]
    if unknown or (wanted is not None and not wanted):
        raise UsageError(f"--subset {','.join(unknown)}: this version has {', '.join(known)}")
    chosen = set(known if wanted is None else wanted) | set(there)
    return tuple(subset for subset in known if subset in chosen)


def copies_folder(folder: Path, options: AudioOptions) -> Path | None:
    """Where copies at the wanted rate lie; None when none are wanted."""
    return None if options.sample_rate_hz is None else folder / f"audio_{options.sample_rate_hz}Hz"


def fetch_file(session: Session, file: PublishedFile, path: Path) -> Fetched:
    """Transfer a published file with a display; nothing is requested when it is there and right."""
    with byte_progress(session, f"downloading {file.name}") as on_progress:
        return fetch(file.url, path, what=file.name, md5=file.md5, on_progress=on_progress, on_remark=session.say)


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
    described = describe_recordings(recordings, prepared, target.folder, keep_original=options.keep_original)
    if options.strict:
        _refuse_flaws(described)
    dataset = Dataset(
        name=target.name,
        clips=described.clips,
        folder=target.folder,
        about={**about, "audio": _audio_record(described, options)},
        problems=described.problems,
    )
    if not described.clips:
        save_missing(target.folder, described.missing)
        raise MissingPrerequisiteError(
            f"none of the {len(recordings):,} clips is there ({described.missing[0].reason}); "
            f"all are listed in {target.folder / MISSING_NAME}"
        )
    judgements = [detect_and_read(path, dataset) for path in relevance]
    with _replacing(target.folder):
        save_missing(target.folder, described.missing)
        save_dataset(dataset)
        for judged in judgements:
            save_relevance(target.folder, judged)
            _say_what_was_judged(session, judged)
    if described.clipped_samples:
        session.say(
            f"{described.clipped_samples:,} samples in {described.clipped_clips:,} copies were beyond full scale "
            "and lie on it now"
        )
    if not options.keep_original:
        _drop_originals(session, prepared)
    return dataset


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
        raise IntegrityError(f"{len(flaws)} clips are missing or cut short, and --strict refuses them; {flaws[0]}")


def _audio_record(described: Described, options: AudioOptions) -> dict[str, Any]:
    """What was done to the audio, for dataset.json."""
    return {
        "copies_hz": options.sample_rate_hz,
        "resampling": None if options.sample_rate_hz is None else RESAMPLING,
        "originals": described.originals,
        "clipped_samples": described.clipped_samples,
        "clipped_clips": described.clipped_clips,
    }
