import pytest

from atrkit.datasets.audiocaps.reasons import Kind, detail_of, from_ffmpeg, from_ytdlp

ASK = "Use --cookies-from-browser or --cookies for the authentication. See  https://github.com/yt-dlp/yt-dlp/wiki/FAQ"
UNREACHABLE = (
    "Unable to download API page: HTTPSConnection(host='www.youtube.com', port=443): Failed to resolve "
    "'www.youtube.com' ([Errno -2] Name or service not known) (caused by TransportError(...))"
)


# what YouTube says, as seen in yt-dlp's issues and in its extractor
@pytest.mark.parametrize(
    ("message", "text", "kind", "cookies_help"),
    [
        (f"Private video. Sign in if you've been granted access to this video. {ASK}", "private", Kind.GONE, False),
        ("Video unavailable. This video is private", "private", Kind.GONE, False),
        (
            "Video unavailable. This video has been removed by the uploader",
            "removed by the uploader",
            Kind.GONE,
            False,
        ),
        (
            "Video unavailable. This video is no longer available because the YouTube account associated with this "
            "video has been terminated.",
            "account terminated",
            Kind.GONE,
            False,
        ),
        (
            "Video unavailable. This video is no longer available because the uploader has closed their YouTube "
            "account.",
            "account terminated",
            Kind.GONE,
            False,
        ),
        (
            "Video unavailable. This video is no longer available due to a copyright claim by A Label",
            "removed for copyright",
            Kind.GONE,
            False,
        ),
        (
            "Video unavailable. This video contains content from A Label, who has blocked it in your country on "
            "copyright grounds",
            "blocked in this country",
            Kind.GONE,
            False,
        ),
        (
            "The uploader has not made this video available in your country",
            "blocked in this country",
            Kind.GONE,
            False,
        ),
        (
            "This video has been removed for violating YouTube's Terms of Service",
            "removed by YouTube",
            Kind.GONE,
            False,
        ),
        (
            f"Sign in to confirm your age. This video may be inappropriate for some users. {ASK}",
            "age-restricted",
            Kind.GONE,
            True,
        ),
        (
            "Join this channel to get access to members-only content like this video, and other exclusive perks.",
            "members only",
            Kind.GONE,
            True,
        ),
        (
            "This video is available to this channel's members on level: Live streams! (or any higher level).",
            "members only",
            Kind.GONE,
            True,
        ),
        ("Video unavailable", "unavailable", Kind.GONE, False),
        ("This video is not available", "unavailable", Kind.GONE, False),
        ("This live event will begin in 3 hours.", "a live stream", Kind.FAILED, False),
        ("Premieres in 10 days", "a live stream", Kind.FAILED, False),
        (f"Sign in to confirm you’re not a bot. {ASK}", "YouTube asks for a log-in", Kind.LIMITED, True),
        ("Sign in to confirm you're not a bot", "YouTube asks for a log-in", Kind.LIMITED, True),
        ("Sign in to confirm you\ufffd\ufffd\ufffdre not a bot", "YouTube asks for a log-in", Kind.LIMITED, True),
        (
            "Video unavailable. YouTube is requiring a captcha challenge before playback",
            "YouTube asks for a log-in",
            Kind.LIMITED,
            True,
        ),
        (
            "Video unavailable. This content isn't available, try again later. The current session has been "
            "rate-limited by YouTube for up to an hour.",
            "YouTube limits this address",
            Kind.LIMITED,
            True,
        ),
        (
            "Unable to download API page: HTTP Error 429: Too Many Requests (caused by <HTTPError 429>)",
            "YouTube limits this address",
            Kind.LIMITED,
            True,
        ),
        (UNREACHABLE, "YouTube could not be reached", Kind.OFFLINE, False),
        (
            "Unable to download API page: The read operation timed out (caused by TransportError)",
            "YouTube could not be reached",
            Kind.OFFLINE,
            False,
        ),
        (
            "Requested format is not available. Use --list-formats for a list of available formats",
            "yt-dlp failed",
            Kind.FAILED,
            False,
        ),
        ("Failed to extract any player response", "yt-dlp failed", Kind.FAILED, False),
    ],
)
def test_what_youtube_says_becomes_a_reason(message, text, kind, cookies_help):
    reason = from_ytdlp(f"WARNING: [youtube] something else\nERROR: [youtube] 429-5xx_abc: {message}\n")
    assert (reason.text, reason.kind, reason.cookies_help) == (text, kind, cookies_help)
    assert reason.permanent is (kind is Kind.GONE)
    assert reason.detail == message.partition(" (caused by")[0][:200]


@pytest.mark.parametrize(
    ("errors", "text", "kind"),
    [
        ("", "yt-dlp failed", Kind.FAILED),
        ("Killed\n", "yt-dlp failed", Kind.FAILED),
        ("Traceback (most recent call last):\n  File x\nKeyError: 'x'\n", "yt-dlp failed", Kind.FAILED),
        # a warning only decides where the error says nothing that is known
        ("WARNING: HTTP Error 429: Too Many Requests\nERROR: x\n", "YouTube limits this address", Kind.LIMITED),
        ("WARNING: HTTP Error 429\nERROR: [youtube] x: Private video.\n", "private", Kind.GONE),
        ("WARNING: [youtube] x: Video unavailable\nERROR: [youtube] x: who knows\n", "yt-dlp failed", Kind.FAILED),
    ],
)
def test_other_output_of_ytdlp(errors, text, kind):
    reason = from_ytdlp(errors)
    assert (reason.text, reason.kind) == (text, kind)


# seen with ffmpeg 9 against a local server
@pytest.mark.parametrize(
    ("errors", "text", "kind"),
    [
        ("Error opening input: Server returned 403 Forbidden (access denied)", "the sound was refused", Kind.FAILED),
        ("Server returned 429 Too Many Requests", "YouTube limits this address", Kind.LIMITED),
        ("Server returned 5XX Server Error reply", "the transfer broke off", Kind.FAILED),
        ("[http @ 0x55d225c54a80] Stream ends prematurely at 604924, should be 621248", "the transfer broke off", None),
        ("[in#0/webm @ 0x5596] Error during demuxing: Connection timed out", "the transfer broke off", Kind.FAILED),
        ("Error opening input: Connection refused", "the transfer broke off", Kind.FAILED),
        (
            "[out#0/flac @ 0x5596] Stream map '' matches no streams.\nTo ignore this, add a trailing '?' to the map.\n"
            "Failed to set value '0:a:0' for option 'map': Invalid argument\n"
            "Error parsing options for output file x.part.\nError opening output files: Invalid argument",
            "the video has no sound",
            None,
        ),
        ("Error opening input: Invalid data found when processing input", "no sound came", Kind.FAILED),
        ("something new", "ffmpeg failed", Kind.FAILED),
        ("", "ffmpeg failed", Kind.FAILED),
    ],
)
def test_what_ffmpeg_says_becomes_a_reason(errors, text, kind):
    reason = from_ffmpeg(errors)
    assert reason.text == text
    assert reason.kind is (kind or reason.kind)
    assert reason.permanent is (text == "the video has no sound")


def test_the_detail_is_one_printable_line():
    assert (
        detail_of("a\n[in#0/matroska,webm @ 0x55d225c54a80] b\x1b[31m\tc\n    Last message repeated 3 times\n")
        == "b?[31m?c"
    )
    assert len(detail_of("x" * 1000)) == 200
    assert detail_of(" \n") == ""
