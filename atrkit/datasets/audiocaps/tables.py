"""AudioCaps' tables: one row per caption, one clip per stretch of a YouTube video.

Ids and start times become process arguments and file names further on, so nothing is taken on trust: a clip says of
itself whether it can be fetched at all, and those that cannot are listed as missing, not passed on.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from atrkit.datasets.csv_records import Record, Records, read_records, shown
from atrkit.errors import IntegrityError, UsageError

COLUMNS = ("audiocap_id", "youtube_id", "start_time", "caption")
SUBSETS = ("train", "val", "test")
CLIP_DURATION_S = 10
_YOUTUBE_ID = re.compile(r"[A-Za-z0-9_-]{11}")
_DELETE_IT = "delete it and run the same command again to fetch it"
_START = re.compile(r"0|[1-9][0-9]{0,5}")


def is_youtube_id(text: str) -> bool:
    """Whether text has the form of a YouTube id: 11 letters, digits, `_` or `-`.

    >>> is_youtube_id("7fmOlUlwoNg"), is_youtube_id("--exec=rm x"), is_youtube_id("../../../..")
    (True, False, False)
    """
    return _YOUTUBE_ID.fullmatch(text) is not None


@dataclass(frozen=True)
class AudioCapsClip:
    """Ten seconds of a video and what people wrote about them.

    Args:
        youtube_id: as written in the table; see `fault`.
        start: where the clip begins in the video, in whole seconds, as written in the table.
        captions: (audiocap_id, text), in the order of the table.
    """

    youtube_id: str
    start: str
    captions: tuple[tuple[str, str], ...]

    @property
    def id(self) -> str:
        """The clip's id in the manifest, and the stem of its file where there is no `fault`."""
        return f"{self.youtube_id}_{self.start}"

    @property
    def start_s(self) -> int:
        """Where the clip begins in the video, in seconds; only where there is no `fault`."""
        return int(self.start)

    @property
    def fault(self) -> str | None:
        """Why the clip can neither be fetched nor be a file name, or None.

        >>> AudioCapsClip("--exec=rm x", "30", ()).fault
        'not a YouTube id'
        >>> AudioCapsClip("7fmOlUlwoNg", "20", ()).fault is None
        True
        """
        if not is_youtube_id(self.youtube_id):
            return "not a YouTube id"
        if not _START.fullmatch(self.start):
            return "the start is no whole number of seconds"
        return None


@dataclass(frozen=True)
class KnownTable:
    """A published table as it was when atrkit was written; its publisher states no checksum.

    Args:
        md5: of the bytes; None where the file could not be had.
        rows: captions.
        clips: clips; None where the file could not be had.
    """

    md5: str | None
    rows: int
    clips: int | None


# cdjkim/audiocaps: dataset/ is v1, dataset2.0/ is v2; the train rows of v2 are those of its README
KNOWN_TABLES = {
    ("v1", "train"): KnownTable("be909c34c4aa154f53acab960a1e998b", 49_838, 49_838),
    ("v1", "val"): KnownTable("29adf3a58afc406fa3a9bd785e20db51", 2_475, 495),
    ("v1", "test"): KnownTable("9775aec3f52037d12cacda132dd5316d", 4_875, 975),
    ("v2", "train"): KnownTable(None, 91_256, None),
    ("v2", "val"): KnownTable("b319beea34769896c80399b14befdf8a", 2_475, 495),
    ("v2", "test"): KnownTable("11f06bd97a512e62d7907d724c76e7c3", 4_875, 975),
}


