"""Where recipes are: a file of the user's, or one that came with atrkit."""

import difflib
import os.path
from collections.abc import Sequence
from pathlib import Path

from atrkit.errors import UsageError

_SUFFIX = ".yaml"
_LISTED = 8  # recipes named in a message


def shipped_recipe_folder() -> Path:
    """The recipes that come with atrkit: inside an installed wheel, else the checkout's `recipes/`.

    Raises:
        UsageError: neither is there; the installation is not complete.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "recipes", package.parent / "recipes"):
        if folder.is_dir():
            return folder
    raise UsageError(f"the recipes that come with atrkit are missing beside {package}: install atrkit again")


def shipped_recipe_names(folder: Path) -> list[str]:
    """Names of the recipes in `folder`, as `find_recipe` takes them: synthetic/retrieval."""
    return sorted(path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob(f"*{_SUFFIX}"))


def find_recipe(name_or_path: str, search_folders: Sequence[Path]) -> Path:
    """The recipe a user means: an existing file, else one by name.

    Only what lies in the folders can be found by name: `..` leads nowhere.

    Args:
        name_or_path: a file, or a name with or without `.yaml` and with or without `recipes/` before it.
        search_folders: looked through in this order when there is no such file.

    Raises:
        UsageError: there is none; the message names those that are most alike.
    """
    if os.path.isfile(name_or_path):  # noqa: PTH113 - unlike Path.is_file, False also for what no path can be
        return Path(name_or_path)
    name = name_or_path.removeprefix("./").removeprefix("recipes/").removesuffix(_SUFFIX)
    for folder in search_folders:
        if name in shipped_recipe_names(folder):
            return folder / f"{name}{_SUFFIX}"
    known = [known for folder in search_folders for known in shipped_recipe_names(folder)]
    alike = _most_alike_first(name, known)
    listed = ", ".join(alike[:_LISTED]) or "none"
    if len(alike) > _LISTED:
        listed += f", and {len(alike) - _LISTED} others that atrkit recipes lists"
    is_folder = os.path.isdir(name_or_path)  # noqa: PTH112 - as above
    what = "is a folder, not a recipe" if is_folder else "is no file here, and no recipe's name"
    raise UsageError(f"{name_or_path!r} {what}; those that come with atrkit: {listed} (or write one: atrkit init)")


def _most_alike_first(name: str, known: Sequence[str]) -> list[str]:
    def likeness(other: str) -> float:
        last = other.rsplit("/", 1)[-1]
        return max(difflib.SequenceMatcher(None, name, candidate).ratio() for candidate in (other, last))

    return sorted(known, key=lambda other: (-likeness(other), other))
