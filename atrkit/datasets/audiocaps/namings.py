"""AudioCaps audio that somebody already has: which file is which clip.

Audio of AudioCaps travels under many names. Those that public download scripts write are read:

    Y{id}.wav                                      PANNs, WavCaps, audio-text_retrieval
    {id}.wav  {id}_{start}.flac                    aac-datasets and most others
    {id}_{start}000  {id}_{start}000_{end}000      audio-retrieval-benchmark, AudioSet downloaders (milliseconds)
    {id}_{start}.000_{end}.000  Y{id}_...          AudioSet strong labels, DESED
    {id}_0000{start}                               VGGSound (six digits)
    {audiocap_id}.wav                              audiocaps-download

with any suffix that libsndfile reads, in any folder below. An id may itself hold `_` and `-` and begin with Y; its
length of 11 makes every such name readable in one way only.
"""

import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from atrkit.audio.read import AUDIO_SUFFIXES
from atrkit.datasets.audiocaps.tables import CLIP_DURATION_S, AudioCapsClip

# what yt-dlp leaves when nothing converted it; libsndfile does not read it
UNREADABLE_SUFFIXES = frozenset({".m4a", ".mp4", ".webm", ".mka", ".mkv", ".aac", ".wma", ".weba"})
_NAMING = re.compile(r"(?P<id>[A-Za-z0-9_-]{11})(?:_(?P<start>\d+(?:\.\d+)?)(?:[_-](?P<end>\d+(?:\.\d+)?))?)?")
_CAPTION_NAMING = re.compile(r"\d{1,9}")
_PLAIN_SUFFIXES = (".wav", ".flac")
_ORIGINAL = 1 << 30  # a rate above all others
_RATE = re.compile(r"(\d+)hz", re.IGNORECASE)
_MILLISECONDS = 1000
_SHORTEST_CLIP_S = 1


@dataclass(frozen=True)
class SoundFolder:
    """Everything below a folder that may be a clip.

    Args:
        root: the folder.
        sounds: paths relative to it with `/`, of files with a suffix that libsndfile reads; sorted.
        unreadable: the same of files that would have to be converted first.
        hidden: sound files that were passed over because their name begins with a dot (macOS writes such beside
            each real one).
        unlistable: folders that may not be read.
    """

    root: Path
    sounds: tuple[str, ...]
    unreadable: tuple[str, ...] = ()
    hidden: int = 0
    unlistable: tuple[str, ...] = ()


@dataclass(frozen=True)
class Matches:
    """Which file is which clip, and what was not used.

    Args:
        paths: the file of each clip that has one, by clip id, in the order of the clips.
        others: further files of clips that have one.
        contradicting: files of a clip's video whose name says another stretch of it, or none where the table has
            several; with the reason.
        unmatched: how many files belong to no clip.
        unreadable: files of clips without any other file that would have to be converted first.
    """

    paths: dict[str, Path]
    others: tuple[Path, ...]
    contradicting: dict[Path, str]
    unmatched: int
    unreadable: tuple[Path, ...]


def index_folder(folder: Path) -> SoundFolder:
    """List the sound files below a folder; links to folders are followed once.

    Args:
        folder: may itself be a link.
    """
    sounds: list[str] = []
    unreadable: list[str] = []
    unlistable: list[str] = []
    hidden = 0
    for name in _walk(folder, unlistable):
        suffix = f".{name.rpartition('.')[2].lower()}"
        if suffix not in AUDIO_SUFFIXES and suffix not in UNREADABLE_SUFFIXES:
            continue
        if name.startswith(".") or "/." in name:
            hidden += 1
        elif suffix in AUDIO_SUFFIXES:
            sounds.append(name)
        else:
            unreadable.append(name)
    return SoundFolder(folder, tuple(sorted(sounds)), tuple(sorted(unreadable)), hidden, tuple(sorted(unlistable)))


def _walk(root: Path, unlistable: list[str]) -> Iterator[str]:
    """Names of all files below, relative to the root; each folder is visited once, by whatever way."""
    waiting = [""]
    seen: set[tuple[int, int]] = set()
    while waiting:
        relative = waiting.pop()
        try:
            status = (root / relative).stat()
            entries = sorted(os.scandir(root / relative), key=lambda entry: entry.name)
        except OSError:
            unlistable.append(relative or ".")
            continue
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        for entry in entries:
            name = f"{relative}/{entry.name}" if relative else entry.name
            if _is(entry.is_dir):
                waiting.append(name)
            elif _is(entry.is_file):
                yield name


def _is(question: Callable[[], bool]) -> bool:
    try:
        return question()
    except OSError:
        return False


