"""What became of an index, in a few lines."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from atrkit.reports.counting import counted

# in the order in which people ask
_CHANGES = ("new", "changed", "renamed", "copied", "touched", "unchanged", "gone", "unreachable", "skipped")
_IN_WORDS = {"touched": "touched (same bytes)"}


class ProblemFacts(Protocol):
    """What is said of a problem."""

    @property
    def item(self) -> str:
        """The file."""

    @property
    def action(self) -> str:
        """What was done about it."""

    @property
    def reason(self) -> str:
        """Why."""


def index_record(
    path: str, about: Mapping[str, Any], changes: Mapping[str, int], encoded: int, problems: Sequence[ProblemFacts]
) -> dict[str, Any]:
    """What `atrkit index --json` prints.

    Args:
        path: folder of the index.
        about: what index.json says.
        changes: how many files became what.
        encoded: how many contents were encoded by this call.
        problems: what was skipped, repaired or padded.
    """
    counts = about["counts"]
    model = {key: value for key, value in about["model"].items() if key != "identity"}
    return {
        "index": about["name"],
        "path": path,
        "source": about["source"],
        "model": model,
        "files": counts["files"],
        "windows": counts["windows"],
        "duration_s": counts["duration_s"],
        "dim": about["dim"],
        "segments": len(about["segments"]),
        **changes,
        "skipped": counts["skipped"],
        "encoded": encoded,
        "problems": [{"item": each.item, "action": each.action, "reason": each.reason} for each in problems],
    }


def index_sentence(record: Mapping[str, Any]) -> str:
    """The same for people.

    >>> record = {"index": "sounds", "path": "index/sounds", "files": 1200, "windows": 4100, "duration_s": 7260.0}
    >>> print(index_sentence({**record, "new": 3, "unchanged": 1197, "gone": 1, "skipped": 0}))
    index sounds: 1,200 files, 2 h 1 min in 4,100 windows (index/sounds)
    3 new, 1,197 unchanged, 1 gone
    """
    facts = f"{counted(record['files'], 'file')}, {_in_words(record['duration_s'])}"
    became = [f"{record[name]:,} {_IN_WORDS.get(name, name)}" for name in _CHANGES if record.get(name)]
    windows = counted(record["windows"], "window")
    return f"index {record['index']}: {facts} in {windows} ({record['path']})\n{', '.join(became)}"


def _in_words(duration_s: float) -> str:
    """How long it would take to hear everything.

    >>> _in_words(7260.0), _in_words(75.0), _in_words(9.0)
    ('2 h 1 min', '1 min 15 s', '9 s')
    """
    minutes, seconds = divmod(round(duration_s), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours:,} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
