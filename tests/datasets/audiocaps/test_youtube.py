from pathlib import Path

import numpy as np
import pytest
import soundfile

from atrkit.datasets.audiocaps.reasons import Kind, Reason
from atrkit.datasets.audiocaps.tables import AudioCapsClip
from atrkit.datasets.audiocaps.tools import Children
from atrkit.datasets.audiocaps.youtube import FetchedAudio, Timeouts, fetch_clip
from atrkit.errors import ResourceError

CLIP = AudioCapsClip("-video_0-00", "30", ())
MEDIA_URL = "https://media.example/videoplayback?expire=1&id="


@pytest.fixture
def fetch(tmp_path: Path):
    def fetch(fake, clip=CLIP, *, media_url_s=20.0, audio_s=20.0, cookies=None):
        folder = tmp_path / "clips"
        folder.mkdir(exist_ok=True)
        answer = fetch_clip(
            clip,
            folder / "clip.flac",
            tools=fake.tools,
            children=Children(),
            timeouts=Timeouts(media_url_s, audio_s),
            cookies=cookies,
        )
        left = sorted(path.name for path in folder.iterdir())
        assert left == (["clip.flac"] if isinstance(answer, FetchedAudio) else [])  # never half a file, nor a part
        return answer

    return fetch


def test_a_clip_is_fetched_and_its_file_is_what_ffmpeg_wrote(fetch, make_tools, tmp_path, good_flac):
    assert fetch(make_tools()) == FetchedAudio(duration_s=10.0, sample_rate_hz=8_000, channels=2)
    assert (tmp_path / "clips" / "clip.flac").read_bytes() == good_flac.read_bytes()


def test_the_programs_are_called_with_lists_in_which_nothing_can_be_an_option(fetch, make_tools):
    fake = make_tools()
    fetch(fake)
    [ytdlp] = fake.calls("yt-dlp")
    assert ytdlp[-2:] == ["--", "https://www.youtube.com/watch?v=-video_0-00"]
    assert {"--ignore-config", "--no-playlist", "--socket-timeout", "--get-url"} <= set(ytdlp)
    assert "--cookies" not in ytdlp

    [ffmpeg] = fake.calls("ffmpeg")
    assert ffmpeg[ffmpeg.index("-i") + 1] == f"{MEDIA_URL}-video_0-00"
    assert ffmpeg[ffmpeg.index("-ss") + 1] == "30"
    assert ffmpeg.index("-ss") < ffmpeg.index("-i")  # a jump, not ten minutes of decoding
    assert ffmpeg[ffmpeg.index("-t") + 1] == "10"
    assert ffmpeg[ffmpeg.index("-sample_fmt") + 1] == "s16"
    assert "-nostdin" in ffmpeg
    assert not {"-ar", "-ac"} & set(ffmpeg)  # the rate and channels that YouTube has
    allowed = ffmpeg[ffmpeg.index("-protocol_whitelist") + 1].split(",")
    assert "https" in allowed
    assert not {"file", "pipe", "concat", "data", "subfile"} & set(allowed)
    assert ffmpeg[-1].startswith("/")
    assert ffmpeg[-1].endswith(".part")


def test_in_a_playlist_ffmpeg_decodes_up_to_the_start(fetch, make_tools):
    fake = make_tools(ytdlp="echo https://manifest.example/hls/index.m3u8")
    fetch(fake)
    [ffmpeg] = fake.calls("ffmpeg")
    assert "-ss" not in ffmpeg
    assert "atrim=start=30" in ffmpeg[ffmpeg.index("-af") + 1]


@pytest.mark.parametrize("youtube_id", ["--exec rm x", "--exec=rm -", "../../../x", "a;touch x;b", "$(touch x)b", ""])
def test_a_hostile_id_reaches_no_program(fetch, make_tools, youtube_id):
    fake = make_tools()
    assert fetch(fake, AudioCapsClip(youtube_id, "30", ())) == Reason("not a YouTube id", Kind.GONE)
    assert fetch(fake, AudioCapsClip("aaaaaaaaaaa", "0 -f x", ())).permanent
    assert fake.count == 0


def test_what_ytdlp_says_is_the_reason(fetch, make_tools, say):
    fake = make_tools(ytdlp=say("ERROR: [youtube] -video_0-00: Private video. Sign in"))
    assert fetch(fake) == Reason("private", Kind.GONE, "Private video. Sign in")
    assert fake.calls("ffmpeg") == []


