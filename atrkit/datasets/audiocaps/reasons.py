"""Why a clip could not be had: what yt-dlp and ffmpeg say, sorted by what can be done about it.

yt-dlp passes on YouTube's own sentences, which change now and then; a sentence that is not known here is kept with
the clip, which is then tried again.
"""

import re
from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """What to do about a failure."""

    GONE = "gone"  # asking again does not help
    FAILED = "failed"  # ask again, some other time
    OFFLINE = "offline"  # so, and when others fail alike, there is no network
    LIMITED = "limited"  # YouTube has had enough of us: ask the same again, later


@dataclass(frozen=True)
class Reason:
    """Why a clip is missing.

    Args:
        text: a few words, the same for all clips that are missing for the same reason.
        kind: what to do about it.
        detail: what the program said, in one line; may be empty.
        cookies_help: somebody who is logged in would get the clip.
    """

    text: str
    kind: Kind
    detail: str = ""
    cookies_help: bool = False

    @property
    def permanent(self) -> bool:
        """Asking again in the same way does not help."""
        return self.kind is Kind.GONE


_LONGEST_DETAIL = 200
_CAUSE = re.compile(r" \(caused by .*")
_SAYS_NOTHING = ("Last message repeated", "Error opening input file", "Error opening output file")
_PREFIX = re.compile(r"((ERROR|WARNING): *)?(\[[\w:#/,]+( @ 0x[0-9a-f]+)?\] *)*([\w-]{11}: +)?")

# the first pattern that is found decides: what limits us comes first, because YouTube words it like a missing video
_YTDLP_SAYS = (
    (r"confirm you.{1,5}re not a bot|not a bot|captcha challenge", "YouTube asks for a log-in", Kind.LIMITED, True),
    (r"error 429|too many requests|rate.?limited|try again later", "YouTube limits this address", Kind.LIMITED, True),
    (r"confirm your age|age.restricted|inappropriate for some", "age-restricted", Kind.GONE, True),
    (r"members.only|channel's members|join this channel", "members only", Kind.GONE, True),
    (r"private video|video is private", "private", Kind.GONE, False),
    (r"(in|from) your country|geo.?restrict", "blocked in this country", Kind.GONE, False),
    (r"account.{0,40}terminated|closed their youtube account", "account terminated", Kind.GONE, False),
    (r"copyright", "removed for copyright", Kind.GONE, False),
    (r"removed by the (uploader|user)", "removed by the uploader", Kind.GONE, False),
    (r"removed for violating|violat\w+ youtube's|terms of service", "removed by YouTube", Kind.GONE, False),
    (r"live event|premieres? in|live ?stream|is live\b|will begin", "a live stream", Kind.FAILED, False),
    (r"drm.protected", "protected by DRM", Kind.GONE, False),
    (
        r"video unavailable|(video|content) (is|isn.t) (not |no longer )?available|does not exist|has been removed",
        "unavailable",
        Kind.GONE,
        False,
    ),
    (
        r"failed to resolve|getaddrinfo|name resolution|timed? ?out|connection (refused|reset|aborted)"
        r"|remote end closed|network is unreachable|no route to host|http error 5\d\d"
        r"|unable to connect|proxy|certificate|ssl",
        "YouTube could not be reached",
        Kind.OFFLINE,
        False,
    ),
)
_FFMPEG_SAYS = (
    (r"(error|returned) 429|too many requests", "YouTube limits this address", Kind.LIMITED, True),
    (r"matches no streams|does not contain any stream", "the video has no sound", Kind.GONE, False),
    (r"\b403\b|forbidden", "the sound was refused", Kind.FAILED, False),
    (
        r"failed to resolve|timed out|connection (refused|reset)|network is unreachable|ends prematurely|5xx"
        r"|input/output error|i/o error|\b5\d\d\b",
        "the transfer broke off",
        Kind.FAILED,
        False,
    ),
    (r"invalid data found|whitelist", "no sound came", Kind.FAILED, False),
)


def from_ytdlp(errors: str) -> Reason:
    """What yt-dlp's messages mean.

    >>> from_ytdlp("ERROR: [youtube] abcdefghijk: Private video. Sign in if you've been granted access")
    Reason(text='private', kind=<Kind.GONE: 'gone'>, detail="Private video. Sign in if you've been granted access",
           cookies_help=False)

    Args:
        errors: what it wrote to stderr.
    """
    return _first_match(_YTDLP_SAYS, errors, Reason("yt-dlp failed", Kind.FAILED), has_warnings=True)


def from_ffmpeg(errors: str) -> Reason:
    """What ffmpeg's messages mean.

    Args:
        errors: what it wrote to stderr.
    """
    return _first_match(_FFMPEG_SAYS, errors, Reason("ffmpeg failed", Kind.FAILED), has_warnings=False)


def detail_of(errors: str) -> str:
    """The line that says most, short, without the prefixes of the two programs.

    >>> detail_of("WARNING: slow\\nERROR: [youtube] abcdefghijk: Video unavailable\\n")
    'Video unavailable'
    """
    lines = [line for line in errors.splitlines() if line.strip() and not _shortened(line).startswith(_SAYS_NOTHING)]
    serious = [line for line in lines if line.startswith("ERROR")] or lines
    return _shortened(serious[-1]) if serious else ""


def _first_match(
    patterns: tuple[tuple[str, str, Kind, bool], ...], errors: str, otherwise: Reason, *, has_warnings: bool
) -> Reason:
    detail = detail_of(errors)
    for pattern, text, kind, cookies_help in patterns:
        if re.search(pattern, detail, re.IGNORECASE):
            return Reason(text, kind, detail, cookies_help)
    for pattern, text, kind, cookies_help in patterns:
        for line in map(_shortened, errors.splitlines()):
            # a warning may name what did not matter in the end: enough for a pause, not to give a clip up
            if not (has_warnings and kind is Kind.GONE) and re.search(pattern, line, re.IGNORECASE):
                return Reason(text, kind, line, cookies_help)
    return Reason(otherwise.text, otherwise.kind, detail)


def _shortened(line: str) -> str:
    said = _CAUSE.sub("", _PREFIX.sub("", line.strip()))
    return "".join(letter if letter.isprintable() else "?" for letter in said)[:_LONGEST_DETAIL]
