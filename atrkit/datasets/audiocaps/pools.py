"""Published test pools of AudioCaps: five sizes of "the test set", and where the list of each is.

R@1 on 816 clips is about two points above R@1 on 975, so a figure needs its pool (PROTOCOL.md, "Pools"). The lists
are their publishers'; atrkit fetches them or takes them from a file, and has none of its own.
"""

import csv
import io
import json
import re
import tarfile
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from atrkit.datasets.audiocaps.namings import named_stretch
from atrkit.datasets.audiocaps.tables import AudioCapsClip
from atrkit.errors import IntegrityError, UsageError

_COLUMNS = ("youtube_id", "file_name", "fname", "ytid", "wav")
_MEMBER = "retrieval_test.csv"
_LARGEST_LIST_BYTES = 64 << 20


@dataclass(frozen=True)
class Pool:
    """A test pool as it was published.

    Args:
        name: its number of clips.
        clips: how many it has.
        source: paper and repository, in one line.
        url: of the list; None where none is published by itself.
        file_name: under which to keep the list.
        md5: of the list; None where it is not known, and the number of ids is all that can be checked.
        without_list: what to do where there is no list.
    """

    name: str
    clips: int
    source: str
    url: str | None
    file_name: str | None = None
    md5: str | None = None
    without_list: str | None = None


_RAW = "https://raw.githubusercontent.com"
POOLS: Mapping[str, Pool] = {
    pool.name: pool
    for pool in (
        Pool(
            "816",
            816,
            "Oncescu et al. 2021 (Interspeech) and Koepke et al. 2022 (akoepke/audio-retrieval-benchmark): what was on "
            "YouTube and is not in VGGSound's training set",
            "https://www.robots.ox.ac.uk/~vgg/research/audio-retrieval/resources/benchmark-files/"
            "AudioCaps_retrieval_dataset.tar.gz",
            "AudioCaps_retrieval_dataset.tar.gz",
        ),
        Pool(
            "883",
            883,
            "what YouTube had in 2023-24: OpenSound/AudioCaps on Hugging Face, the source of AudioCapBench "
            "(Qiu et al. 2026), and as many in MorenoLaQuatra/audiocaps-download",
            None,
            without_list="its ids are published only within the audio of huggingface.co/datasets/OpenSound/AudioCaps "
            "(split test, column youtube_id): write them to a file, one a line, and give it with --pool FILE",
        ),
        Pool(
            "912",
            912,
            "Labbé et al. 2023 (paper 004) and CoNeTTE (Labbeti/conette-audio-captioning): what aac-datasets found on "
            "YouTube",
            f"{_RAW}/Labbeti/conette-audio-captioning/aea7ab10beb5b94e9dc87f92e68a2cbf9c89101e/results/"
            "detailed_outputs/outputs_audiocaps_test.csv",
            "conette_outputs_audiocaps_test.csv",
        ),
        Pool(
            "957",
            957,
            "Mei et al. 2022 (Interspeech, XinhaoMei/audio-text_retrieval), then WavCaps and most since",
            f"{_RAW}/XinhaoMei/audio-text_retrieval/HEAD/data/AudioCaps/csv_files/test.csv",
            "mei_test.csv",
            md5="6ba1f9316c497151bf2a45fe4b955849",
        ),
        Pool(
            "975",
            975,
            "Kim et al. 2019 (cdjkim/audiocaps): all of the official test set",
            f"{_RAW}/cdjkim/audiocaps/master/dataset/test.csv",
            "test.csv",
            md5="9775aec3f52037d12cacda132dd5316d",
        ),
    )
}


def published_pool(name: str) -> Pool:
    """A pool by its name.

    >>> published_pool("957").clips
    957

    Raises:
        UsageError: there is no such pool; the message lists those there are.
    """
    if name not in POOLS:
        raise UsageError(f"--pool {name}: no such pool, and no such file; published are {', '.join(POOLS)}")
    return POOLS[name]


def read_pool(path: Path, pool: Pool | None = None) -> frozenset[str]:
    """The YouTube ids in a list of any of the usual forms.

    Args:
        path: a table with a column youtube_id, file_name or fname (`Y{id}.wav`, `{id}_{start}.flac`); one id or file
            name per line; JSON with ids or file names, as a list or as keys; or a .tar.gz with `retrieval_test.csv`.
        pool: which it should be.

    Raises:
        UsageError: the file cannot be read, or holds something else; names the line.
        IntegrityError: it has another number of clips than `pool`.
    """
    text = _text_of(path)
    ids = frozenset(_ids_in(path, text))
    if not ids:
        raise UsageError(f"{path}: no YouTube ids in it: write one a line, or a table with a column youtube_id")
    if pool is not None and len(ids) != pool.clips:
        raise IntegrityError(
            f"{path} has {len(ids):,} clips, and pool {pool.name} has {pool.clips:,}: it is another list; delete it, "
            f"or give your own with --pool FILE ({pool.source})"
        )
    return ids


