"""What is asked in an address, checked."""

import math
from collections.abc import Mapping

from atrkit.errors import UsageError
from atrkit.serve.interface import Wanted

LONGEST_TEXT = 500
MOST_RESULTS = 100
DEFAULT_K = 10


def wanted_of(asked: Mapping[str, str], *, has_sound: bool = False) -> Wanted:
    """The search that an address asks for: `q`, `not`, `like` (id@second) and `k`.

    Args:
        asked: names and values.
        has_sound: a sound comes along, so that nothing else is needed.

    Raises:
        UsageError: a text is too long, a number is none, or nothing is asked for.

    Example:
        >>> wanted_of({"q": " rain ", "k": "5"})
        Wanted(text='rain', unwanted='', like=None, sound=None, k=5)
        >>> wanted_of({"like": "5f1dd9e4581e1dd3@10.0"}).like
        ('5f1dd9e4581e1dd3', 10.0)
    """
    text, unwanted = (_text(asked.get(name, "")) for name in ("q", "not"))
    like = _like(asked["like"]) if asked.get("like") else None
    if not text and like is None and not has_sound:
        raise UsageError("say what is to be heard")
    return Wanted(text, unwanted, like, None, _count(asked.get("k") or str(DEFAULT_K)))


def window_of(asked: Mapping[str, str], longest_s: float) -> tuple[float, float]:
    """The part of a file that `start` and `end` give, in seconds.

    Raises:
        UsageError: they are no seconds, or too far apart.
    """
    start_s, end_s = (_seconds(asked.get(name, "")) for name in ("start", "end"))
    if not start_s < end_s <= start_s + longest_s:
        raise UsageError(f"start and end: at most {longest_s:.0f} seconds, in order")
    return start_s, end_s


def _text(value: str) -> str:
    if len(value) > LONGEST_TEXT:
        raise UsageError(f"a text of {len(value):,} characters is too long: at most {LONGEST_TEXT} are searched for")
    return " ".join(value.split())


def _count(value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) < 4 and 1 <= int(value) <= MOST_RESULTS):
        raise UsageError(f"k: a number from 1 to {MOST_RESULTS}")
    return int(value)


def _like(value: str) -> tuple[str, float]:
    file_id, at, second = value.partition("@")
    if not at:
        raise UsageError("like: an id and a second, as in the links of the page")
    return file_id, _seconds(second)


def _seconds(value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not 0 <= number < 1e9 or len(value) > 32:
        raise UsageError("a place in a file is given in seconds")
    return number
