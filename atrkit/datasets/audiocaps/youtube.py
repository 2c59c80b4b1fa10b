"""One clip from YouTube: yt-dlp says where the sound is, ffmpeg takes ten seconds of it.

aac-datasets does the same, but lets ffmpeg decode everything before the clip, waits without limit, throws away what
the programs say, and keeps half a file (FACTS.md). Here ffmpeg seeks first, both programs have their time, every
failure has a reason, and a file has its name only once all of it has been decoded.
"""

import os
import shutil
import tempfile
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from atrkit.audio.decode import BlockReader, UnusableAudioError
from atrkit.datasets.audiocaps.reasons import Kind, Reason, detail_of, from_ffmpeg, from_ytdlp
from atrkit.datasets.audiocaps.tables import CLIP_DURATION_S, AudioCapsClip
from atrkit.datasets.audiocaps.tools import Children, Tools
from atrkit.errors import ResourceError
from atrkit.files import as_resource_error

# our choice: AudioSet's excerpts at the end of a video are shorter than 10 s, but none is shorter than this
SHORTEST_CLIP_S = 1.0
_SLACK_S = 0.01
_MICROSECONDS = 1_000_000
# what googlevideo.com needs, HLS and a proxy included; above all neither file nor pipe nor concat
_PROTOCOLS = "https,http,tls,tcp,crypto,httpproxy"
# plain files first: ffmpeg cannot jump within a playlist
_FORMAT = "bestaudio[protocol=https]/best[protocol=https]/bestaudio/best"
# the encoder takes its block size from the first frame, and a cut can leave that with fewer samples than FLAC allows
_EVEN_BLOCKS = "asetnsamples=n=4096:p=0"
_DISK_TROUBLE = ("No space left on device", "Disk quota exceeded", "Read-only file system", "File too large")


@dataclass(frozen=True)
class Timeouts:
    """How long to wait, in seconds.

    Args:
        media_url_s: for yt-dlp to find the sound.
        audio_s: for ffmpeg to take the clip.
        silence_s: for a server that says nothing; also bounds programs whose atrkit was killed with -9.
    """

    media_url_s: float = 120
    audio_s: float = 180
    silence_s: float = 20


@dataclass(frozen=True)
class FetchedAudio:
    """A clip that was written: 16-bit FLAC, with the rate and channels that YouTube has.

    Args:
        duration_s: its length in seconds; less than 10 where the video ends.
        sample_rate_hz: of the file.
        channels: of the file.
    """

    duration_s: float
    sample_rate_hz: int
    channels: int


def fetch_clip(
    clip: AudioCapsClip,
    path: Path,
    *,
    tools: Tools,
    children: Children,
    timeouts: Timeouts,
    cookies: Path | None = None,
) -> FetchedAudio | Reason:
    """Write one clip, or say why not.

    Args:
        clip: which; one with a `fault` is never passed to a program.
        path: of the FLAC file; its folder must be there.
        tools: the two programs.
        children: runs them.
        timeouts: how long to wait.
        cookies: of somebody who is logged in to YouTube, in Netscape format; the file is not written to.

    Raises:
        MissingPrerequisiteError: a program cannot be started.
        ResourceError: the disk is full or the folder cannot be written.
        StoppedError: `children` were told to stop.
    """
    if clip.fault is not None:
        return Reason(clip.fault, Kind.GONE)
    part = path.with_name(part_name(path.name))
    try:
        url = _media_url(clip, tools.ytdlp, children, timeouts, cookies)
        if isinstance(url, Reason):
            return url
        return _excerpt(clip, url, part, path, tools.ffmpeg, children, timeouts)
    except OSError as error:
        raise as_resource_error(error, path) from error
    finally:
        with suppress(OSError):
            part.unlink()


def part_name(name: str) -> str:
    """What ffmpeg writes to: another process, or an orphan of one, never writes to the same file."""
    return f".{name}.{os.getpid()}.part"