@dataclass(frozen=True)
class NamedStretch:
    """What a file name says: a video, and perhaps which stretch of it.

    Args:
        youtube_id: of the video.
        start: as written, in seconds or milliseconds; None where the name does not say.
        end: likewise.
    """

    youtube_id: str
    start: str | None
    end: str | None

    def contradiction(self, clip: AudioCapsClip) -> str | None:
        """Why this is not the stretch of a clip, or None."""
        if self.start is None:
            return None
        for unit in (1, _MILLISECONDS):
            start_s = float(self.start) / unit
            end_s = start_s + CLIP_DURATION_S if self.end is None else float(self.end) / unit
            if start_s == clip.start_s and _SHORTEST_CLIP_S <= end_s - start_s <= CLIP_DURATION_S:
                return None
        until = f" to {self.end}" if self.end else ""
        return f"the name says {self.start}{until}, the clip begins at {clip.start_s} s"


def named_stretch(stem: str) -> NamedStretch | None:
    """Read a file name without its suffix; an id and its `Y` are 12 characters, so there is one way to read it.

    >>> named_stretch("Y7fmOlUlwoNg_20.000_30.000")
    NamedStretch(youtube_id='7fmOlUlwoNg', start='20.000', end='30.000')
    >>> named_stretch("Y_-Abcd_12x"), named_stretch("thunder")
    (NamedStretch(youtube_id='Y_-Abcd_12x', start=None, end=None), None)
    """
    candidates = (stem, stem[1:]) if stem.startswith("Y") else (stem,)
    match = next(filter(None, map(_NAMING.fullmatch, candidates)), None)
    return NamedStretch(match["id"], match["start"], match["end"]) if match else None


def match_clips(folder: SoundFolder, clips: Iterable[AudioCapsClip]) -> Matches:
    """Find the file of each clip.

    Of several files of one clip, the first is taken of those that name its start, are not in a folder named after a
    sample rate (a resampled copy; else the highest), are WAV or FLAC, and come first by path.

    Args:
        folder: what there is.
        clips: of one table or several; those with a `fault` match nothing.
    """
    by_video: dict[str, list[AudioCapsClip]] = defaultdict(list)
    by_caption: dict[str, AudioCapsClip] = {}
    ordered = [clip for clip in clips if clip.fault is None]
    for clip in ordered:
        by_video[clip.youtube_id].append(clip)
        by_caption.update((caption_id, clip) for caption_id, _ in clip.captions)
    sounds = _Sorting(folder.root, by_video, by_caption)
    for name in folder.sounds:
        sounds.add(name)
    unreadable = _Sorting(folder.root, by_video, by_caption)
    for name in folder.unreadable:
        unreadable.add(name)
    chosen = {clip.id: sorted(sounds.files[clip.id], key=_rank) for clip in ordered if clip.id in sounds.files}
    return Matches(
        paths={clip_id: folder.root / files[0].path for clip_id, files in chosen.items()},
        others=tuple(folder.root / file.path for files in chosen.values() for file in files[1:]),
        contradicting=sounds.contradicting,
        unmatched=sounds.unmatched,
        unreadable=tuple(
            folder.root / file.path
            for clip_id, files in unreadable.files.items()
            if clip_id not in chosen
            for file in files
        ),
    )


@dataclass(frozen=True)
class _File:
    path: str
    names_start: bool


def _rank(file: _File) -> tuple[bool, int, bool, str]:
    folder, _, name = file.path.rpartition("/")
    rates_hz = [int(rate) for rate in _RATE.findall(folder)]
    rate_hz = max(rates_hz) if rates_hz else _ORIGINAL
    return not file.names_start, -rate_hz, not name.lower().endswith(_PLAIN_SUFFIXES), file.path


class _Sorting:
    """Files sorted by the clip that they are."""

    def __init__(
        self, root: Path, by_video: dict[str, list[AudioCapsClip]], by_caption: dict[str, AudioCapsClip]
    ) -> None:
        self._root = root
        self._by_video = by_video
        self._by_caption = by_caption
        self.files: dict[str, list[_File]] = {}
        self.contradicting: dict[Path, str] = {}
        self.unmatched = 0

    def add(self, path: str) -> None:
        stem = path.rpartition("/")[2].rpartition(".")[0]
        if _CAPTION_NAMING.fullmatch(stem) and stem in self._by_caption:
            self._keep(self._by_caption[stem], path, names_start=True)
            return
        name = named_stretch(stem)
        if name is None or name.youtube_id not in self._by_video:
            self.unmatched += 1
            return
        clips = self._by_video[name.youtube_id]
        fitting = [clip for clip in clips if name.contradiction(clip) is None]
        if len(fitting) == 1:
            self._keep(fitting[0], path, names_start=name.start is not None)
        elif fitting:
            self.contradicting[self._root / path] = f"the name fits {len(fitting)} clips: it must say the start"
        else:
            self.contradicting[self._root / path] = name.contradiction(clips[0]) or ""

    def _keep(self, clip: AudioCapsClip, path: str, *, names_start: bool) -> None:
        self.files.setdefault(clip.id, []).append(_File(path, names_start))