def read_audiocaps(path: Path, *, on_remark: Callable[[str], None] = lambda remark: None) -> list[AudioCapsClip]:
    """Read a table of captions; rows of one clip are gathered where its first row stands.

    Args:
        path: CSV with the columns audiocap_id, youtube_id, start_time and caption, in any order.
        on_remark: told, in one line, of everything that was left out or is odd.

    Returns:
        Clips in the order of the file; ids and starts as written, see `AudioCapsClip.fault`.

    Raises:
        UsageError: the file is no such table; the message has file, line, column and the fix.
    """
    records = read_records(path)
    columns = _columns(path, records)
    captions: dict[tuple[str, str], list[tuple[str, str]]] = {}
    line_of_caption: dict[str, int] = {}
    empty = 0
    for row in records.rows:
        caption_id, youtube_id, start, text = (row.fields[column] for column in columns)
        first_line = line_of_caption.setdefault(caption_id, row.line)
        if first_line != row.line:
            raise UsageError(
                f"{path}:{row.line}: audiocap_id {shown(caption_id)} is on line {first_line} already: "
                "it must be unique; fetch the table again"
            )
        of_clip = captions.setdefault((youtube_id, start), [])
        if text.strip():
            of_clip.append((caption_id, text))
        else:
            empty += 1
    clips = [AudioCapsClip(youtube_id, start, tuple(of_clip)) for (youtube_id, start), of_clip in captions.items()]
    for remark in (*records.notes, *_remarks(clips, empty)):
        on_remark(f"{path}: {remark}")
    return clips


def _columns(path: Path, records: Records) -> list[int]:
    header: Record = records.header
    missing = [column for column in COLUMNS if column not in header.fields]
    if missing:
        raise UsageError(
            f"{path}:{header.line}: no column {missing[0]}: a table of AudioCaps has the columns {', '.join(COLUMNS)}"
        )
    return [header.fields.index(column) for column in COLUMNS]


def _remarks(clips: Sequence[AudioCapsClip], empty: int) -> list[str]:
    faulty = [clip for clip in clips if clip.fault is not None]
    remarks = []
    if empty:
        remarks.append(f"empty captions left out: {empty:,}")
    if faulty:
        remarks.append(
            f"clips that cannot be fetched: {len(faulty):,}, the first {shown(faulty[0].id)} ({faulty[0].fault})"
        )
    return remarks


def check_table(path: Path, version: str, subset: str, clips: Sequence[AudioCapsClip]) -> str | None:
    """Refuse a table that is cut or is another one, and remark on one that was edited.

    Figures on a part of the test set look like figures on all of it, so the counts must be the published ones. Other
    bytes with the right counts are a remark only: the publisher may mend a caption any day, and states no checksum.
    For the same reason the train table of v2, of which only the rows are known, is never refused for its counts.

    Args:
        path: of the table.
        version: "v1" or "v2".
        subset: "train", "val" or "test".
        clips: what was read from it.

    Returns:
        The remark; None when the table is as atrkit knows it.

    Raises:
        IntegrityError: it has other rows or clips than published, or is the table of another subset or version.
    """
    with path.open("rb") as file:
        md5 = hashlib.file_digest(file, "md5").hexdigest()
    known = KNOWN_TABLES[version, subset]
    if md5 == known.md5:
        return None
    wanted = f"the table {subset} of AudioCaps {version}"
    for (other_version, other_subset), other in KNOWN_TABLES.items():
        if md5 == other.md5:
            raise IntegrityError(
                f"{path} is the table {other_subset} of AudioCaps {other_version}, and {wanted} should be there: "
                f"{_DELETE_IT}"
            )
    rows = sum(len(clip.captions) for clip in clips)
    if known.clips is None:
        if rows == known.rows:
            return None
        return f"{path} has {rows:,} captions, and {wanted} had {known.rows:,} when it was published"
    if (rows, len(clips)) != (known.rows, known.clips):
        raise IntegrityError(
            f"{path} has {rows:,} captions of {len(clips):,} clips, and {wanted} has {known.rows:,} of "
            f"{known.clips:,}: it was cut or edited; {_DELETE_IT}"
        )
    if known.md5 is None:
        return None
    return (
        f"{path} has the {rows:,} captions of {len(clips):,} clips that {wanted} has, but other bytes (md5 {md5}, not "
        f"{known.md5}): it was edited, or its publisher changed it"
    )
