"""Where a file lies, as people are shown it who need not know the rest of the disk."""

from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import PurePosixPath

from atrkit.search.index_files import IndexedFile


def labels_of(roots: Sequence[str]) -> dict[str, PurePosixPath]:
    """What stands for each indexed folder: nothing for a single one, else as many last names as tell them apart.

    >>> labels = labels_of(["/home/me/tapes", "/media/disk/tapes", "/home/me/minidiscs"])
    >>> [str(label) for label in labels.values()]
    ['me/tapes', 'disk/tapes', 'me/minidiscs']
    >>> labels_of(["/home/me/tapes"])
    {'/home/me/tapes': PurePosixPath('.')}
    """
    different = list(dict.fromkeys(roots))
    if len(different) < 2:
        return dict.fromkeys(different, PurePosixPath())
    for names in count(1):
        labels = {root: PurePosixPath(*PurePosixPath(root).parts[-names:]) for root in different}
        if len(set(labels.values())) == len({PurePosixPath(root) for root in different}):
            return labels
    raise AssertionError("whole paths differ")


def shown_path(file: IndexedFile, labels: Mapping[str, PurePosixPath]) -> PurePosixPath:
    """Where a file lies below what was indexed; of a dataset's clip that lies elsewhere only its name.

    Args:
        file: of the index.
        labels: of the folders that it is of, as `labels_of` gives them.
    """
    path, root = PurePosixPath(file.path), PurePosixPath(file.root)
    if path.is_absolute():
        if not path.is_relative_to(root):
            return PurePosixPath(path.name)
        path = path.relative_to(root)
    return labels.get(file.root, PurePosixPath()) / path
