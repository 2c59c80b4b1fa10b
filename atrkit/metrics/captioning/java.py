"""Java on this machine: the PTB tokenizer, METEOR and SPICE are Java programs."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from atrkit.metrics.captioning.catalogue import Lack

JAVA_VARIABLE = "AAC_METRICS_JAVA_PATH"
INSTALL_JAVA = "apt install openjdk-17-jre-headless, brew install openjdk, or conda install -c conda-forge openjdk"
_FIX = f"{INSTALL_JAVA}; ${JAVA_VARIABLE} may name the program"
_OLDEST = 8
_PATIENCE_S = 20
# as in `openjdk version "17.0.15" 2025-04-15`, or `java version "1.8.0_382"`, which is Java 8
_VERSION = re.compile(r'version "((?:1\.)?(\d+)[^"]*)"')


@dataclass(frozen=True)
class Java:
    """A Java that runs.

    Args:
        path: of the program, absolute, because it is started in other folders.
        version: as it says itself.
        major: 8, 11, 17, ...
    """

    path: str
    version: str
    major: int


def find_java(environment: Mapping[str, str] = os.environ) -> Java | Lack:
    """The Java that `$AAC_METRICS_JAVA_PATH` names, else the one on PATH; it is started once, for its version.

    Args:
        environment: of the process.

    Returns:
        The program, or what is wrong and what mends it.
    """
    named = environment.get(JAVA_VARIABLE)
    path = shutil.which(named or "java", path=environment.get("PATH", os.defpath))
    if path is None:
        what = f"${JAVA_VARIABLE} names {named}, which is no program" if named else "Java is not installed"
        return Lack(what, _FIX, need="java")
    path = str(Path(path).absolute())
    try:
        ended = subprocess.run(
            [path, "-version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PATIENCE_S,
            check=False,
            env=dict(environment),
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Lack(f"{path} cannot be started ({type(error).__name__})", _FIX, need="java")
    found = _VERSION.search((ended.stderr + ended.stdout).decode(errors="replace"))
    if ended.returncode != 0 or found is None:  # macOS has a program that only says where to get Java
        return Lack(f"{path} is no Java that runs", _FIX, need="java")
    version, major = found[1], int(found[2])
    if major < _OLDEST:
        return Lack(f"{path} is Java {version}, and {_OLDEST} is the oldest that will do", _FIX, need="java")
    return Java(path, version, major)
