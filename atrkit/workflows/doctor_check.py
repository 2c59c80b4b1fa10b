"""One thing that `atrkit doctor` looks at."""

from dataclasses import dataclass, field
from typing import Literal

State = Literal["ok", "missing", "wrong"]
GroupName = Literal["machine", "data", "runs", "encoders", "programs", "metrics"]


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Args:
        name: short and stable.
        state: "ok"; "missing": it is not there, and something optional does not work; "wrong": it must be mended.
        detail: what was found.
        fix: the command or place that mends it; None: nothing to mend.
        brief: the detail for a narrow screen; None: the same.
        run: the fix without what else would do; None: the same.
        needs: names of the checks that are in its way, whose fixes are its own.
        group: what it belongs to.
    """

    name: str
    state: State
    detail: str
    fix: str | None = None
    brief: str | None = None
    run: str | None = None
    needs: list[str] = field(default_factory=list)
    group: GroupName = "machine"


def gigabytes(count_bytes: int) -> str:
    """A size for people.

    Example:
        >>> gigabytes(36_500_000_000)
        '36.5 GB'
    """
    return f"{count_bytes / 1e9:,.1f} GB"
