"""Names on the command line that mean a file of scores where a run is wanted, or a file that is not there."""

from collections.abc import Callable, Iterable
from pathlib import Path

from atrkit.errors import UsageError
from atrkit.workflows.workspace import Workspace

_SUFFIXES = frozenset({".npz", ".npy", ".h5", ".csv", ".tsv", ".txt", ".run", ".trec"})


def refuse_score_files(workspace: Workspace, named: Iterable[str]) -> None:
    """Refuse names of files where runs are wanted.

    Args:
        workspace: names may lie below it, too.
        named: as on the command line.

    Raises:
        UsageError: says how a score file is named; or that there is no such file.
    """
    for name in named:
        if (found := _places(workspace, name, is_wanted=Path.is_file)) is not None:
            raise UsageError(f"{name} is no run but a file; if it is a score file: --scores {found}")
        refuse_missing_file(workspace, name)


def refuse_missing_file(workspace: Workspace, named: str) -> None:
    """Refuse a name that can only be that of a file of scores, and is of none.

    Raises:
        UsageError: there is nothing of that name.
    """
    if Path(named).suffix.lower() in _SUFFIXES and _places(workspace, named, is_wanted=Path.exists) is None:
        raise UsageError(f"no such file {named}")


def _places(workspace: Workspace, named: str, *, is_wanted: Callable[[Path], bool]) -> Path | None:
    places = (Path(named).expanduser(), workspace.root / named, workspace.root / "runs" / named)
    return next((place for place in places if is_wanted(place)), None)
