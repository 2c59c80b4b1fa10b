"""What the first line of a table says: how columns are separated, and which ones hold what."""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass

from atrkit.exchange.truth import CAPTION_ID_COLUMNS, CAPTION_TEXT_COLUMNS, CLIP_COLUMNS, DELIMITERS

SCORE_COLUMNS = ("score", "similarity", "sim", "cosine")
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


def _first_of(wanted: Sequence[str], names: Sequence[str]) -> int | None:
    return next((names.index(name) for name in wanted if name in names), None)
