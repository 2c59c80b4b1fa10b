"""Lists for approximate search, made when an index has grown so large that exact search takes long."""

from pathlib import Path
from typing import Any

from atrkit.errors import IntegrityError, MissingPrerequisiteError
from atrkit.processes import available_cores
from atrkit.search.approximate import (
    APPROXIMATE_FROM_WINDOWS,
    INSTALL_COMMAND,
    is_faiss_there,
    open_approximate,
)
from atrkit.search.approximate_build import build_approximate
from atrkit.search.index_files import SearchIndex, set_faiss
from atrkit.search.searcher import segment_hashes
from atrkit.workflows.session import Session

MOST_OTHER_WINDOWS = 10_000  # that came after the lists were made; exact search of them takes about 3 ms


def update_approximate(session: Session, index: SearchIndex) -> None:
    """Make, keep or remove the lists of an index, and note them in index.json.

    Lists are kept while they can be used and few windows came later, for these are searched exactly; so adding a few
    files costs nothing here.

    Args:
        session: where to speak.
        index: as it is on the disk; the caller holds `single_writer` of its folder.

    Raises:
        ResourceError: the disk is full or cannot be written; the index stays as it was.
    """
    windows = len(index.file_of_window_W)
    record = index.about.get("faiss")
    if windows < APPROXIMATE_FROM_WINDOWS:
        if record is not None:
            set_faiss(index.folder, None)
        _remove_others(index.folder, keep=None)
        return
    if not is_faiss_there():
        session.say(f"{windows:,} windows: exact search takes long; for lists: {INSTALL_COMMAND}, then this again")
        return
    if record is not None and _can_stay(index, record):
        _remove_others(index.folder, keep=record["name"])
        return
    with session.open_progress("lists for search", windows, "windows") as advance:
        facts = build_approximate(
            index.folder, index.vectors, segment_hashes(index), threads=available_cores(), on_progress=advance
        )
    set_faiss(index.folder, facts.as_record())
    _remove_others(index.folder, keep=facts.name)
    near_and_far = ", ".join(f"{recall:.3f} at {angle}°" for angle, recall in facts.recall_at_degrees.items())
    fewest, most = facts.reading[0][1], facts.reading[-1][1]
    session.say(
        f"approximate search: {facts.lists:,} lists, {fewest:,} to {most:,} of them read for near and far queries; "
        f"recall@10 against exact search {near_and_far} ({facts.sample_queries} sample queries)"
    )


def _can_stay(index: SearchIndex, record: dict[str, Any]) -> bool:
    try:
        facts = open_approximate(index.folder, record, segment_hashes(index)).facts
    except (IntegrityError, MissingPrerequisiteError):
        return False
    return len(index.file_of_window_W) - facts.windows <= MOST_OTHER_WINDOWS


def _remove_others(folder: Path, keep: str | None) -> None:
    for path in folder.glob("approximate-*.faiss*"):  # and what a killed process had begun to write
        if path.name != keep:
            path.unlink(missing_ok=True)