@dataclass(frozen=True)
class PoolCoverage:
    """How much of a pool is there.

    Args:
        present: clip ids of the pool that are there, in the order of the clips.
        absent: clip ids of the pool that are not.
        unknown: YouTube ids of the pool that are in no table, sorted.
    """

    present: tuple[str, ...]
    absent: tuple[str, ...]
    unknown: tuple[str, ...]


def cover_pool(ids: Collection[str], clips: Iterable[AudioCapsClip], on_disk: Collection[str]) -> PoolCoverage:
    """Compare a pool with what is there.

    >>> rain, bell = AudioCapsClip("rrrrrrrrrrr", "0", ()), AudioCapsClip("bbbbbbbbbbb", "30", ())
    >>> cover_pool({"rrrrrrrrrrr", "bbbbbbbbbbb", "xxxxxxxxxxx"}, [rain, bell], {"bbbbbbbbbbb_30"})
    PoolCoverage(present=('bbbbbbbbbbb_30',), absent=('rrrrrrrrrrr_0',), unknown=('xxxxxxxxxxx',))

    Args:
        ids: YouTube ids of the pool.
        clips: of the test table.
        on_disk: ids of the clips that are there.
    """
    in_pool = [clip for clip in clips if clip.youtube_id in ids]
    return PoolCoverage(
        present=tuple(clip.id for clip in in_pool if clip.id in on_disk),
        absent=tuple(clip.id for clip in in_pool if clip.id not in on_disk),
        unknown=tuple(sorted(set(ids) - {clip.youtube_id for clip in in_pool})),
    )


def _text_of(path: Path) -> str:
    try:
        data = _member(path, _MEMBER) if tarfile.is_tarfile(path) else path.read_bytes()
        return data.decode("utf-8-sig")
    except (OSError, tarfile.TarError, EOFError) as error:
        raise UsageError(f"cannot read the pool {path}: {error}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not UTF-8 text: a pool is a list of YouTube ids") from None


def _member(path: Path, name: str) -> bytes:
    """One file of an archive, in memory; nothing is extracted."""
    with tarfile.open(path) as archive:
        for member in archive:
            if member.isfile() and member.name.rpartition("/")[2] == name and member.size <= _LARGEST_LIST_BYTES:
                file = archive.extractfile(member)
                assert file is not None, "it is a regular file"
                return file.read()
    raise UsageError(f"{path}: no {name} in this archive: it is not the one with the pool")


def _ids_in(path: Path, text: str) -> Iterable[str]:
    if text.lstrip()[:1] in ("[", "{"):
        return _ids_in_json(path, text)
    first_line = text.partition("\n")[0]
    if any(column in re.split(r"[,;\t]", first_line.strip()) for column in _COLUMNS):
        return _ids_in_table(path, text)
    return [_id_in(line, f"{path}:{number}") for number, line in _filled(text)]


def _filled(text: str) -> Iterable[tuple[int, str]]:
    lines = ((number, line.strip()) for number, line in enumerate(text.splitlines(), start=1))
    return ((number, line) for number, line in lines if line and not line.startswith("#"))


def _ids_in_table(path: Path, text: str) -> list[str]:
    delimiter = next(mark for mark in (",", ";", "\t", "\n") if mark in text.partition("\n")[0] + "\n")
    rows = csv.DictReader(io.StringIO(text), delimiter=delimiter if delimiter != "\n" else ",")
    column = next(column for column in _COLUMNS if column in (rows.fieldnames or ()))
    try:
        return [_id_in(row[column] or "", f"{path}:{rows.line_num}") for row in rows]
    except csv.Error as error:
        raise UsageError(f"{path}:{rows.line_num}: {error}") from None


def _ids_in_json(path: Path, text: str) -> list[str]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: not the JSON that it begins like: {error}") from None
    items = value.get("data", value) if isinstance(value, dict) else value
    if not isinstance(items, list | dict):
        raise UsageError(f"{path}: no list of ids in this JSON")
    found = []
    for number, item in enumerate(items, start=1):
        if isinstance(item, dict):
            item = next((item[column] for column in _COLUMNS if column in item), "")
        found.append(_id_in(str(item), f"{path}: item {number}"))
    return found


def _id_in(text: str, place: str) -> str:
    stem = re.sub(r"\.\w{2,5}$", "", text.strip().strip('"').replace("\\", "/").rpartition("/")[2])
    name = named_stretch(stem)
    if name is None:
        raise UsageError(f"{place}: {text[:40]!r} is no YouTube id and no file name with one")
    return name.youtube_id
