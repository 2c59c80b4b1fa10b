"""`atrkit download audiocaps`: from YouTube or from a folder of files to a dataset that says what is missing."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from atrkit.datasets.aac_tables import ROOT_VARIABLE, PublishedFile, audiocaps_captions
from atrkit.datasets.audiocaps.fetch_clips import Outcome, clip_path, fetch_clips
from atrkit.datasets.audiocaps.fetch_journal import FetchJournal
from atrkit.datasets.audiocaps.namings import index_folder, match_clips
from atrkit.datasets.audiocaps.pools import POOLS, cover_pool, published_pool, read_pool
from atrkit.datasets.audiocaps.tables import SUBSETS, AudioCapsClip, read_audiocaps, remark_on_table
from atrkit.datasets.manifest import Caption, Dataset
from atrkit.datasets.prepared_journal import Journal
from atrkit.errors import MissingPrerequisiteError, UsageError
from atrkit.files import require_free_space
from atrkit.workflows.download.recordings import Recording
from atrkit.workflows.download.steps import (
    JOURNAL_NAME,
    AudioOptions,
    choose_subsets,
    copies_folder,
    fetch_file,
    finish_dataset,
    writing_dataset,
)
from atrkit.workflows.session import Session

LICENCE = "captions: for academic use, with attribution; audio: belongs to those who uploaded it to YouTube"
# ten seconds of stereo at 48 kHz as FLAC, and the copy
BYTES_PER_CLIP = 1_500_000
# clips have ten seconds; encoders and players round them up a little
LONGEST_CLIP_S = 11.0


@dataclass(frozen=True)
class AudioCapsOptions:
    """What the user asked for.

    Args:
        version: "v1" or "v2".
        subsets: of train, val, test; None means all.
        source: a folder of files to use where they lie, and nothing else; None looks at $AAC_DATASETS_ROOT and
            downloads the rest.
        pool: a published test pool, or a file of ids; None takes the whole test set.
        fetch: False takes what is on disk already.
        streams: clips that are downloaded at once.
        cookies: a file for yt-dlp.
        retry_missing: ask again for clips that were gone for good.
        name: of the dataset.
        audio: what becomes of the recordings.
    """

    version: str = "v1"
    subsets: Sequence[str] | None = None
    source: Path | None = None
    pool: str | None = None
    fetch: bool = True
    streams: int = 4
    cookies: Path | None = None
    retry_missing: bool = False
    name: str = "audiocaps"
    audio: AudioOptions = field(default_factory=AudioOptions)


def download_audiocaps(session: Session, options: AudioCapsOptions) -> Dataset:
    """Get AudioCaps: use what is there, fetch the rest, and list every clip that cannot be had with its reason.

    Raises:
        UsageError: options that do not go together, or another version under the same name (exit code 2).
        MissingPrerequisiteError: yt-dlp or ffmpeg is missing, or no clip at all is there (exit code 3).
        NetworkError: a table or YouTube cannot be reached, or YouTube keeps refusing; what came is kept (exit code 6).
    """
    if options.source is not None and not options.source.is_dir():
        raise UsageError(f"--from {options.source}: there is no such folder")
    with writing_dataset(session, options.name, "AudioCaps", options.version) as target:
        subsets = choose_subsets(options.subsets, SUBSETS, target.subsets)
        if options.pool is not None and "test" not in subsets:
            raise UsageError(f"--pool {options.pool} is a part of the test set: add test to --subset")
        place = target.folder / "AUDIOCAPS"
        copy = _copy_on_this_machine(session, options)
        clips = {subset: _clips_of(session, place, copy, subset, options) for subset in subsets}
        pool = None if options.pool is None else _take_pool(session, target.folder, options.pool, clips)
        found = _files_in(session, copy, [clip for subset in subsets for clip in clips[subset]])
        if found and not options.audio.keep_original:
            raise UsageError(f"--drop-original would delete recordings in {copy}, which are yours: leave it out")
        places = _Places(target.folder, place, options.audio, found)
        lost = _fetch_rest(session, places, clips, options)
        recordings = [places.recording(subset, clip, lost.get(clip.id)) for subset in subsets for clip in clips[subset]]
        about = {
            "source": {
                "name": "AudioCaps",
                "version": options.version,
                "record": "https://github.com/cdjkim/audiocaps",
            },
            "licence": LICENCE,
            "subsets": list(subsets),
            **({"copy": str(copy)} if found else {}),
            **({"pool": pool.record} if pool is not None else {}),
        }
        dataset = finish_dataset(session, target, recordings, options.audio, about)
        if pool is not None:
            session.say(pool.sentence(clips["test"], dataset))
    return dataset


def _copy_on_this_machine(session: Session, options: AudioCapsOptions) -> Path | None:
    """The folder that --from names, else AudioCaps below aac-datasets' root."""
    if options.source is not None:
        return options.source
    root = os.environ.get(ROOT_VARIABLE)
    folder = Path(root) / "AUDIOCAPS" if root else None
    if folder is None or not folder.is_dir():
        return None
    session.say(f"{ROOT_VARIABLE}: files of AudioCaps in {folder} are used where they are")
    return folder


