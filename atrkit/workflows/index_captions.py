"""Captions of a folder's files, where somebody wrote some: shown beside what is found, and never needed."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from atrkit.datasets.captions_csv import read_captions_csv
from atrkit.errors import UsageError
from atrkit.reports.counting import counted
from atrkit.workflows.session import Session

TABLE_NAME = "captions.csv"
_AUDIO_FOLDER = "audio"


def captions_of_folder(session: Session, root: Path, names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Captions by path below the folder, from a captions.csv in it or beside it; its layout is that of `import`.

    Names in the table are paths below the folder, or below its `audio/`. A table that cannot be read is said, and the
    files are found without captions.

    Args:
        session: where to speak.
        root: the folder.
        names: paths of its sound files, below it.
    """
    table = next((path for path in (root / TABLE_NAME, root.parent / TABLE_NAME) if path.is_file()), None)
    if table is None:
        return {}
    try:
        rows = read_captions_csv(table).rows
    except UsageError as error:
        session.say(f"{error}: the files of {root} are indexed without captions")
        return {}
    of_name: dict[str, tuple[str, ...]] = {}
    for row in rows:
        name = PurePosixPath(row.file_name)
        for path in (name, _AUDIO_FOLDER / name):
            of_name.setdefault(path.as_posix(), row.captions)
    captions = {name: of_name[name] for name in names if name in of_name}
    session.say(f"captions: of {len(captions):,} of {counted(len(names), 'file')}, from {table}")
    return captions
