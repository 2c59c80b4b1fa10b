"""An archive that was moved, named in another order, or of which a folder is left out: what is known stays known."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from atrkit.search.changes import FoundFile
from atrkit.search.index_files import IndexedFile, file_id
from atrkit.workflows.index_target import other_source

_NO_FOLDER = 1_000_000  # more than anybody names


def in_new_folders(
    files: Sequence[IndexedFile], old_roots: Sequence[str], new_roots: Sequence[str]
) -> list[IndexedFile]:
    """Files as they would have been listed if the index had been of the new folders.

    Folders that are in both lists keep their files. Where as many are new as are left out, these are taken for the same
    ones, moved, in their order. What remains is of no folder any more: found by its bytes, or gone.

    Args:
        files: that were indexed.
        old_roots: the folders they were below.
        new_roots: the folders of now.

    >>> facts = {"size_bytes": 9, "mtime_ns": 1, "sha256": "a1", "sample_rate_hz": 8000, "duration_s": 1.0}
    >>> place = {"captions": (), "segment": 1, "row": 0, "windows": 1}
    >>> rain = IndexedFile(file_id("rain.wav", 1), "rain.wav", "/b", **facts, **place)
    >>> moved = in_new_folders([rain], ["/a", "/b"], ["/new/b", "/a"])[0]
    >>> moved.root, moved.id == file_id("rain.wav", 0)
    ('/new/b', True)
    """
    root_now = {root: root for root in old_roots if root in new_roots}
    left_out = [root for root in old_roots if root not in new_roots]
    added = [root for root in new_roots if root not in old_roots]
    if len(left_out) == len(added):
        root_now |= dict(zip(left_out, added, strict=True))
    placed = []
    for file in files:
        root = root_now.get(file.root)
        number = _NO_FOLDER + old_roots.index(file.root) if root is None else new_roots.index(root)
        placed.append(replace(file, root=file.root if root is None else root, id=file_id(file.path, number)))
    return placed


def refuse_strangers(
    name: str,
    old_source: Mapping[str, Any],
    source: Mapping[str, Any],
    known: Collection[str],
    found: Sequence[FoundFile],
) -> None:
    """See that folders that were given to an index in place of others have something to do with it.

    Args:
        name: of the index.
        old_source: what it was of.
        source: what it is to be of.
        known: sha256 of the contents that it had; none: all was damaged, and there is nothing to lose.
        found: files that are there now.

    Raises:
        IntegrityError: not one of its folders, and not one of its contents is there; says the ways out.
    """
    if old_source == source or set(old_source["folders"]) & set(source["folders"]):
        return
    if known and not any(file.sha256 in known for file in found):
        raise other_source(name, old_source, source, "none of its sounds is there; ")
