"""Names that are nearly those of the ground truth: the closest one, and the simple change that would match them all."""

import difflib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import PurePosixPath

from atrkit.datasets.csv_records import shown

_SUFFIX = re.compile(r"\.(?=\w*[A-Za-z])\w{2,5}$")
_BLANKS = re.compile(r"[\s_]+")
_MOST_COMPARED = 20_000
_LEAST_ALIKE = 0.5


def _without_suffix(name: str) -> str:
    return _SUFFIX.sub("", name)


def _one_blank(name: str) -> str:
    return _BLANKS.sub(" ", name)


def _all_at_once(name: str) -> str:
    return _one_blank(_without_suffix(name.strip())).strip().casefold()


# what is changed in a name that is not known, and in those of the truth; a name without a suffix may have a point
_CHANGES: tuple[tuple[str, Callable[[str], str], Callable[[str], str]], ...] = (
    ("the file suffix", str, _without_suffix),
    ("the file suffix", _without_suffix, str),
    ("the file suffix", _without_suffix, _without_suffix),
    ("upper and lower case", str.casefold, str.casefold),
    ("blanks and '_'", _one_blank, _one_blank),
    ("blanks at their ends", str.strip, str.strip),
    ("suffix, case, blanks and '_'", _all_at_once, _all_at_once),
)


def simple_change(names: Sequence[str], there: Iterable[str]) -> str | None:
    """In what alone names differ from those that are meant, if one change matches every one of them with another.

    Folders are not compared.

    Args:
        names: that are not known.
        there: those of the truth that nothing else was found for.

    Example:
        >>> simple_change(["a", "b"], ["b.wav", "a.wav", "c.wav"])
        'the file suffix'
        >>> simple_change(["Rain_1.wav"], ["rain 1.flac"])
        "suffix, case, blanks and '_'"
        >>> simple_change(["A", "a"], ["a.wav"]) is None
        True
    """
    wanted = [PurePosixPath(name).name for name in there]
    asked = [PurePosixPath(name).name for name in names]
    for words, change, change_there in _CHANGES:
        counts = Counter(map(change_there, wanted))
        changed = [change(name) for name in asked]
        if len(set(changed)) == len(changed) and all(counts[name] == 1 for name in changed):
            return words
    return None


def nearly(names: Iterable[str], there: Iterable[str]) -> dict[str, str]:
    """Names that suffix, case, blanks and `_` alone tell from one that is there, with that one.

    Example:
        >>> nearly(["rain.WAV", "sea.wav", "dog.wav"], ["rain.wav", "dog.wav"])
        {'rain.WAV': 'rain.wav'}
    """
    known = dict.fromkeys(there)
    like = {_all_at_once(PurePosixPath(name).name): name for name in known}
    found = {name: like.get(_all_at_once(PurePosixPath(name).name)) for name in names if name not in known}
    return {name: other for name, other in found.items() if other is not None}


def closest(name: str, there: Sequence[str]) -> str | None:
    """The name that is most like one; None where nothing is, or there are too many to compare.

    Example:
        >>> closest("Rain on rof.wav", ["dog.wav", "rain on roof.wav"])
        'rain on roof.wav'
    """
    if len(there) > _MOST_COMPARED:
        return None
    of_folded = {other.casefold(): other for other in there}
    found = difflib.get_close_matches(name.casefold(), of_folded, 1, _LEAST_ALIKE)
    return of_folded[found[0]] if found else None


def how_they_differ(unknown: Sequence[str], there: Sequence[str], free: Sequence[str]) -> str:
    """The end of a message about names that are not known, without the way out.

    Args:
        unknown: names, at least one.
        there: all that could be meant.
        free: those of them that no other name was found for.

    Example:
        >>> how_they_differ(["rain", "dog"], ["rain.wav", "dog.wav"], ["rain.wav", "dog.wav"])
        "the first 'rain' (closest there: 'rain.wav'); all of these differ in the file suffix alone"
    """
    words = f"the first {shown(unknown[0])}"
    if (like := closest(unknown[0], there)) is not None:
        words += f" (closest there: {shown(like)})"
    elif there:
        words += f" (there, for example: {shown(min(there))})"
    change = simple_change(unknown, free)
    return words if change is None else f"{words}; all of these differ in {change} alone"