def _media_url(
    clip: AudioCapsClip, ytdlp: str, children: Children, timeouts: Timeouts, cookies: Path | None
) -> str | Reason:
    command = [ytdlp, "--ignore-config", "--no-playlist", "--no-progress", "--format", _FORMAT]
    command += ["--socket-timeout", f"{timeouts.silence_s:g}", "--retries", "2", "--extractor-retries", "1"]
    address = ["--get-url", "--", f"https://www.youtube.com/watch?v={clip.youtube_id}"]
    with ExitStack() as stack:
        if cookies is not None:
            # yt-dlp writes its cookies back, and several of them at once would spoil the file
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="atrkit-"))
            command += ["--cookies", shutil.copy(cookies, folder)]
        ended = children.run(command + address, timeout_s=timeouts.media_url_s)
    if ended.status is None:
        return Reason("yt-dlp did not answer", Kind.FAILED, f"killed after {timeouts.media_url_s:g} s")
    if ended.status != 0:
        return from_ytdlp(ended.errors)
    urls = [line for line in ended.output.splitlines() if _is_web_address(line)]
    if not urls:
        return Reason("yt-dlp printed no address", Kind.FAILED, detail_of(ended.output) or detail_of(ended.errors))
    return urls[0]


def _is_web_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and text.isprintable() and " " not in text


def _excerpt(
    clip: AudioCapsClip, url: str, part: Path, path: Path, ffmpeg: str, children: Children, timeouts: Timeouts
) -> FetchedAudio | Reason:
    command = [ffmpeg, "-nostdin", "-hide_banner", "-loglevel", "error", "-y"]
    command += ["-protocol_whitelist", _PROTOCOLS, "-rw_timeout", str(round(timeouts.silence_s * _MICROSECONDS))]
    is_playlist = urlsplit(url).path.endswith(".m3u8")
    command += ["-i", url] if is_playlist else ["-ss", clip.start, "-i", url]
    # a jump within a playlist of segments lands up to a segment's length beside the start: decode from the beginning
    filters = [f"atrim=start={clip.start}", "asetpts=PTS-STARTPTS", _EVEN_BLOCKS] if is_playlist else [_EVEN_BLOCKS]
    command += ["-map", "0:a:0", "-af", ",".join(filters), "-t", str(CLIP_DURATION_S), "-map_metadata", "-1"]
    command += ["-bitexact", "-c:a", "flac", "-sample_fmt", "s16", "-f", "flac", str(part.absolute())]
    ended = children.run(command, timeout_s=timeouts.audio_s)
    if any(trouble in ended.errors for trouble in _DISK_TROUBLE):
        raise ResourceError(f"cannot write {path}: {detail_of(ended.errors)}; free some space and run it again")
    if ended.status is None:
        return Reason("ffmpeg did not end", Kind.FAILED, f"killed after {timeouts.audio_s:g} s")
    if ended.status != 0:
        return from_ffmpeg(ended.errors)
    audio = _decoded(part)
    if isinstance(audio, Reason):
        return audio if not ended.errors.strip() else from_ffmpeg(ended.errors)
    if audio.duration_s < CLIP_DURATION_S - _SLACK_S and ended.errors.strip():
        return from_ffmpeg(ended.errors)  # a connection that is cut ends the file, and ffmpeg is content
    with part.open("rb+") as whole:
        os.fsync(whole.fileno())
    part.replace(path)
    return audio


def _decoded(part: Path) -> FetchedAudio | Reason:
    """Decode all of it: what a header promises is no proof."""
    try:
        reader = BlockReader(part)
        for _ in reader.blocks():
            pass
    except UnusableAudioError as error:
        return Reason("no sound came", Kind.FAILED, str(error))
    duration_s = reader.frames / reader.sample_rate_hz
    if reader.breaks_off or duration_s < SHORTEST_CLIP_S:
        return Reason("no sound came", Kind.FAILED, reader.breaks_off or f"{duration_s:.2f} s")
    return FetchedAudio(duration_s, reader.sample_rate_hz, reader.channels)
