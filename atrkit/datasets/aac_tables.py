"""The one place that knows aac-datasets: where Clotho and AudioCaps are published, their md5s and their layout.

The tables are aac-datasets' own, read from its source as literals without running it: importing the package fails
beside torchaudio 2.11 (FACTS.md), takes seconds and holds 600 MB, twice what a whole download may use.
"""

import ast
import contextlib
import importlib.util
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from atrkit.errors import MissingPrerequisiteError

ROOT_VARIABLE = "AAC_DATASETS_ROOT"


@dataclass(frozen=True)
class PublishedFile:
    """A file of a dataset as it is published.

    Args:
        name: on disk.
        url: of the official record.
        md5: of its bytes, where the publisher states one.
    """

    name: str
    url: str
    md5: str | None


@dataclass(frozen=True)
class ClothoSubset:
    """What Clotho publishes for one subset.

    Args:
        folder: below `clotho_audio_files`, and in the archive.
        archive: the audio.
        captions: file_name, caption_1 .. caption_5.
        metadata: keywords, Freesound id, licence.
    """

    folder: str
    archive: PublishedFile
    captions: PublishedFile
    metadata: PublishedFile


def clotho_subset(version: str, subset: str) -> ClothoSubset:
    """Clotho's files of one subset.

    >>> clotho_subset("v2.1", "eval").captions.md5
    '1b16b9e57cf7bdb7f13a13802aeb57e2'

    Args:
        version: "v1", "v2" or "v2.1".
        subset: "dev", "val" or "eval".

    Raises:
        KeyError: that version has no such subset (v1 has no val).
        MissingPrerequisiteError: aac-datasets is not installed, or has changed its tables.
    """
    links = _table("clotho", "_CLOTHO_LINKS")[version][subset]
    return ClothoSubset(
        folder=_table("clotho", "_CLOTHO_AUDIO_DNAMES")[subset],
        archive=_published(links["audio_archive"]),
        captions=_published(links["captions"]),
        metadata=_published(links["metadata"]),
    )


def audiocaps_captions(version: str, subset: str) -> PublishedFile:
    """The table of captions of one AudioCaps subset; no md5 is published.

    >>> audiocaps_captions("v2", "test").url
    'https://raw.githubusercontent.com/cdjkim/audiocaps/master/dataset2.0/test.csv'

    Args:
        version: "v1" or "v2".
        subset: "train", "val" or "test".
    """
    return _published(_table("audiocaps", "_AUDIOCAPS_LINKS")[version][subset]["captions"])


def _published(link: dict[str, str]) -> PublishedFile:
    return PublishedFile(link["fname"], link["url"], link.get("hash_value"))


@cache
def _table(module: str, name: str) -> Any:
    """The value of a table in aac_datasets/datasets/functional/<module>.py, which holds literals only."""
    package = importlib.util.find_spec("aac_datasets")
    if package is None or package.origin is None:
        raise MissingPrerequisiteError("aac-datasets is not installed; run: pip install 'aac-datasets>=0.7,<0.8'")
    source = Path(package.origin).parent / "datasets" / "functional" / f"{module}.py"
    with contextlib.suppress(ValueError, OSError, SyntaxError):
        for statement in ast.parse(source.read_bytes()).body:
            match statement:
                case ast.AnnAssign(target=ast.Name(id=found), value=ast.expr() as value) if found == name:
                    return ast.literal_eval(value)
    raise MissingPrerequisiteError(
        f"{source} has no table {name} that can be read; "
        "install the release it was written for: pip install 'aac-datasets>=0.7,<0.8'"
    )
