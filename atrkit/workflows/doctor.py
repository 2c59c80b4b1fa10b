"""`atrkit doctor`: what is installed, found and missing on this machine, each with the fix."""

import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from packaging.requirements import Requirement

from atrkit import __version__
from atrkit.datasets.audiocaps.tools import FFMPEG_VARIABLE, YTDLP_VARIABLE
from atrkit.encoders.cache import CACHE_VARIABLE, cache_folder
from atrkit.metrics.captioning.catalogue import CAPTION_METRICS, NEEDS, Lack
from atrkit.metrics.captioning.java import INSTALL_JAVA
from atrkit.metrics.captioning.tools import MetricTools
from atrkit.processes import available_cores
from atrkit.workflows.gpus import find_gpus
from atrkit.workflows.memory import available_memory_bytes
from atrkit.workflows.session import Session

State = Literal["ok", "missing", "wrong"]

_REINSTALL = "pip install --upgrade --force-reinstall atrkit"
_LITTLE_BYTES = 5 * 10**9


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Args:
        name: short and stable.
        state: "ok"; "missing": it is not there, and something optional does not work; "wrong": it must be mended.
        detail: what was found.
        fix: the command or place that mends it; None: nothing to mend.
        brief: the detail for a narrow screen; None: the same.
        run: the fix without what else would do; None: the same.
        needs: names of the checks that are in its way, whose fixes are its own.
    """

    name: str
    state: State
    detail: str
    fix: str | None = None
    brief: str | None = None
    run: str | None = None
    needs: list[str] = field(default_factory=list)


def examine(session: Session) -> dict[str, Any]:
    """Look at everything that atrkit uses; nothing heavy is imported and no network is asked.

    Args:
        session: knows the workspace.

    Returns:
        For JSON: "atrkit" (version) and "checks", each with name, state, detail, fix, brief, run and needs.
    """
    tools = MetricTools()
    groups: tuple[Callable[[], list[Check]], ...] = (
        _python,
        _packages,
        _devices,
        _memory,
        lambda: _disks(session.workspace.root),
        _programs,
        lambda: _metric_files(tools),
        lambda: _metrics(tools),
    )
    return {"atrkit": __version__, "checks": [asdict(check) for group in groups for check in group()]}


def _python() -> list[Check]:
    detail = f"{platform.python_version()} ({sys.executable})"
    return [Check("python", "ok", detail)]


def _packages() -> list[Check]:
    """Installed releases against the ranges that atrkit declares; those that fit are counted in one line."""
    try:
        stated = metadata.requires("atrkit") or []
    except metadata.PackageNotFoundError:
        return [Check("packages", "wrong", "atrkit is run from its source and is not installed", "pip install -e .")]
    required = [entry for entry in map(Requirement, stated) if entry.marker is None or entry.marker.evaluate()]
    unfit = [check for entry in required if (check := _unfit(entry)) is not None]
    fitting = f"{len(required) - len(unfit)} of {len(required)} are there in a release that fits"
    return [Check("packages", "ok" if not unfit else "wrong", fitting, _REINSTALL if unfit else None), *unfit]


def _unfit(entry: Requirement) -> Check | None:
    install = f"pip install '{entry.name}{entry.specifier}'"
    try:
        found = metadata.version(entry.name)
    except metadata.PackageNotFoundError:
        return Check(entry.name, "wrong", f"not installed; {entry.specifier or 'any release'} is needed", install)
    if entry.specifier.contains(found, prereleases=True):
        return None
    return Check(entry.name, "wrong", f"{found} is installed; {entry.specifier} is needed", install)


def _devices() -> list[Check]:
    """torch without importing it: its release says for what it was built, and the driver names the GPUs."""
    try:
        torch = metadata.version("torch")
    except metadata.PackageNotFoundError:
        return []  # said among the packages
    gpus = find_gpus()
    cores = f"{available_cores()} cores of a CPU"
    if not gpus:
        device = Check("device", "ok", f"{cores}; no GPU that CUDA finds")
    elif torch.endswith("+cpu"):
        detail = f"{', '.join(gpus)}, which torch {torch} cannot use"
        device = Check("device", "wrong", detail, "pip install --force-reinstall torch torchaudio")
    else:
        device = Check("device", "ok", f"{', '.join(gpus)}; {cores}")
    return [Check("torch", "ok", torch), device]


def _memory() -> list[Check]:
    return [Check("memory", "ok", f"{_gigabytes(available_memory_bytes())} available")]


def _disks(workspace: Path) -> list[Check]:
    places = (
        ("workspace", workspace.absolute(), "--workspace or $ATRKIT_WORKSPACE"),
        ("cache", cache_folder().parent, f"${CACHE_VARIABLE}"),
    )
    return [_disk(name, folder, variable) for name, folder, variable in places]


def _disk(name: str, folder: Path, elsewhere: str) -> Check:
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        return Check(name, "wrong", f"{folder} cannot be written", f"choose another folder with {elsewhere}")
    free_bytes = shutil.disk_usage(existing).free
    detail = f"{folder}, {_gigabytes(free_bytes)} free"
    if free_bytes < _LITTLE_BYTES:
        return Check(name, "wrong", detail, f"free some space, or choose another folder with {elsewhere}")
    return Check(name, "ok", detail)


def _programs() -> list[Check]:
    beside = f"{os.environ.get('PATH', os.defpath)}{os.pathsep}{Path(sys.executable).parent}"
    install_ffmpeg = "apt install ffmpeg, brew install ffmpeg, or conda install -c conda-forge ffmpeg"
    return [
        _program("ffmpeg", FFMPEG_VARIABLE, None, install_ffmpeg),
        _program("yt-dlp", YTDLP_VARIABLE, beside, "pip install 'atrkit[audiocaps]'"),
    ]


def _program(name: str, variable: str, path: str | None, install: str) -> Check:
    named = os.environ.get(variable)
    found = shutil.which(named or name, path=path)
    if found is not None:
        return Check(name, "ok", found)
    if named:
        return Check(name, "wrong", f"${variable} names {named}, which is no program", f"correct or unset ${variable}")
    return Check(name, "missing", "not found; fetching AudioCaps needs it", install)


def _metric_files(tools: MetricTools) -> list[Check]:
    java = tools.java
    checks = [
        Check("java", "missing", java.what, java.way_out, run=INSTALL_JAVA)
        if isinstance(java, Lack)
        else Check("java", "ok", f"{java.version} ({java.path})")
    ]
    for name, need in NEEDS.items():
        lack = tools.lack_of(name)
        here = Check(f"{name} files", "ok", f"{need.what} in {tools.cache / need.folder}", brief=need.what)
        lacks_all = len(tools.missing_files(name)) == len(need.files)
        folder = tools.cache / need.folder
        checks.append(here if lack is None else _missing_files(f"{name} files", lack, lacks_all, folder))
    return checks


def _missing_files(name: str, lack: Lack, lacks_all: bool, folder: Path) -> Check:
    size = f", about {lack.fetch_mb} MB" if lack.fetch_mb else ""
    brief = f"not there{size}" if lacks_all else lack.what.removeprefix(f"{folder} ")
    return Check(name, "missing", lack.what, lack.way_out, brief=brief, run=lack.fix)


def _metrics(tools: MetricTools) -> list[Check]:
    """Short, because what is missing has a line of its own above."""
    checks = [_tokenizer(tools)]
    for metric in CAPTION_METRICS:
        lacks = tools.lacks(metric)
        needs = _names_of(lacks)
        fix = "; ".join(dict.fromkeys(lack.fix for lack in lacks))
        detail = f"does not run without {' and '.join(needs)}" if needs else "runs"
        checks.append(Check(f"metric {metric}", "missing" if needs else "ok", detail, fix or None, needs=needs))
    return checks


def _tokenizer(tools: MetricTools) -> Check:
    ptb = tools.lack_of_ptb
    if ptb is None:
        return Check("tokenizer", "ok", "captions are split by the PTB tokenizer, as for published figures")
    files = tools.lack_of("ptb")
    needs = _names_of([lack for lack in (ptb, files) if lack is not None])
    return Check(
        "tokenizer", "missing", "captions are split at spaces, without java or ptb files", ptb.fix, needs=needs
    )


def _names_of(lacks: Iterable[Lack]) -> list[str]:
    """Names of the checks of these, each once."""
    return list(dict.fromkeys("java" if lack.need == "java" else f"{lack.need} files" for lack in lacks))


def _gigabytes(count_bytes: int) -> str:
    return f"{count_bytes / 1e9:,.1f} GB"
