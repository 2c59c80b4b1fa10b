"""What a user can say to `atrkit fuse`."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from atrkit.errors import UsageError

FIT_ON_VAL = "fit-on-val"


@dataclass(frozen=True)
class FuseOptions:
    """What the user asked for.

    Args:
        runs: folders or names, two or more.
        dataset: None: that of the runs.
        split: None: the test split of the runs.
        weights: one per run, with sum 1; None: equal.
        fit_on_val: choose the weights on the validation split.
        val: that split; None: the one that the runs were chosen by, or what is called like one.
        intersect: leave out clips that not all runs have scored.
        name: of the fusion; None: made of the runs' names.
        overwrite: replace a fusion of other runs or weights under the same name.
        may_extract: make missing embeddings.
    """

    runs: Sequence[str]
    dataset: str | None = None
    split: str | None = None
    weights: tuple[float, ...] | None = None
    fit_on_val: bool = False
    val: str | None = None
    intersect: bool = False
    name: str | None = None
    overwrite: bool = False
    may_extract: bool = True

    def __post_init__(self) -> None:
        """Refuse what makes no fusion."""
        if len(self.runs) < 2:
            raise UsageError("a fusion is of two runs or more: atrkit fuse RUN_A RUN_B")
        if self.weights is not None and len(self.weights) != len(self.runs):
            raise UsageError(f"--weights has {len(self.weights)} numbers, and there are {len(self.runs)} runs")
        if self.val is not None and not self.fit_on_val:
            raise UsageError(f"--val is read with --weights {FIT_ON_VAL} alone: leave it out, or add that")
        if self.name is not None and not re.fullmatch(r"[\w+-][\w.+-]*", self.name):
            raise UsageError(f"--name {self.name!r}: a fusion's name has letters, digits, - _ + and ., no dot first")


def parse_weights(text: str | None) -> tuple[tuple[float, ...] | None, bool]:
    """Weights scaled to the sum 1, or None for equal ones; and whether they are to be chosen on validation clips.

    Raises:
        UsageError: something else than numbers that are not negative, or all of them 0.

    Example:
        >>> parse_weights("7,3"), parse_weights("fit-on-val"), parse_weights(None)
        (((0.7, 0.3), False), (None, True), (None, False))
    """
    if text is None or text == FIT_ON_VAL:
        return None, text is not None
    try:
        weights = [float(word) for word in text.split(",")]
    except ValueError:
        weights = [math.nan]
    total = math.fsum(weights)
    if not all(weight >= 0 for weight in weights) or not 0 < total < math.inf:
        raise UsageError(f"--weights {text!r}: write numbers from 0 with commas between them, 0.7,0.3, or {FIT_ON_VAL}")
    return tuple(weight / total for weight in weights), False
