"""What the first line of a table says: how columns are separated, and which ones hold what."""

import csv
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from atrkit.exchange.truth import CAPTION_ID_COLUMNS, CAPTION_TEXT_COLUMNS, CLIP_COLUMNS, DELIMITERS

SCORE_COLUMNS = ("score", "similarity", "sim", "cosine")
_LOWER_IS_BETTER = ("distance", "dist", "loss", "distances")
_NUMBERED = re.compile(r"(?:file_?name|file|fname|fid|clip|audio|result)_?(\d+)")


@dataclass(frozen=True)
class PairColumns:
    """A table with a row for each pair.

    Args:
        delimiter: between the columns.
        caption: column of ids, or else of texts.
        clip: column of clips.
        score: column of scores.
    """

    delimiter: str
    caption: int
    clip: int
    score: int


@dataclass(frozen=True)
class SubmissionColumns:
    """A table with a row for each caption.

    Args:
        delimiter: between the columns.
        caption: column of ids, or else of texts.
        places: columns of the listed clips, the best first.
    """

    delimiter: str
    caption: int
    places: tuple[int, ...]


def columns_of(line: str) -> PairColumns | SubmissionColumns | None:
    """Recognise a header; None where it is none that is known.

    Example:
        >>> columns_of("file_name;query;score")
        PairColumns(delimiter=';', caption=1, clip=0, score=2)
        >>> columns_of("caption,fname_2,fname_1")
        SubmissionColumns(delimiter=',', caption=0, places=(2, 1))
    """
    for delimiter in DELIMITERS:
        try:
            names = [cell.strip().lower() for cell in next(csv.reader([line], delimiter=delimiter), [])]
        except csv.Error:
            continue
        caption = _first_of((*CAPTION_ID_COLUMNS, *CAPTION_TEXT_COLUMNS), names)
        if caption is None:
            continue
        numbered = {int(found[1]): at for at, name in enumerate(names) if (found := _NUMBERED.fullmatch(name))}
        if numbered:
            return SubmissionColumns(delimiter, caption, tuple(numbered[place] for place in sorted(numbered)))
        clip, score = _first_of(CLIP_COLUMNS, names), _first_of(SCORE_COLUMNS, names)
        if clip is not None and score is not None:
            return PairColumns(delimiter, caption, clip, score)
    return None


def missing_column(line: str) -> str | None:
    """What a header lacks that would be one of pairs but for a column; None where it is none at all.

    Example:
        >>> missing_column("clip,caption,distance")
        "there is no column of scores (score, similarity, sim, cosine); 'distance' is lower where a pair fits better: \
write its negative as score"
    """
    for delimiter in DELIMITERS:
        try:
            names = [cell.strip().lower() for cell in next(csv.reader([line], delimiter=delimiter), [])]
        except csv.Error:
            continue
        wanted = {
            "captions": (*CAPTION_ID_COLUMNS, *CAPTION_TEXT_COLUMNS),
            "clips": CLIP_COLUMNS,
            "scores": (*SCORE_COLUMNS, *_LOWER_IS_BETTER),
        }
        absent = [kind for kind, columns in wanted.items() if _first_of(columns, names) is None]
        distance = next((name for name in names if name in _LOWER_IS_BETTER), None)
        if not absent and distance is not None:
            return (
                f"there is no column of scores ({', '.join(SCORE_COLUMNS)}); {distance!r} is lower where a pair fits "
                "better: write its negative as score"
            )
        if len(absent) == 1:
            return f"there is no column of {absent[0]} ({', '.join(wanted[absent[0]])}): rename one"
    return None


def columns_not_read(header: Sequence[str], used: Collection[int]) -> list[str]:
    """A note that names the columns that nobody reads; empty where there is none.

    Example:
        >>> columns_not_read(["", "clip", "caption", "score", "fold"], {1, 2, 3})
        ['columns not read: fold, and 1 without a name']
    """
    rest = [column.strip() for at, column in enumerate(header) if at not in used]
    named, unnamed = [column for column in rest if column], rest.count("")
    said = ", ".join([*named, *([f"{'and ' if named else ''}{unnamed} without a name"] if unnamed else [])])
    return [f"columns not read: {said}"] if said else []


def _first_of(wanted: Sequence[str], names: Sequence[str]) -> int | None:
    return next((names.index(name) for name in wanted if name in names), None)
