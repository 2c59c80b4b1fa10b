import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile

from atrkit.datasets.audiocaps.tables import AudioCapsClip
from atrkit.datasets.audiocaps.tools import Tools

MEDIA_URL = "https://media.example/videoplayback?expire=1&id="
PRIVATE = "ERROR: [youtube] x: Private video. Sign in if you've been granted access to this video"


@dataclass
class FakeTools:
    """yt-dlp and ffmpeg as shell scripts that write down how they were called."""

    folder: Path
    tools: Tools

    def calls(self, name: str) -> list[list[str]]:
        """Arguments of every call, in order."""
        log = self.folder / f"{name}.log"
        return [line.split("\t") for line in log.read_text().splitlines()] if log.exists() else []

    @property
    def asked(self) -> list[str]:
        """The YouTube ids that yt-dlp was asked for, in order."""
        return [call[-1].rpartition("=")[2] for call in self.calls("yt-dlp")]

    @property
    def count(self) -> int:
        return len(self.calls("yt-dlp")) + len(self.calls("ffmpeg"))


def _script(path: Path, body: str) -> str:
    # `last` is the last argument: the address for yt-dlp, the output for ffmpeg; one write per call, so lines are whole
    log_call = f"IFS='\t'; echo \"$*\" >> {path}.log; unset IFS"
    path.write_text(f"#!/bin/sh\n{log_call}\nfor last; do :; done\nid=${{last##*=}}\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


@pytest.fixture
def good_flac(tmp_path: Path) -> Path:
    path = tmp_path / "good.flac"
    tone = 0.5 * np.sin(np.arange(10 * 8_000) * 0.1)
    soundfile.write(path, np.stack([tone, 0.5 * tone], axis=1), 8_000, subtype="PCM_16")
    return path


@pytest.fixture
def make_tools(tmp_path: Path, good_flac: Path) -> Callable[..., FakeTools]:
    """Make the two programs; by default every video has sound, and ffmpeg writes ten seconds of it."""

    def make(ytdlp: str = f'echo "{MEDIA_URL}$id"', ffmpeg: str = f'cp "{tmp_path}/good.flac" "$last"') -> FakeTools:
        folder = tmp_path / "tools"
        folder.mkdir(exist_ok=True)
        return FakeTools(folder, Tools(_script(folder / "yt-dlp", ytdlp), _script(folder / "ffmpeg", ffmpeg)))

    return make


@pytest.fixture
def make_clips() -> Callable[[int], list[AudioCapsClip]]:
    """Clips of different videos: video00000a, video00000b, ..."""
    return lambda count: [
        AudioCapsClip(f"video00000{letter}", "30", ((f"{number}", "rain"),))
        for number, letter in enumerate("abcdefghijklmnopqrstuvwxyz"[:count])
    ]


@pytest.fixture
def say() -> Callable[[str], str]:
    """The body of a yt-dlp that fails with a message."""
    return lambda message: f'echo "{message}" >&2; exit 1'
