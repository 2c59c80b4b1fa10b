"""Which command makes a dataset: every error about a dataset ends with it, so it must be the whole one."""

import shlex
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from atrkit.datasets.audiocaps.tables import SUBSETS
from atrkit.datasets.clotho.layout import subsets_of

DOWNLOADABLE = ("synthetic", "clotho", "audiocaps")
# what `atrkit download` does when nothing is said
_COPIES_HZ = 32_000
_SYNTHETIC_CLIPS = 1200
_SUBSETS_OF: dict[str, Callable[[str], tuple[str, ...]]] = {"clotho": subsets_of, "audiocaps": lambda version: SUBSETS}


def command_that_makes(dataset_name: str, about: Mapping[str, Any] | None = None) -> str:
    """The command a user types to get this dataset.

    Folders of the user's own are not in it: `download` remembers them and looks there again. What an import was told
    about a table is not kept, so its command has a gap to fill in.

    Args:
        dataset_name: its folder's name.
        about: what dataset.json says of it, where that is known; without it, the command for the usual dataset of
            that name.

    >>> command_that_makes("synthetic")
    'atrkit download synthetic'
    >>> about = {"source": {"name": "Clotho", "version": "v1"}, "subsets": ["eval"], "audio": {"copies_hz": None}}
    >>> command_that_makes("clotho-v1", about)
    'atrkit download clotho --version v1 --name clotho-v1 --subset eval --sample-rate 0'
    >>> command_that_makes("attic_tapes")
    'atrkit import DIR_OR_CSV --name attic_tapes'
    """
    about = about or {}
    published = downloaded_dataset(dataset_name, about)
    if published is None:
        return f"atrkit import DIR_OR_CSV --name {shlex.quote(dataset_name)}"
    options = _options_of_synthetic(about) if published == "synthetic" else _options(published, dataset_name, about)
    return " ".join(["atrkit", "download", published, *options])


def downloaded_dataset(dataset_name: str, about: Mapping[str, Any]) -> str | None:
    """Which of `DOWNLOADABLE` a dataset is, whatever it is called; None for one that was imported.

    >>> downloaded_dataset("mine", {"source": {"name": "AudioCaps", "version": "v2"}})
    'audiocaps'
    >>> downloaded_dataset("tapes", {"source": "/media/tapes"}) is None
    True

    Args:
        dataset_name: its folder's name, which is all there is to go by where `about` is empty.
        about: what dataset.json says of it.
    """
    match about.get("source"):
        case {"name": str(published), "version": str()} if published.lower() in _SUBSETS_OF:
            return published.lower()
        case str():
            return None
    return dataset_name if dataset_name in DOWNLOADABLE else None


def _options(published: str, dataset_name: str, about: Mapping[str, Any]) -> Iterator[str]:
    source = about.get("source")
    if not isinstance(source, dict):
        return  # only the name is known
    yield f"--version {source['version']}"
    if dataset_name != published:
        yield f"--name {shlex.quote(dataset_name)}"
    subsets = about.get("subsets")
    if subsets and set(subsets) != set(_SUBSETS_OF[published](source["version"])):
        yield f"--subset {','.join(subsets)}"
    match about.get("pool"):
        case {"option": str(typed)} | {"name": str(typed)}:
            yield f"--pool {shlex.quote(typed)}"
    match about.get("audio"):
        case {"copies_hz": rate_hz} if rate_hz != _COPIES_HZ:
            yield f"--sample-rate {rate_hz or 0}"


def _options_of_synthetic(about: Mapping[str, Any]) -> Iterator[str]:
    match about.get("source"):
        case {"sizes": {"dev": int(clips)}} if clips != _SYNTHETIC_CLIPS:
            yield f"--clips {clips}"
    match about.get("source"):
        case {"seed": int(seed)} if seed:
            yield f"--seed {seed}"
