"""`atrkit doctor`: datasets and embeddings of the workspace."""

import hashlib
import json
import os
import shlex
from collections.abc import Iterator
from pathlib import Path

from atrkit.datasets.commands import command_that_makes
from atrkit.datasets.manifest import MANIFEST_NAME, PROBLEMS_NAME, stated_header
from atrkit.datasets.missing import load_missing
from atrkit.errors import AtrkitError, ResourceError
from atrkit.workflows.doctor_check import Check
from atrkit.workflows.workspace import Workspace

_LOOKED_AT = 200  # recordings of a dataset
_SEAL_BYTES = 512
_SEAL = b"atrkit; sha256 of what follows"
_HDF5 = b"\x89HDF\r\n\x1a\n"
_PLACE_OF_END = slice(40, 48)  # in the superblock of version 0, which is what atrkit's stores have


def data_checks(workspace: Workspace) -> list[Check]:
    """Every dataset and every store of embeddings; of these the beginning and the length, not each byte."""
    folders = sorted(path for path in (workspace.root / "data").glob("*") if path.is_dir() and path.name[0] != ".")
    datasets = [_dataset(folder) for folder in folders]
    if not datasets:
        fix = "atrkit download synthetic, or atrkit import DIR_OR_CSV --name NAME"
        datasets = [Check("datasets", "missing", f"none in {workspace.root / 'data'}", fix, run=fix)]
    return [*datasets, *_embeddings(workspace)]


def _dataset(folder: Path) -> Check:
    name = f"dataset {folder.name}"
    try:
        header = stated_header(folder)
        manifest = (folder / MANIFEST_NAME).read_bytes()
        problems = (folder / PROBLEMS_NAME).read_bytes()
        missing = load_missing(folder)
    except (AtrkitError, OSError) as error:
        return Check(name, "wrong", *_detail_and_fix(folder, error))
    for file_name, data in ((MANIFEST_NAME, manifest), (PROBLEMS_NAME, problems)):
        if hashlib.sha256(data).hexdigest() != header["files"][file_name]:
            detail = f"{folder / file_name} is damaged: it is not what was written"
            return Check(name, "wrong", detail, command_that_makes(folder.name, header["about"]))
    lines = manifest.decode().split("\n")[:-1]
    gone = _gone(folder, lines)
    count = f"{len(lines):,} clips"
    if gone:
        detail = f"{count}; {gone} of {min(len(lines), _LOOKED_AT)} recordings that were looked at are not there"
        return Check(name, "wrong", detail, f"atrkit info {shlex.quote(folder.name)} --verify")
    if missing:
        detail = f"{count}; {len(missing):,} are missing, listed in {folder / 'missing.csv'}"
        return Check(name, "missing", detail, command_that_makes(folder.name, header["about"]))
    return Check(name, "ok", f"{count}, {folder}", brief=count)


def _detail_and_fix(folder: Path, error: Exception) -> tuple[str, str]:
    """What is wrong, and the way out, which atrkit's errors name behind it."""
    if isinstance(error, OSError | ResourceError):
        return str(error), command_that_makes(folder.name)
    separator = "; " if "; " in str(error) else ": "
    detail, _, way_out = str(error).rpartition(separator)
    return detail, way_out.rpartition(": ")[2]


def _gone(folder: Path, lines: list[str]) -> int:
    """How many recordings are not where the manifest says, of some that are spread over it."""
    step = max(1, -(-len(lines) // _LOOKED_AT))
    return sum(not (folder / json.loads(line)["path"]).is_file() for line in lines[::step])


def _embeddings(workspace: Workspace) -> Iterator[Check]:
    root = workspace.root / "embeddings"
    for path in sorted([*root.glob("*/*.h5"), *root.glob("*/*.parts")]):
        dataset, encoder = path.parent.name, path.stem
        command = shlex.join(["atrkit", "extract", "--encoder", encoder, "--dataset", dataset])
        name = f"embeddings {dataset}/{encoder}"
        if path.suffix == ".parts":
            parts = len(list(path.glob("part-*.h5")))
            yield Check(f"{name} parts", "missing", f"unfinished: {parts} parts are there, in {path}", command)
        elif why := _damage(path):
            yield Check(name, "wrong", f"{path} {why}", f"{command} --overwrite")
        else:
            size = f"{path.stat().st_size / 1e6:,.0f} MB"
            yield Check(name, "ok", f"{size}, {path}; atrkit info --store reads all of it", brief=size)


def _damage(path: Path) -> str | None:
    """What can be seen without reading all of it: that it is sealed and as long as HDF5 says."""
    try:
        with path.open("rb") as file:
            seal, begin = file.read(_SEAL_BYTES), file.read(64)
            length = os.fstat(file.fileno()).st_size
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    if not seal.startswith(_SEAL) or not begin.startswith(_HDF5):
        return "was not written by atrkit, or is damaged"
    stated = int.from_bytes(begin[_PLACE_OF_END], "little")
    return None if length == stated else f"is {length:,} bytes long and should be {stated:,}"
