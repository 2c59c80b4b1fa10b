"""The two programs that fetch a clip, and running such a program so that it always comes back."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from atrkit.errors import MissingPrerequisiteError

YTDLP_VARIABLE = "AAC_DATASETS_YTDLP_PATH"
FFMPEG_VARIABLE = "AAC_DATASETS_FFMPEG_PATH"
_INSTALL_YTDLP = "yt-dlp: pip install 'atrkit[audiocaps]'"
_INSTALL_FFMPEG = "ffmpeg: apt install ffmpeg, brew install ffmpeg, or conda install -c conda-forge ffmpeg"
_KEPT_OUTPUT_BYTES = 1 << 16


@dataclass(frozen=True)
class Tools:
    """Where the programs lie.

    Args:
        ytdlp: knows where YouTube keeps a video's sound.
        ffmpeg: takes ten seconds of it.
    """

    ytdlp: str
    ffmpeg: str


def find_tools(environment: Mapping[str, str] = os.environ, beside: Path = Path(sys.executable).parent) -> Tools:
    """Find yt-dlp and ffmpeg before anything is asked of YouTube.

    aac-datasets' variables win, then PATH; yt-dlp may also lie beside the interpreter, where pip puts it in an
    environment that is used without being activated.

    Args:
        environment: of the process.
        beside: the interpreter's folder.

    Raises:
        MissingPrerequisiteError: one or both are missing; says how to install what is (exit code 3).
    """
    on_path = environment.get("PATH", os.defpath)
    ytdlp = _named(environment, YTDLP_VARIABLE) or shutil.which("yt-dlp", path=f"{on_path}{os.pathsep}{beside}")
    ffmpeg = _named(environment, FFMPEG_VARIABLE) or shutil.which("ffmpeg", path=on_path)
    if ytdlp is None or ffmpeg is None:
        missing = [how for tool, how in ((ytdlp, _INSTALL_YTDLP), (ffmpeg, _INSTALL_FFMPEG)) if tool is None]
        raise MissingPrerequisiteError(
            f"AudioCaps is fetched with yt-dlp and ffmpeg; not found is {'; '.join(missing)}; "
            f"${YTDLP_VARIABLE} and ${FFMPEG_VARIABLE} may name them, and --from DIR uses files that you have"
        )
    return Tools(ytdlp, ffmpeg)


def _named(environment: Mapping[str, str], variable: str) -> str | None:
    path = environment.get(variable)
    if not path:
        return None
    found = shutil.which(path, path=environment.get("PATH", os.defpath))
    if found is None:
        raise MissingPrerequisiteError(f"${variable} names {path}, which is no program: correct or unset it")
    return found


@dataclass(frozen=True)
class Ended:
    """What a program left.

    Args:
        status: its exit status; None when it was killed because its time was over.
        output: the beginning of what it wrote to stdout.
        errors: the end of what it wrote to stderr.
    """

    status: int | None
    output: str
    errors: str


class StoppedError(Exception):
    """No more programs are started: the work is being stopped."""


class Children:
    """The programs that are running now, so that none outlives the work.

    Each is the leader of a process group, so that what it started goes with it. Their output lies in files, not in
    pipes: a grandchild that keeps a pipe open could hold up its reader for ever. A program whose atrkit is killed
    with -9 is bounded by its own limits on silence (see `youtube`).
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._stopped = False

    def run(self, command: Sequence[str], *, timeout_s: float) -> Ended:
        """Run a program to its end, or to the end of its time.

        Args:
            command: program and arguments; no shell is involved.
            timeout_s: seconds after which it is killed, with everything that it started.

        Raises:
            MissingPrerequisiteError: it cannot be started.
            StoppedError: `kill_all` was called.
        """
        with TemporaryFile() as output, TemporaryFile() as errors:
            process = self._start(command, output, errors)
            status: int | None = None
            try:
                with suppress(subprocess.TimeoutExpired):
                    status = process.wait(timeout_s)
            finally:
                self._end(process)
            if self._stopped:
                raise StoppedError
            return Ended(status, _beginning(output), _end(errors))

    def kill_all(self) -> None:
        """Kill every program, and start no more."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                _kill_group(process)

    def _start(self, command: Sequence[str], output: IO[bytes], errors: IO[bytes]) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._stopped:
                raise StoppedError
            try:
                process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=output, stderr=errors, start_new_session=True
                )
            except OSError as error:
                raise MissingPrerequisiteError(
                    f"{command[0]} cannot be started ({error.strerror or error}): install it again"
                ) from error
            self._running.add(process)
            return process

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        with self._lock:
            _kill_group(process)
            self._running.discard(process)
        process.wait()


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    # once its leader is reaped, the number of a group may belong to somebody else
    if process.poll() is None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)


def _beginning(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read(_KEPT_OUTPUT_BYTES).decode(errors="replace")


def _end(file: IO[bytes]) -> str:
    file.seek(max(0, file.seek(0, os.SEEK_END) - _KEPT_OUTPUT_BYTES))
    return file.read().decode(errors="replace")
