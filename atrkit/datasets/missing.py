"""Clips that a dataset should have and does not: `missing.csv` beside the manifest.

Videos vanish and files turn out to be no sound. Figures on what is left are comparable with others' only when it is
on record what is gone, so the file is written even when nothing is missing.
"""

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from atrkit.errors import IntegrityError
from atrkit.files import write_atomic

MISSING_NAME = "missing.csv"
_COLUMNS = ("split", "clip_id", "source", "reason", "permanent")
_FLAGS = {"true": True, "false": False}


@dataclass(frozen=True, order=True)
class MissingClip:
    """A clip that is not there.

    Args:
        split: that it belongs to.
        clip_id: the id that it would have.
        source: where it should come from: a file name, a video.
        reason: why it is not there, a few words, the same for clips that are missing for the same reason.
        permanent: asking again would not help.
    """

    split: str
    clip_id: str
    source: str
    reason: str
    permanent: bool


def save_missing(folder: Path, missing: Iterable[MissingClip]) -> None:
    """Write `missing.csv`, sorted by split and clip; with its header only when nothing is missing.

    Args:
        folder: the dataset's.
        missing: in any order.

    Raises:
        ResourceError: the folder cannot be written (exit code 4).
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for clip in sorted(missing):
        writer.writerow([clip.split, clip.clip_id, clip.source, clip.reason, str(clip.permanent).lower()])
    write_atomic(folder / MISSING_NAME, text.getvalue().encode())


def load_missing(folder: Path) -> tuple[MissingClip, ...] | None:
    """Read `missing.csv`.

    Returns:
        The missing clips; empty when nothing is missing; None when the dataset has no such record (your own
        recordings, synthetic).

    Raises:
        IntegrityError: the file is damaged (exit code 5).
    """
    path = folder / MISSING_NAME
    try:
        rows = list(csv.reader(io.StringIO(path.read_bytes().decode(), newline=""), strict=True))
    except FileNotFoundError:
        return None
    except (ValueError, csv.Error) as error:
        raise _damaged(path, str(error)) from None
    if not rows or tuple(rows[0]) != _COLUMNS:
        raise _damaged(path, f"its first line is not {','.join(_COLUMNS)}")
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(_COLUMNS) or row[-1] not in _FLAGS:
            raise _damaged(path, f"row {number} is not as atrkit writes it")
    return tuple(
        MissingClip(split, clip_id, source, reason, _FLAGS[flag]) for split, clip_id, source, reason, flag in rows[1:]
    )


def reasons_by_split(missing: Sequence[MissingClip]) -> dict[str, dict[str, int]]:
    """How many clips of each split are missing for which reason, the most frequent first.

    >>> gone = [MissingClip("test", clip_id, "", reason, permanent=True)
    ...         for clip_id, reason in [("a_0", "private video"), ("b_0", "removed"), ("c_9", "removed")]]
    >>> reasons_by_split(gone)
    {'test': {'removed': 2, 'private video': 1}}
    """
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for clip in sorted(missing):
        counts[clip.split][clip.reason] += 1
    return {split: dict(reasons.most_common()) for split, reasons in counts.items()}


def _damaged(path: Path, why: str) -> IntegrityError:
    return IntegrityError(f"{path} is damaged ({why}); delete it and run the command that made the dataset again")
