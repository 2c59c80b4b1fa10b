"""Captions of files in folders, where somebody wrote some: shown beside what is found, and never needed."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from atrkit.datasets.captions_csv import DEFAULT_FILE_COLUMN, find_caption_columns, read_captions_csv, read_columns
from atrkit.errors import UsageError
from atrkit.reports.counting import counted
from atrkit.workflows.session import Session

TABLE_NAME = "captions.csv"
_AUDIO_FOLDER = "audio"
_LONGEST_HEADER = 10_000  # characters

Captions = dict[tuple[str, str], tuple[str, ...]]


@dataclass(frozen=True)
class CaptionTables:
    """Tables that the user named, beside the captions.csv of each folder.

    Args:
        paths: of tables in the layout of `import`.
        is_remembered: they were named when the index was made, and not now: one that is gone is said, and no error.
    """

    paths: Sequence[Path] = ()
    is_remembered: bool = False


def captions_of_folders(session: Session, names: Mapping[str, Sequence[str]], tables: CaptionTables) -> Captions:
    """Captions by folder and path below it, from the tables named and from a captions.csv in or beside each folder.

    Names in a table are paths below a folder, or below its `audio/`; in a table that was named also the name alone,
    where one file has it. What a named table says of a file holds, else what captions.csv says; of several named
    tables all of it. A captions.csv that cannot be read is said, and the files are found without captions.

    Args:
        session: where to speak.
        names: paths of the sound files below each folder.
        tables: that the user named.

    Raises:
        UsageError: a table that was named cannot be read; says line and column.
    """
    captions: Captions = {}
    for root, of_root in names.items():
        captions |= _from_usual_table(session, root, of_root, tables)
    named: Captions = {}
    for path in tables.paths:
        for key, texts in _from_named_table(session, path, names, tables).items():
            named[key] = tuple(dict.fromkeys((*named.get(key, ()), *texts)))
    return captions | named


def _from_usual_table(session: Session, root: str, names: Sequence[str], tables: CaptionTables) -> Captions:
    folder = Path(root)
    usual = next((path for path in (folder / TABLE_NAME, folder.parent / TABLE_NAME) if path.is_file()), None)
    _say_what_is_left_aside(session, folder, {usual, *tables.paths})
    if usual is None or usual in tables.paths:
        return {}
    try:
        rows = read_captions_csv(usual, has_options=False).rows
    except UsageError as error:
        session.say(f"{error}: the files of {root} are indexed without captions")
        return {}
    of_name: dict[str, tuple[str, ...]] = {}
    for row in rows:
        for path in _places(row.file_name):
            of_name.setdefault(path, row.captions)
    captions = {(root, name): of_name[name] for name in names if name in of_name}
    session.say(f"captions: of {len(captions):,} of {counted(len(names), 'file')}, from {usual}")
    return captions


def _places(file_name: str) -> tuple[str, str]:
    name = PurePosixPath(file_name)
    return name.as_posix(), (_AUDIO_FOLDER / name).as_posix()


def _from_named_table(
    session: Session, table: Path, names: Mapping[str, Sequence[str]], tables: CaptionTables
) -> Captions:
    if not table.is_file():
        if not tables.is_remembered:
            raise UsageError(f"--captions {table}: there is no such file")
        session.say(f"captions: {table} is not there any more; what it said of files is left out")
        return {}
    columns = read_columns(table)
    if DEFAULT_FILE_COLUMN not in columns:
        there = ", ".join(columns)
        raise UsageError(
            f"--captions {table}: no column is called {DEFAULT_FILE_COLUMN} (there are: {there}): rename the one that "
            "holds the names of the files"
        )
    by_path: dict[str, list[tuple[str, str]]] = {}
    by_name: dict[str, list[tuple[str, str]]] = {}
    for root, of_root in names.items():
        for name in of_root:
            by_path.setdefault(name, []).append((root, name))
            by_name.setdefault(PurePosixPath(name).name, []).append((root, name))
    captions: Captions = {}
    rows = read_captions_csv(table, has_options=False).rows
    for row in rows:
        keys = [key for path in _places(row.file_name) for key in by_path.get(path, ())]
        alike = by_name.get(row.file_name, [])
        for key in keys or (alike if len(alike) == 1 else []):
            captions[key] = row.captions
    total = counted(sum(map(len, names.values())), "file")
    session.say(f"captions: of {len(captions):,} of {total}, from {table} ({counted(len(rows), 'line')})")
    return captions


def _say_what_is_left_aside(session: Session, folder: Path, used: set[Path | None]) -> None:
    others = [path for path in _tables_of_captions(folder) if path not in used]
    if others:
        shown = ", ".join(map(str, others[:3])) + (", ..." if len(others) > 3 else "")
        session.say(f"captions: {counted(len(others), 'table')} left aside ({shown}): --captions FILE takes one")


def _tables_of_captions(folder: Path) -> Iterator[Path]:
    for path in [*sorted(folder.glob("*.csv")), *sorted(folder.parent.glob("*.csv"))]:
        try:
            with path.open(encoding="utf-8-sig") as lines:
                header = next(csv.reader([lines.readline(_LONGEST_HEADER)]), [])
        except (OSError, UnicodeDecodeError, csv.Error):
            continue
        if DEFAULT_FILE_COLUMN in header and find_caption_columns(header):
            yield path
