"""What the systems of `atrkit compare` are called, and which of them are the same."""

from collections.abc import Hashable, Sequence
from itertools import combinations
from pathlib import Path

from atrkit.errors import UsageError
from atrkit.workflows.compared_system import Named


def names_of(found: Sequence[tuple[str, Named]], wanted: Sequence[str]) -> list[str]:
    """What tables call the systems.

    Args:
        found: systems with the names that they have.
        wanted: by the user, one for each in their order; none: they keep theirs.

    Raises:
        UsageError: names are more or fewer than systems, one is empty, or one stands twice.
    """
    if not wanted:
        return [name for name, _ in found]
    if len(wanted) != len(found):
        systems = ", ".join(name for name, _ in found)
        raise UsageError(f"{len(wanted)} --name for {len(found)} systems: one for each, in the order {systems}")
    twice = [name for number, name in enumerate(wanted) if name in wanted[:number]]
    if twice:
        raise UsageError(f"--name {twice[0]!r} stands twice: systems need names of their own")
    if not all(name.strip() for name in wanted):
        raise UsageError("--name is empty: leave it out")
    return list(wanted)


def same_systems(found: Sequence[tuple[str, Named]], names: Sequence[str]) -> list[tuple[str, str]]:
    """Names of every two systems that are one run, the same seeds, or one file."""
    systems = [(name, _what_it_is(named)) for name, (_, named) in zip(names, found, strict=True)]
    return [(name, other_name) for (name, one), (other_name, other) in combinations(systems, 2) if one == other]


def _what_it_is(named: Named) -> Hashable:
    return named.resolve() if isinstance(named, Path) else frozenset(run.folder.resolve() for run in named)