def _clips_of(
    session: Session, place: Path, copy: Path | None, subset: str, options: AudioCapsOptions
) -> list[AudioCapsClip]:
    """The table of one subset, from the copy where it has one, else from our folder or the network."""
    below = f"csv_files_{options.version}/{subset}.csv"
    in_copy = [] if copy is None else [folder / below for folder in (copy, copy / "AUDIOCAPS")]
    path = next((path for path in in_copy if path.is_file()), None)
    if path is None:
        path = fetch_file(session, audiocaps_captions(options.version, subset), place / below).path
    clips = read_audiocaps(path, on_remark=session.say)
    if remark := remark_on_table(path, options.version, subset, clips):
        session.say(remark)
    return clips


@dataclass(frozen=True)
class _ChosenPool:
    """A part of the test set that a figure is given on."""

    name: str
    source: str
    ids: frozenset[str]

    @property
    def record(self) -> dict[str, Any]:
        return {"name": self.name, "source": self.source, "clips": len(self.ids)}

    def sentence(self, clips: Sequence[AudioCapsClip], dataset: Dataset) -> str:
        cover = cover_pool(self.ids, clips, {clip.id for clip in dataset.clips if clip.split == "test"})
        unknown = f"; {len(cover.unknown):,} are in no table of test" if cover.unknown else ""
        return f"pool {self.name}: {len(cover.present):,} of {len(self.ids):,} clips are on disk{unknown}"


def _take_pool(session: Session, folder: Path, named: str, clips: dict[str, list[AudioCapsClip]]) -> _ChosenPool:
    """Leave only the pool's clips in the test set."""
    if named not in POOLS and Path(named).is_file():
        chosen = _ChosenPool(Path(named).stem, f"the list {named}", read_pool(Path(named)))
    else:
        pool = published_pool(named)
        if pool.url is None or pool.file_name is None:
            raise MissingPrerequisiteError(f"--pool {named} ({pool.source}): {pool.without_list}")
        file = PublishedFile(pool.file_name, pool.url, pool.md5)
        path = fetch_file(session, file, folder / "pools" / pool.file_name).path
        chosen = _ChosenPool(pool.name, pool.source, read_pool(path, pool))
    whole = len(clips["test"])
    clips["test"] = [clip for clip in clips["test"] if clip.youtube_id in chosen.ids]
    session.say(f"test: the {len(clips['test']):,} clips of pool {chosen.name} of {whole:,} ({chosen.source})")
    if not clips["test"]:
        raise UsageError(f"--pool {named}: none of its {len(chosen.ids):,} clips is in the test set")
    return chosen


def _files_in(session: Session, folder: Path | None, clips: Sequence[AudioCapsClip]) -> dict[str, Path]:
    """Files of clips that somebody has already; everything that was not used is said."""
    if folder is None:
        return {}
    there = index_folder(folder)
    matches = match_clips(there, clips)
    session.say(f"{folder}: {len(matches.paths):,} of {len(clips):,} clips found")
    for count, what, first in (
        (len(matches.others), "further files of the same clips were not used", matches.others[:1]),
        (len(matches.unreadable), "files must be converted to WAV or FLAC first", matches.unreadable[:1]),
        (matches.unmatched, "files belong to no clip of these subsets", ()),
        (there.hidden, "hidden files were passed over", ()),
        (len(there.unlistable), "folders cannot be read", there.unlistable[:1]),
    ):
        if count:
            session.say(f"{folder}: {count:,} {what}" + "".join(f", {str(name)!r} the first" for name in first))
    for path, why in list(matches.contradicting.items())[:1]:
        session.say(f"{folder}: {len(matches.contradicting):,} files are of another stretch, {path}: {why}, the first")
    return matches.paths


