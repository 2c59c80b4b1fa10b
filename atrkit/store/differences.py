"""In words, what differs between what lies on disk and what would be made now."""

from collections.abc import Sequence
from typing import Any

_SAID_FIRST = ("encoder", "settings", "variant", "clip_output", "pool_time_s", "pca", "long_audio", "precision")
_LONGEST_SHOWN = 80  # characters; a sha256 has 64


def first_difference(there: dict[str, Any], asked: dict[str, Any], prefix: str = "") -> str | None:
    """The first setting in which two provenances differ, in words, or None.

    >>> first_difference({"encoder": "x", "settings": {"hop": 320}}, {"encoder": "x", "settings": {"hop": 160}})
    'settings.hop is 320 there and 160 now'
    >>> first_difference({"clips": None}, {"clips": list(range(100))})
    'clips is None there and [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 2... now'
    """
    for key in sorted(set(there) | set(asked), key=_as_users_think):
        old, new = there.get(key), asked.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            inner = first_difference(old, new, f"{prefix}{key}.")
            if inner:
                return inner
        elif old != new:
            return f"{prefix}{key} is {_shown(old)} there and {_shown(new)} now"
    return None


def _shown(value: Any) -> str:
    """A value in a message of one line: of long lists and settings the beginning."""
    text = str(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


def _as_users_think(key: str) -> tuple[int, str]:
    """What can be said to a command comes before what follows from it."""
    return (_SAID_FIRST.index(key) if key in _SAID_FIRST else len(_SAID_FIRST), key)


def describe_difference(there: dict[str, Any], asked: dict[str, Any]) -> str | None:
    """In words, what differs between what was made and what is asked, or None.

    Args:
        there: `{"provenance": ..., "clips": {clip id: audio sha256}}` of what lies on disk.
        asked: the same for what the command would make now.
    """
    difference = first_difference(there["provenance"], asked["provenance"])
    if difference:
        return difference
    return _clip_difference(there["clips"], asked["clips"])


def _clip_difference(there: dict[str, str], asked: dict[str, str]) -> str | None:
    gone, new = sorted(set(there) - set(asked)), sorted(set(asked) - set(there))
    if gone or new:
        named = _name_first(gone, "gone from") + _name_first(new, "new in")
        return f"{' and '.join(named)} the dataset"
    changed = sorted(clip_id for clip_id in asked if there[clip_id] != asked[clip_id])
    if changed:
        return f"the audio of {len(changed)} clips changed, the first {changed[0]!r}"
    return None


def _name_first(clip_ids: Sequence[str], what: str) -> list[str]:
    return [f"{len(clip_ids)} clips ({clip_ids[0]!r} ...) are {what}"] if clip_ids else []