@pytest.mark.parametrize(
    "ytdlp",
    [
        "exit 0",
        "echo not an address",
        "head -c 5000 /dev/urandom",
        "echo file:///etc/passwd",
        "echo file://localhost/etc/passwd",
        "echo concat:/etc/passwd",
        "echo ftp://media.example/x",
        "echo -f lavfi",
        "echo 'https://'",
        "echo 'http://[broken'",
        "echo 'https://media.example/a b'",
    ],
)
def test_what_is_no_web_address_never_reaches_ffmpeg(fetch, make_tools, ytdlp):
    fake = make_tools(ytdlp=ytdlp)
    answer = fetch(fake)
    assert (answer.text, answer.kind) == ("yt-dlp printed no address", Kind.FAILED)
    assert fake.calls("ffmpeg") == []


def test_a_program_that_hangs_is_a_reason(fetch, make_tools):
    answer = fetch(make_tools(ytdlp="exec sleep 60"), media_url_s=0.1)
    assert answer == Reason("yt-dlp did not answer", Kind.FAILED, "killed after 0.1 s")
    answer = fetch(make_tools(ffmpeg='head -c 5000 "$TMPDIR/x" > "$last"; exec sleep 60'), audio_s=0.1)
    assert answer == Reason("ffmpeg did not end", Kind.FAILED, "killed after 0.1 s")


@pytest.mark.parametrize(
    ("ffmpeg", "text"),
    [
        ("exit 1", "ffmpeg failed"),
        ("exit 0", "no sound came"),  # no file
        ('head -c 5000 {good} > "$last"; kill -9 $$', "ffmpeg failed"),
        ('head -c 5000 {good} > "$last"', "no sound came"),  # it says all is well
        ('size=$(wc -c < {good}); head -c $((size * 6 / 10)) {good} > "$last"', "no sound came"),  # six seconds
        (': > "$last"', "no sound came"),
        ('echo "<html>" > "$last"', "no sound came"),
        ("echo 'Server returned 403 Forbidden (access denied)' >&2; exit 8", "the sound was refused"),
    ],
)
def test_ffmpeg_that_fails_leaves_a_reason_and_no_file(fetch, make_tools, good_flac, ffmpeg, text):
    answer = fetch(make_tools(ffmpeg=ffmpeg.format(good=good_flac)))
    assert (answer.text, answer.kind) == (text, Kind.FAILED)


def _short_flac(path: Path, duration_s: float) -> Path:
    soundfile.write(path, np.zeros(round(duration_s * 8_000)) + 0.1, 8_000)
    return path


def test_a_clip_at_the_end_of_a_video_may_be_short_but_not_nothing(fetch, make_tools, tmp_path):
    four = _short_flac(tmp_path / "four.flac", 4)
    assert fetch(make_tools(ffmpeg=f'cp {four} "$last"')) == FetchedAudio(4.0, 8_000, 1)
    (tmp_path / "clips" / "clip.flac").unlink()
    half = _short_flac(tmp_path / "half.flac", 0.5)
    assert fetch(make_tools(ffmpeg=f'cp {half} "$last"')) == Reason("no sound came", Kind.FAILED, "0.50 s")


def test_a_clip_that_is_short_because_the_connection_was_cut_is_not_kept(fetch, make_tools, tmp_path, good_flac):
    four = _short_flac(tmp_path / "four.flac", 4)
    cut = 'echo "[http @ 0x1] Stream ends prematurely at 1, should be 2" >&2'
    assert fetch(make_tools(ffmpeg=f'cp {four} "$last"; {cut}')).text == "the transfer broke off"
    assert isinstance(fetch(make_tools(ffmpeg=f'cp {good_flac} "$last"; {cut}')), FetchedAudio)  # all of it is there


def test_a_full_disk_is_no_reason_but_an_error(fetch, make_tools):
    with pytest.raises(ResourceError, match=r"clip\.flac: .*No space left on device"):
        fetch(make_tools(ffmpeg="echo 'Error writing trailer: No space left on device' >&2; exit 1"))


def test_ytdlp_gets_a_copy_of_the_cookies_because_it_writes_them_back(fetch, make_tools, tmp_path):
    cookies = tmp_path / "cookies.txt"
    cookies.write_text("# Netscape HTTP Cookie File\n")
    spoil = (
        f'for word; do case "$before" in --cookies) cp "$word" {tmp_path}/seen; : > "$word";; esac; before=$word; done'
    )
    fake = make_tools(ytdlp=f'{spoil}\necho "{MEDIA_URL}$id"')
    assert isinstance(fetch(fake, cookies=cookies), FetchedAudio)
    assert cookies.read_text() == (tmp_path / "seen").read_text() == "# Netscape HTTP Cookie File\n"
    [ytdlp] = fake.calls("yt-dlp")
    assert not Path(ytdlp[ytdlp.index("--cookies") + 1]).exists()
