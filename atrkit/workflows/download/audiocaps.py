"""`atrkit download audiocaps`: from YouTube or from a folder of files to a dataset that says what is missing."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from atrkit.datasets.aac_tables import ROOT_VARIABLE, audiocaps_captions
from atrkit.datasets.audiocaps.fetch_clips import Outcome, fetch_clips
from atrkit.datasets.audiocaps.namings import Matches, SoundFolder, index_folder, match_clips
from atrkit.datasets.audiocaps.tables import SUBSETS, AudioCapsClip, check_table, read_audiocaps
from atrkit.datasets.manifest import Dataset
from atrkit.errors import UsageError
from atrkit.files import require_free_space
from atrkit.workflows.download.audiocaps_places import AudioCapsPlaces
from atrkit.workflows.download.audiocaps_pool import choose_pool, require_published
from atrkit.workflows.download.finish import finish_dataset
from atrkit.workflows.download.recordings import CopyFolders
from atrkit.workflows.download.steps import (
    AudioOptions,
    Target,
    choose_subsets,
    fetch_file,
    require_readable,
    writing_dataset,
)
from atrkit.workflows.session import Session

LICENCE = "captions: for academic use, with attribution; audio: belongs to those who uploaded it to YouTube"
# ten seconds of stereo at 48 kHz as FLAC, and the copy
BYTES_PER_CLIP = 1_500_000


@dataclass(frozen=True)
class AudioCapsOptions:
    """What the user asked for.

    Args:
        version: "v1" or "v2".
        subsets: of train, val, test; None means all.
        source: a folder of files to use where they lie.
        pool: a published test pool, a file of ids, or "all"; None takes what an earlier call took, else all.
        fetch: ask YouTube for what is not there; None does so unless `source` is given.
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
    fetch: bool | None = None
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
    _check(options)
    with writing_dataset(session, options.name, "AudioCaps", options.version) as target:
        subsets = choose_subsets(options.subsets, SUBSETS, target.subsets)
        place = target.folder / "AUDIOCAPS"
        folders = _folders_on_this_machine(session, options, target)
        clips = {subset: _clips_of(session, place, folders, subset, options) for subset in subsets}
        pool = choose_pool(session, target, options.pool, clips)
        found, used = _files_in(session, folders, [clip for subset in subsets for clip in clips[subset]])
        if found and not options.audio.keep_original:
            raise UsageError(f"--drop-original would delete recordings in {used[0]}, which are yours: leave it out")
        places = AudioCapsPlaces(target.folder, place, CopyFolders(place, options.audio.sample_rate_hz), found)
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
            "copies": [str(folder) for folder in used],
            **({"pool": pool.record} if pool is not None else {}),
        }
        dataset = finish_dataset(session, target, recordings, options.audio, about)
        if pool is not None:
            session.say(pool.sentence(clips["test"], dataset))
    return dataset


def _check(options: AudioCapsOptions) -> None:
    """What can be known to be wrong before anything is done."""
    if options.source is not None and not options.source.is_dir():
        raise UsageError(f"--from {options.source}: there is no such folder")
    if options.cookies is not None:
        require_readable("--cookies", [options.cookies])
    if options.pool is not None:
        require_published(options.pool)


def _folders_on_this_machine(session: Session, options: AudioCapsOptions, target: Target) -> list[Path]:
    """The folder that --from names, those that earlier calls used, and AudioCaps below aac-datasets' root."""
    folders = [] if options.source is None else [options.source.resolve()]
    for folder in target.copies:
        if folder.is_dir():
            folders.append(folder)
        else:
            session.say(f"{folder}, which an earlier call took recordings from, is gone")
    root = os.environ.get(ROOT_VARIABLE)
    if root and (below := Path(root).resolve() / "AUDIOCAPS").is_dir():
        session.say(f"{ROOT_VARIABLE}: files of AudioCaps in {below} are used where they are")
        folders.append(below)
    elif root:
        session.say(f"{ROOT_VARIABLE}: nothing of AudioCaps in {root}")
    return list(dict.fromkeys(folders))


def _clips_of(
    session: Session, place: Path, folders: Sequence[Path], subset: str, options: AudioCapsOptions
) -> list[AudioCapsClip]:
    """The table of one subset, from a folder that has it, else from our own or the network."""
    below = f"csv_files_{options.version}/{subset}.csv"
    in_folders = [top / below for folder in folders for top in (folder, folder / "AUDIOCAPS")]
    path = next((path for path in in_folders if path.is_file()), None)
    if path is None:
        path = fetch_file(session, audiocaps_captions(options.version, subset), place / below).path
    clips = read_audiocaps(path, on_remark=session.say)
    if remark := check_table(path, options.version, subset, clips):
        session.say(remark)
    return clips


def _files_in(
    session: Session, folders: Sequence[Path], clips: Sequence[AudioCapsClip]
) -> tuple[dict[str, Path], list[Path]]:
    """Files of clips that somebody has already, and the folders they are in; a clip is taken from the first."""
    found: dict[str, Path] = {}
    used = []
    for folder in folders:
        wanted = [clip for clip in clips if clip.id not in found]
        there = index_folder(folder)
        matches = match_clips(there, wanted)
        _say_what_was_found(session, there, matches, len(wanted))
        found |= matches.paths
        used += [folder] if matches.paths else []
    return found, used


def _say_what_was_found(session: Session, there: SoundFolder, matches: Matches, wanted: int) -> None:
    """Everything that was not used, counted."""
    session.say(f"{there.root}: {len(matches.paths):,} of {wanted:,} clips found")
    for count, what, first in (
        (len(matches.others), "further files of the same clips were not used", matches.others[:1]),
        (len(matches.unreadable), "files must be converted to WAV or FLAC first", matches.unreadable[:1]),
        (matches.unmatched, "files belong to no clip of these subsets", ()),
        (there.hidden, "hidden files were passed over", ()),
        (len(there.unlistable), "folders cannot be read", there.unlistable[:1]),
    ):
        if count:
            session.say(f"{there.root}: {count:,} {what}" + "".join(f", {str(name)!r} the first" for name in first))
    for path, why in list(matches.contradicting.items())[:1]:
        session.say(f"{there.root}: {len(matches.contradicting):,} files are of another stretch, {path}: {why}")


def _fetch_rest(
    session: Session, places: AudioCapsPlaces, clips: dict[str, list[AudioCapsClip]], options: AudioCapsOptions
) -> dict[str, Outcome]:
    """Ask YouTube for what is not there; returns what could not be had."""
    absent = [
        (clip, places.originals(subset))
        for subset in clips
        for clip in clips[subset]
        if clip.fault is not None or not places.is_there(subset, clip)
    ]
    known = places.known_reasons()
    is_asked = options.fetch if options.fetch is not None else options.source is None
    if not is_asked or not absent:
        return {clip.id: Outcome("missing", reason=known.get(clip.id)) for clip, _ in absent}
    open_questions = [
        clip for clip, _ in absent if options.retry_missing or not (known.get(clip.id) and known[clip.id].permanent)
    ]
    require_free_space(places.folder, len(open_questions) * BYTES_PER_CLIP, f"fetching {len(open_questions):,} clips")
    total = sum(map(len, clips.values()))
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
