"""`atrkit doctor`: Python, packages, GPUs, memory, disks, and what a shell sets that makes things slow or fail."""

import locale
import os
import platform
import re
import resource
import shutil
import sys
from importlib import metadata, util
from pathlib import Path

from packaging.requirements import Requirement

from atrkit.encoders.cache import CACHE_VARIABLE, cache_folder
from atrkit.processes import available_cores
from atrkit.workflows.doctor_check import Check, gigabytes
from atrkit.workflows.gpus import driver_cuda_version, find_gpus
from atrkit.workflows.memory import available_memory_bytes

_REINSTALL = "pip install --upgrade --force-reinstall atrkit"
_LITTLE_BYTES = 5 * 10**9
_FEW_FILES = 512  # a training opens a few hundred; macOS gives 256
_CUDA_OF_TORCH = re.compile(r"""^cuda: [^=]*= ['"](\d+)\.(\d+)['"]""", re.MULTILINE)


def machine_checks(workspace: Path) -> list[Check]:
    """Everything that does not depend on what atrkit is to do."""
    return [
        _python(),
        *_packages(),
        *_devices(),
        _memory(),
        _threads(),
        _open_files(),
        _encoding(),
        *_workspace(workspace),
        *_disks(workspace),
    ]


def _workspace(root: Path) -> list[Check]:
    """A folder that is not there, whose name may be mistyped; it is made by whatever is written first."""
    if root.exists():
        return []
    return [Check("workspace folder", "missing", f"there is no folder {root}", "name another: --workspace")]


def _python() -> Check:
    return Check("python", "ok", f"{platform.python_version()} ({sys.executable})", brief=platform.python_version())


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
    cuda = _cuda_of_torch()
    built_for = f"{torch}, built for CUDA {cuda[0]}.{cuda[1]}" if cuda else torch
    return [Check("torch", "ok", built_for, brief=torch), _device(torch, cuda)]


def _device(torch: str, cuda: tuple[int, int] | None) -> Check:
    gpus = find_gpus()
    cores = f"{available_cores()} cores of a CPU"
    if not gpus:
        return Check("device", "ok", f"{cores}; no GPU that CUDA finds")
    names = ", ".join(gpus)
    if torch.endswith("+cpu"):
        detail = f"{names}, which torch {torch} cannot use"
        return Check("device", "wrong", detail, "pip install --force-reinstall torch torchaudio")
    driver = driver_cuda_version()
    if cuda is not None and driver is not None and driver[0] < cuda[0]:
        detail = (
            f"{names}, whose driver knows CUDA {driver[0]}.{driver[1]}, and torch {torch} was built for "
            f"{cuda[0]}.{cuda[1]}"
        )
        fix = "update the driver of the GPU, or install a torch for the older CUDA: https://pytorch.org/get-started"
        return Check("device", "wrong", detail, fix)
    return Check("device", "ok", f"{names}; {cores}")


def _cuda_of_torch() -> tuple[int, int] | None:
    """For which CUDA the installed torch was built, from a file of it; None: for none, or it does not say."""
    spec = util.find_spec("torch")  # finds the package and runs nothing of it
    if spec is None or spec.origin is None:
        return None
    try:
        found = _CUDA_OF_TORCH.search(Path(spec.origin).with_name("version.py").read_text(encoding="utf-8"))
    except OSError:
        return None
    return (int(found[1]), int(found[2])) if found else None


def _memory() -> Check:
    return Check("memory", "ok", f"{gigabytes(available_memory_bytes())} available")


def _threads() -> Check:
    """What OpenMP's variables ask for, against the cores that this process may use."""
    cores, said, waiting = available_cores(), os.environ.get("OMP_NUM_THREADS"), os.environ.get("OMP_WAIT_POLICY", "")
    if waiting.upper() == "ACTIVE":
        detail = "OMP_WAIT_POLICY=ACTIVE: threads that wait keep cores busy, training can become five times slower"
        return Check("threads", "wrong", detail, "unset OMP_WAIT_POLICY")
    if said is None:
        return Check("threads", "ok", f"as many as cores ({cores})")
    first = said.split(",")[0].strip()
    if not (first.isascii() and first.isdigit() and int(first)):
        return Check("threads", "wrong", f"OMP_NUM_THREADS={said} is no number of threads", "unset OMP_NUM_THREADS")
    if int(first) > cores:
        detail = f"OMP_NUM_THREADS={said}, and this process may use {cores} cores: they wait for each other"
        return Check("threads", "wrong", detail, "unset OMP_NUM_THREADS")
    return Check("threads", "ok", f"{first} of {cores} cores (OMP_NUM_THREADS)")


def _open_files() -> Check:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit != resource.RLIM_INFINITY and limit < _FEW_FILES:
        detail = f"at most {limit} at once; a training with several processes needs more"
        return Check("open files", "wrong", detail, "ulimit -n 4096")
    return Check("open files", "ok", "no limit" if limit == resource.RLIM_INFINITY else f"at most {limit:,} at once")


def _encoding() -> Check:
    """Names of recordings hold any letters, and captions, too."""
    names, texts = sys.getfilesystemencoding(), locale.getpreferredencoding(False)
    if all(each.lower().replace("-", "") == "utf8" for each in (names, texts)):
        return Check("encoding", "ok", "UTF-8")
    detail = f"file names are {names} and texts {texts} here: names with other letters cannot be read or printed"
    return Check("encoding", "wrong", detail, "export PYTHONUTF8=1, or LANG=C.UTF-8")


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
    detail = f"{folder}, {gigabytes(free_bytes)} free"
    if free_bytes < _LITTLE_BYTES:
        return Check(name, "wrong", detail, f"free some space, or choose another folder with {elsewhere}")
    return Check(name, "ok", detail)
