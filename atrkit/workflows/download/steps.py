"""Steps that both datasets share: transfers with a display, resampling, and what goes into the manifest."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from atrkit.datasets.aac_tables import PublishedFile
from atrkit.datasets.prepared import AudioJob, Prepared, Unusable, prepare_audio
from atrkit.files import require_free_space
from atrkit.network import Fetched, fetch
from atrkit.workflows.session import Advance, Session

# 16-bit FLAC takes about 0.6 of 16-bit PCM; the rest is for rates above the original's
RESAMPLED_SHARE = 0.8


@dataclass(frozen=True)
class AudioOptions:
    """What becomes of the recordings.

    Args:
        sample_rate_hz: of the copies; None makes none.
        keep_original: False deletes what was downloaded once its copy is there.
        workers: processes that decode and resample.
        strict: a recording that cannot be used, or only in part, is an error.
    """

    sample_rate_hz: int | None = 32_000
    keep_original: bool = True
    workers: int = 2
    strict: bool = False


def fetch_file(session: Session, file: PublishedFile, path: Path, *, size_bytes: int | None = None) -> Fetched:
    """Transfer a published file with a display; nothing is requested when it is there and right."""
    with byte_progress(session, f"downloading {file.name}") as on_progress:
        return fetch(
            file.url,
            path,
            what=file.name,
            md5=file.md5,
            size_bytes=size_bytes,
            on_progress=on_progress,
            on_remark=session.say,
        )


@contextmanager
def byte_progress(session: Session, description: str) -> Iterator[Callable[[int, int | None], None]]:
    """A display that opens with the first (done, total) bytes it is told of: a step that is not needed shows none."""
    with ExitStack() as stack:
        advance: Advance | None = None
        before = 0

        def on_progress(done_bytes: int, total_bytes: int | None) -> None:
            nonlocal advance, before
            if advance is None:
                display = session.open_progress(description, total_bytes or 0, "bytes", done_bytes)
                advance, before = stack.enter_context(display), done_bytes
            advance(done_bytes - before)
            before = done_bytes

        yield on_progress


def prepare_recordings(
    session: Session, name: str, folder: Path, jobs: Sequence[AudioJob], options: AudioOptions
) -> dict[str, Prepared | Unusable]:
    """Check every recording and make its resampled copy; what an earlier call did is not done again."""
    doing = "checking" if options.sample_rate_hz is None else f"resampling to {options.sample_rate_hz:,} Hz:"
    waiting = [job for job in jobs if job.target is not None and not job.target.is_file() and job.source.is_file()]
    needed_bytes = int(RESAMPLED_SHARE * sum(job.source.stat().st_size for job in waiting))
    require_free_space(folder, needed_bytes, f"resampling {len(waiting)} recordings")
    with session.open_progress(f"{doing} {name}", len(jobs), "clips") as advance:
        return prepare_audio(
            jobs,
            sample_rate_hz=options.sample_rate_hz,
            journal=folder / "prepared.jsonl",
            workers=options.workers,
            on_progress=advance,
        )