@dataclass(frozen=True)
class _Places:
    """Where the audio of a clip lies.

    Args:
        folder: of the dataset.
        root: aac-datasets' folder in it.
        audio: what becomes of recordings.
        found: files that somebody has already, by clip id.
    """

    folder: Path
    root: Path
    audio: AudioOptions
    found: dict[str, Path]

    @cached_property
    def _copied(self) -> Journal:
        return Journal.open(self.folder / JOURNAL_NAME)

    def originals(self, subset: str) -> Path:
        """Where clips are fetched to, at the rate that YouTube has."""
        return self.root / "audio_original" / subset

    @property
    def answers(self) -> Path:
        """What YouTube said of each clip."""
        return self.root / "fetched.jsonl"

    def is_there(self, subset: str, clip: AudioCapsClip) -> bool:
        """Whether nothing needs to be fetched."""
        copy = self._copy(subset, clip)
        return self._original(subset, clip).is_file() or (copy is not None and copy.is_file())

    def recording(self, subset: str, clip: AudioCapsClip, lost: Outcome | None) -> Recording:
        """The clip as the dataset wants it."""
        original, copy = self._original(subset, clip), self._copy(subset, clip)
        if copy is not None and copy.is_file() and not original.is_file() and not self._is_ours(clip, copy):
            original, copy = copy, None  # aac-datasets wrote it: there is no other original
        reason = lost.reason if lost is not None else None
        return Recording(
            clip_id=clip.id,
            split=subset,
            source=f"https://www.youtube.com/watch?v={clip.youtube_id}" if clip.fault is None else clip.youtube_id,
            original=original,
            copy=copy,
            captions=tuple(Caption(caption_id, text) for caption_id, text in clip.captions),
            metadata={"youtube_id": clip.youtube_id, "start_s": clip.start_s} if clip.fault is None else None,
            lost=None if lost is None else (reason.text if reason is not None else "not on disk"),
            lost_for_good=reason is not None and reason.permanent,
            longest_s=LONGEST_CLIP_S,
        )

    def _original(self, subset: str, clip: AudioCapsClip) -> Path:
        own = clip_path(self.originals(subset), clip) if clip.fault is None else self.originals(subset)
        return own if own.is_file() else self.found.get(clip.id, own)

    def _copy(self, subset: str, clip: AudioCapsClip) -> Path | None:
        copies = copies_folder(self.root, self.audio)
        return None if copies is None or clip.fault is not None else clip_path(copies / subset, clip)

    def _is_ours(self, clip: AudioCapsClip, copy: Path) -> bool:
        entry = self._copied.entries.get((clip.id, self.audio.sample_rate_hz or 0))
        return entry is not None and entry.has_copy_at(copy.absolute())


def _fetch_rest(
    session: Session, places: _Places, clips: dict[str, list[AudioCapsClip]], options: AudioCapsOptions
) -> dict[str, Outcome]:
    """Ask YouTube for what is not there; returns what could not be had."""
    absent = [
        (clip, places.originals(subset))
        for subset in clips
        for clip in clips[subset]
        if clip.fault is not None or not places.is_there(subset, clip)
    ]
    total = sum(map(len, clips.values()))
    if options.source is not None or not options.fetch or not absent:
        return _what_is_known(places, [clip for clip, _ in absent])
    require_free_space(places.folder, len(absent) * BYTES_PER_CLIP, f"fetching {len(absent):,} clips")
    with session.open_progress("fetching AudioCaps", total, "clips", total - len(absent)) as advance:
        outcomes = fetch_clips(
            absent,
            journal=places.answers,
            streams=options.streams,
            on_clip=lambda clip_id, outcome: advance(1),
            on_remark=session.say,
            cookies=options.cookies,
            retry_missing=options.retry_missing,
        )
    return {clip_id: outcome for clip_id, outcome in outcomes.items() if outcome.state == "missing"}


def _what_is_known(places: _Places, clips: Sequence[AudioCapsClip]) -> dict[str, Outcome]:
    """Without asking: what an earlier call learned of clips that are not there."""
    if not places.answers.is_file():
        return {clip.id: Outcome("missing") for clip in clips}
    with FetchJournal(places.answers) as journal:
        reasons = {clip_id: entry.reason for clip_id, entry in journal.entries.items()}
    return {clip.id: Outcome("missing", reason=reasons.get(clip.id)) for clip in clips}
