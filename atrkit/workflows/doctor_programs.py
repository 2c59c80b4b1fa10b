"""`atrkit doctor`: the programs that fetch AudioCaps."""

import os
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from atrkit.datasets.audiocaps.tools import FFMPEG_VARIABLE, YTDLP_VARIABLE
from atrkit.workflows.doctor_check import Check

_INSTALL_FFMPEG = "apt install ffmpeg, brew install ffmpeg, or conda install -c conda-forge ffmpeg"
_INSTALL_YTDLP = "pip install 'atrkit[audiocaps]'"
_FFMPEG_VERSION = re.compile(r"ffmpeg version (\S+)")
_PATIENCE_S = 2


def program_checks() -> list[Check]:
    """Each of them on PATH, or where its variable names it."""
    beside = f"{os.environ.get('PATH', os.defpath)}{os.pathsep}{Path(sys.executable).parent}"
    return [
        _program("ffmpeg", FFMPEG_VARIABLE, None, _INSTALL_FFMPEG),
        _program("yt-dlp", YTDLP_VARIABLE, beside, _INSTALL_YTDLP),
    ]


def _program(name: str, variable: str, path: str | None, install: str) -> Check:
    named = os.environ.get(variable)
    found = shutil.which(named or name, path=path)
    if found is None:
        if named:
            fix = f"correct or unset ${variable}"
            return Check(name, "wrong", f"${variable} names {named}, which is no program", fix)
        return Check(name, "missing", "not found; fetching AudioCaps needs it", install)
    try:
        version = _ffmpeg_version(found) if name == "ffmpeg" else _ytdlp_version(found)
    except (OSError, subprocess.SubprocessError) as error:
        return Check(name, "wrong", f"{found} cannot be started ({type(error).__name__})", install)
    return Check(name, "ok", f"{version} ({found})" if version else found)


def _ffmpeg_version(path: str) -> str | None:
    ended = subprocess.run(
        [path, "-version"], stdin=subprocess.DEVNULL, capture_output=True, timeout=_PATIENCE_S, check=True
    )
    version = _FFMPEG_VERSION.search(ended.stdout.decode(errors="replace"))
    return version[1] if version else None


def _ytdlp_version(path: str) -> str | None:
    """Of the package in this environment; the program itself takes a second to say it."""
    if Path(path).parent != Path(sys.executable).parent:
        return None
    try:
        return metadata.version("yt-dlp")
    except metadata.PackageNotFoundError:
        return None
