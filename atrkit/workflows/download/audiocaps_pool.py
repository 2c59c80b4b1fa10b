"""Which part of AudioCaps' test set a dataset has: all of it, a published pool, or a list of one's own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atrkit.datasets.aac_tables import PublishedFile
from atrkit.datasets.audiocaps.pools import POOLS, cover_pool, published_pool, read_pool
from atrkit.datasets.audiocaps.tables import AudioCapsClip
from atrkit.datasets.manifest import Dataset
from atrkit.errors import MissingPrerequisiteError, UsageError
from atrkit.files import write_atomic
from atrkit.workflows.download.steps import Target, fetch_file
from atrkit.workflows.session import Session

WHOLE = "all"
POOLS_FOLDER = "pools"


@dataclass(frozen=True)
class ChosenPool:
    """A part of the test set that a figure is given on.

    Args:
        name: for people.
        option: what --pool takes to choose it.
        source: paper or file.
        ids: YouTube ids.
    """

    name: str
    option: str
    source: str
    ids: frozenset[str]

    @property
    def record(self) -> dict[str, Any]:
        """For dataset.json."""
        return {"name": self.name, "option": self.option, "source": self.source, "clips": len(self.ids)}

    def sentence(self, clips: Sequence[AudioCapsClip], dataset: Dataset) -> str:
        """How much of it there is."""
        cover = cover_pool(self.ids, clips, {clip.id for clip in dataset.clips if clip.split == "test"})
        unknown = f"; {len(cover.unknown):,} of them are in no table of test" if cover.unknown else ""
        return f"pool {self.name}: {len(cover.present):,} of {len(self.ids):,} clips are on disk{unknown}"


def require_published(named: str) -> None:
    """Find out that a pool cannot be had before anything is done.

    Raises:
        UsageError: there is no such pool, and no such file (exit code 2).
        MissingPrerequisiteError: its list is not published by itself; says what to do (exit code 3).
    """
    if named == WHOLE or (named not in POOLS and Path(named).is_file()):
        return
    pool = published_pool(named)
    if pool.url is None:
        raise MissingPrerequisiteError(f"--pool {named} ({pool.source}): {pool.without_list}")


def choose_pool(
    session: Session, target: Target, named: str | None, clips: dict[str, list[AudioCapsClip]]
) -> ChosenPool | None:
    """Leave only the pool's clips in `clips["test"]`; what an earlier call chose holds until another is named.

    Raises:
        UsageError: no clip of the test set is in the pool, or there is no test set.
        NetworkError: the list cannot be had.
    """
    earlier: Mapping[str, Any] = target.about.get("pool", {})
    if named is None and earlier:
        named = str(earlier["option"])
        if named not in POOLS:
            named = str(target.folder / POOLS_FOLDER / Path(named).name)  # also in a workspace that was moved
        session.say(f"test: pool {earlier['name']}, as before (--pool {WHOLE} takes the whole test set)")
    if named is None or named == WHOLE:
        return None
    if "test" not in clips:
        raise UsageError(f"--pool {named} is a part of the test set: add test to --subset")
    chosen = _read(session, target.folder, named, clips["test"])
    whole = len(clips["test"])
    clips["test"] = [clip for clip in clips["test"] if clip.youtube_id in chosen.ids]
    session.say(f"test: the {len(clips['test']):,} clips of pool {chosen.name} of {whole:,} ({chosen.source})")
    if not clips["test"]:
        raise UsageError(f"--pool {named}: none of its {len(chosen.ids):,} clips is in the test set")
    return chosen


def _read(session: Session, folder: Path, named: str, test: Sequence[AudioCapsClip]) -> ChosenPool:
    if named not in POOLS:
        return _own_list(folder, Path(named))
    pool = published_pool(named)
    ids = frozenset(clip.youtube_id for clip in test)
    if pool.clips != len(ids):  # else it is the table that was just read
        assert pool.url is not None and pool.file_name is not None, "require_published has seen to it"
        file = PublishedFile(pool.file_name, pool.url, pool.md5)
        ids = read_pool(fetch_file(session, file, folder / POOLS_FOLDER / pool.file_name).path, pool)
    return ChosenPool(pool.name, pool.name, pool.source, ids)


def _own_list(folder: Path, path: Path) -> ChosenPool:
    """A list of the user's, of which the dataset keeps its ids: the next call needs them, wherever the list is then."""
    ids = read_pool(path)
    kept = (folder / POOLS_FOLDER / f"{path.stem}.txt").resolve()
    if kept != path.resolve():
        write_atomic(kept, "".join(f"{youtube_id}\n" for youtube_id in sorted(ids)).encode())
    return ChosenPool(path.stem, str(kept), f"the list {path.resolve()}", ids)
