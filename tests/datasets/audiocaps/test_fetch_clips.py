import json
import os
import time
from pathlib import Path

import pytest

from atrkit.datasets.audiocaps.fetch_clips import clip_path, fetch_clips
from atrkit.datasets.audiocaps.reasons import Kind, Reason
from atrkit.datasets.audiocaps.tables import AudioCapsClip
from atrkit.datasets.audiocaps.youtube import Timeouts
from atrkit.errors import MissingPrerequisiteError, NetworkError, UsageError

MEDIA = 'echo "https://media.example/videoplayback?id=$id"'
OFFLINE = "ERROR: [youtube] video00000x: Unable to download API page: Failed to resolve 'www.youtube.com'"
LIMITED = "ERROR: [youtube] video00000x: Sign in to confirm you are not a bot"


class Download:
    """`fetch_clips` into one folder, with everything that it told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "clips"
        self.journal = folder / "journal.jsonl"
        self.told: list[tuple[str, str]] = []
        self.remarks: list[str] = []
        self.slept: list[float] = []

    def __call__(self, clips, fake, *, streams=1, timeouts=None, on_clip=None, sleep=None, **options):
        self.told, self.remarks, self.slept = [], [], []
        return fetch_clips(
            [(clip, self.folder) for clip in clips],
            journal=self.journal,
            tools=fake.tools,
            streams=streams,
            timeouts=timeouts,
            on_clip=on_clip or (lambda clip_id, outcome: self.told.append((clip_id, outcome.state))),
            on_remark=self.remarks.append,
            sleep=sleep or self.slept.append,
            **options,
        )

    @property
    def files(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())

    def lines(self) -> list[dict]:
        return [json.loads(line) for line in self.journal.read_text().splitlines()]


@pytest.fixture
def download(tmp_path: Path) -> Download:
    return Download(tmp_path)


def states(outcomes) -> list[str]:
    return [outcome.state for outcome in outcomes.values()]


def test_clips_are_fetched_and_a_second_run_starts_no_process(download, make_tools, make_clips):
    clips, fake = make_clips(3), make_tools()
    outcomes = download(clips, fake, streams=2)
    assert list(outcomes) == [clip.id for clip in clips]
    assert states(outcomes) == ["fetched"] * 3
    assert sorted(download.told) == [(clip.id, "fetched") for clip in clips]
    assert download.files == [f"{clip.id}.flac" for clip in clips]
    assert all(outcome.audio.duration_s == 10 and outcome.attempts == 1 for outcome in outcomes.values())
    assert fake.count == 6

    again = download(clips, fake)
    assert fake.count == 6
    assert states(again) == ["present"] * 3
    assert [outcome.audio for outcome in again.values()] == [outcome.audio for outcome in outcomes.values()]
    assert [outcome.path for outcome in again.values()] == [clip_path(download.folder, clip) for clip in clips]


def test_two_streams_work_at_the_same_time(download, make_tools, make_clips, tmp_path):
    # once the first has answered, each of the others waits until the other has begun
    together = f'touch {tmp_path}/$id; while [ $(ls {tmp_path} | grep -c "^video") -lt 2 ]; do sleep 0.01; done'
    fake = make_tools(ytdlp=f"case $id in *a) ;; *) {together};; esac; {MEDIA}")
    outcomes = download(make_clips(3), fake, streams=2, timeouts=Timeouts(media_url_s=5))
    assert states(outcomes) == ["fetched"] * 3


def test_a_private_video_is_asked_for_once_and_never_again(download, make_tools, make_clips, say):
    clips = make_clips(2)
    private = say("ERROR: [youtube] video00000x: Private video")
    fake = make_tools(ytdlp=f"case $id in *a) {private};; esac; {MEDIA}")
    outcomes = download(clips, fake)
    assert states(outcomes) == ["missing", "fetched"]
    assert outcomes[clips[0].id].reason == Reason("private", Kind.GONE, "Private video")

    again = download(clips, fake)
    assert fake.asked == ["video00000a", "video00000b"]
    assert again[clips[0].id].reason == Reason("private", Kind.GONE, "Private video")
    assert again[clips[0].id].attempts == 1

    download(clips, fake, retry_missing=True)
    assert fake.asked == ["video00000a", "video00000b", "video00000a"]


def test_a_clip_that_needs_a_login_is_asked_for_again_when_there_are_cookies(
    download, make_tools, make_clips, tmp_path
):
    cookies = tmp_path / "cookies.txt"
    cookies.touch()
    age = "echo 'ERROR: [youtube] video00000x: Sign in to confirm your age' >&2; exit 1"
    fake = make_tools(ytdlp=f'case "$*" in *--cookies*) {MEDIA};; *) {age};; esac')
    assert states(download(make_clips(1), fake)) == ["missing"]
    assert states(download(make_clips(1), fake)) == ["missing"]
    assert len(fake.asked) == 1
    assert states(download(make_clips(1), fake, cookies=cookies)) == ["fetched"]


def test_what_failed_is_tried_again_after_the_others_and_in_the_next_run(download, make_tools, make_clips):
    clips = make_clips(3)
    fake = make_tools(ytdlp=f"case $id in *a) exit 1;; esac; {MEDIA}")
    outcomes = download(clips, fake)
    assert states(outcomes) == ["missing", "fetched", "fetched"]
    assert fake.asked == ["video00000a", "video00000b", "video00000c", "video00000a"]
    assert outcomes[clips[0].id].attempts == 2
    assert outcomes[clips[0].id].reason.permanent is False

    outcomes = download(clips, make_tools())
    assert states(outcomes) == ["fetched", "present", "present"]
    assert outcomes[clips[0].id].attempts == 3


def test_after_a_refusal_all_wait_and_then_go_on(download, make_tools, make_clips, tmp_path, say):
    clips = make_clips(4)
    refuse_first = f"mkdir {tmp_path}/refused 2>/dev/null && {{ {say(LIMITED)}; }}; {MEDIA}"
    fake = make_tools(ytdlp=refuse_first)
    outcomes = download(clips, fake, streams=2)
    assert states(outcomes) == ["fetched"] * 4
    assert download.slept == [30]
    assert download.remarks == ["YouTube asks for a log-in: all wait 30 s (pause 1 of 5)"]
    assert all(outcome.attempts == 1 for outcome in outcomes.values())  # a refusal says nothing about a clip


def test_when_youtube_keeps_refusing_it_stops_and_says_what_helps(download, make_tools, make_clips, say):
    clips = make_clips(4)
    fake = make_tools(ytdlp=f"case $id in *a) {MEDIA};; *) {say(LIMITED)};; esac")
    with pytest.raises(NetworkError) as stopped:
        download(clips, fake, streams=2)
    assert download.slept == [30, 60, 120, 300, 600]
    assert stopped.value.exit_code == 6
    for part in ("1 of 4 clips are there", "the same command goes on", "--cookies FILE", "fewer --streams", "wait"):
        assert part in str(stopped.value)
    assert download.files == ["video00000a_30.flac"]

    assert states(download(clips, make_tools())) == ["present", "fetched", "fetched", "fetched"]


def test_an_answer_between_refusals_makes_pauses_short_again(download, make_tools, make_clips, tmp_path, say):
    # every second request is refused
    alternate = f"if rmdir {tmp_path}/odd 2>/dev/null; then {MEDIA}; else mkdir {tmp_path}/odd; {say(LIMITED)}; fi"
    assert states(download(make_clips(8), make_tools(ytdlp=alternate))) == ["fetched"] * 8
    assert download.slept == [30] * 8


@pytest.mark.parametrize("count", [1, 3, 20])
def test_without_network_it_stops_at_once(download, make_tools, make_clips, say, count):
    fake = make_tools(ytdlp=say(OFFLINE))
    with pytest.raises(NetworkError, match=r"could not be reached .*0 of .* clips are there; check"):
        download(make_clips(count), fake, streams=4)
    assert download.slept == []
    assert len(fake.asked) == 2


def nth_request(folder: Path, pattern: str, body: str) -> str:
    """A yt-dlp that does something else at some of its requests, counted from 1."""
    return f"echo x >> {folder}/n; case $(($(wc -l < {folder}/n))) in {pattern}) {body};; esac; {MEDIA}"


def test_while_all_wait_nothing_is_asked(download, make_tools, make_clips, tmp_path, say):
    refuse_once = f"mkdir {tmp_path}/refused 2>/dev/null && {{ {say(LIMITED)}; }}"
    fake = make_tools(ytdlp=f"case $id in *b) {refuse_once};; *c) sleep 0.2;; esac; {MEDIA}")
    before_the_pause: list[str] = []
    outcomes = download(make_clips(6), fake, streams=2, sleep=lambda _: before_the_pause.extend(fake.asked))
    assert states(outcomes) == ["fetched"] * 6
    assert sorted(before_the_pause) == ["video00000a", "video00000b", "video00000c"]


def test_a_network_that_goes_away_is_waited_for(download, make_tools, make_clips, tmp_path, say):
    # two in a row cannot reach YouTube, all wait, a third cannot either: that is its own matter again
    fake = make_tools(ytdlp=nth_request(tmp_path, "3|4|5", say(OFFLINE)))
    assert states(download(make_clips(6), fake)) == ["fetched"] * 6
    assert download.slept == [30]


def test_failures_of_the_network_that_do_not_follow_each_other_are_single_clips(
    download, make_tools, make_clips, tmp_path, say
):
    fake = make_tools(ytdlp=nth_request(tmp_path, "2|4|6", say(OFFLINE)))
    assert states(download(make_clips(6), fake)) == ["fetched"] * 6
    assert download.slept == []


@pytest.mark.parametrize("letter", ["a", "c"])
def test_one_clip_that_times_out_does_not_hold_up_the_rest(download, make_tools, make_clips, say, letter):
    fake = make_tools(ytdlp=f"case $id in *{letter}) {say(OFFLINE)};; esac; {MEDIA}")
    assert sorted(states(download(make_clips(3), fake))) == ["fetched", "fetched", "missing"]
    assert len(fake.asked) == 4
    assert (download.slept, download.remarks) == ([], [])


def test_a_clip_whose_program_hangs_is_missing(download, make_tools, make_clips):
    fake = make_tools(ytdlp=f"case $id in *a) exec sleep 60;; esac; {MEDIA}")
    outcomes = download(make_clips(2), fake, streams=2, timeouts=Timeouts(media_url_s=0.1))
    assert states(outcomes) == ["missing", "fetched"]
    assert outcomes["video00000a_30"].reason.text == "yt-dlp did not answer"


def test_many_failures_in_a_row_are_remarked_upon_once(download, make_tools, make_clips):
    download(make_clips(8), make_tools(ytdlp="exit 1"))
    [remark] = download.remarks
    assert "10 requests in a row failed" in remark
    assert "pip install -U yt-dlp" in remark


def test_videos_that_are_gone_are_no_sign_of_an_old_ytdlp(download, make_tools, make_clips, say):
    outcomes = download(make_clips(12), make_tools(ytdlp=say("ERROR: [youtube] video00000x: Private video")))
    assert {outcome.reason.text for outcome in outcomes.values()} == {"private"}
    assert download.remarks == []


def test_hostile_ids_are_missing_and_reach_neither_programs_nor_paths(download, make_tools, tmp_path):
    clips = [
        AudioCapsClip("--exec rm x", "30", ()),
        AudioCapsClip("../../../x", "30", ()),
        AudioCapsClip("aaaaaaaaaaa", "../../x", ()),
    ]
    fake = make_tools()
    before = sorted(tmp_path.rglob("*"))
    outcomes = download(clips, fake)
    assert fake.count == 0
    assert [outcome.reason.text for outcome in outcomes.values()] == [
        "not a YouTube id",
        "not a YouTube id",
        "the start is no whole number of seconds",
    ]
    assert all(outcome.reason.permanent and outcome.path is None for outcome in outcomes.values())
    assert sorted(path for path in tmp_path.rglob("*") if path != download.journal) == before
    for clip in clips:
        with pytest.raises(ValueError, match=r"not a YouTube id|no whole number"):
            clip_path(download.folder, clip)


def test_tools_are_looked_for_only_when_a_clip_has_to_be_fetched(download, make_tools, make_clips, monkeypatch):
    clips = make_clips(1)
    download(clips, make_tools())
    monkeypatch.setenv("AAC_DATASETS_YTDLP_PATH", "/nowhere/yt-dlp")
    again = fetch_clips([(clips[0], download.folder)], journal=download.journal)
    assert states(again) == ["present"]
    with pytest.raises(MissingPrerequisiteError, match="/nowhere/yt-dlp"):
        fetch_clips([(clip, download.folder) for clip in make_clips(2)], journal=download.journal)


@pytest.mark.parametrize("options", [{"streams": 0}, {"cookies": Path("/nowhere/cookies.txt")}])
def test_senseless_options_are_refused(download, make_tools, make_clips, options):
    with pytest.raises(UsageError):
        download(make_clips(1), make_tools(), **options)


def test_ctrl_c_kills_the_programs_and_leaves_a_whole_journal(download, make_tools, make_clips, tmp_path):
    clips = make_clips(3)
    hang = f"touch {tmp_path}/pid.$$; exec sleep 60"
    fake = make_tools(ytdlp=f"case $id in *c) {hang};; esac; {MEDIA}")

    def interrupt(clip_id: str, outcome: object) -> None:
        for _ in range(500 if clip_id == clips[1].id else 0):
            if list(tmp_path.glob("pid.*")):
                raise KeyboardInterrupt
            time.sleep(0.01)

    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        download(clips, fake, streams=3, on_clip=interrupt)
    assert time.monotonic() - start < 10
    [pid_file] = tmp_path.glob("pid.*")
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.suffix[1:]), 0)
    assert all(name.endswith(".flac") for name in download.files)
    assert [line["clip_id"] for line in download.lines()] == [clip.id for clip in clips[:2]]

    assert set(states(download(clips, make_tools()))) == {"present", "fetched"}


def test_ctrl_c_ends_a_pause(download, make_tools, make_clips, say):
    def interrupted(pause_s: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(make_clips(2), make_tools(ytdlp=say(LIMITED)), sleep=interrupted)


def test_a_journal_torn_by_a_kill_is_read_and_continued(download, make_tools, make_clips, say):
    clips = make_clips(3)
    download(clips, make_tools(ytdlp=say("ERROR: [youtube] video00000x: Private video")))
    whole = download.journal.read_bytes()
    lines = whole.splitlines(keepends=True)
    for cut in (1, 20, len(lines[2]) - 1):  # the last of these lost only its line end
        download.journal.write_bytes(b"".join(lines[:2]) + lines[2][:cut])
        fake = make_tools(ytdlp=say("ERROR: [youtube] video00000x: Private video"))
        (fake.folder / "yt-dlp.log").unlink(missing_ok=True)
        outcomes = download(clips, fake)
        assert fake.asked == ([] if cut == len(lines[2]) - 1 else ["video00000c"])
        assert [outcome.reason.text for outcome in outcomes.values()] == ["private"] * 3
        assert download.remarks == []


def test_a_damaged_journal_costs_requests_and_nothing_else(download, make_tools, make_clips):
    download.journal.write_bytes(b'{"clip_id": 1}\n\xff\xfe\n[]\nnull\n{"clip_id": "x", "attempts": "y"}\n')
    assert states(download(make_clips(2), make_tools())) == ["fetched", "fetched"]
    assert download.remarks == [f"5 lines of {download.journal} cannot be read: their clips are asked for again"]


def test_a_file_that_was_deleted_is_fetched_again(download, make_tools, make_clips):
    [clip] = make_clips(1)
    download([clip], make_tools())
    clip_path(download.folder, clip).unlink()
    assert states(download([clip], make_tools())) == ["fetched"]


def test_what_an_earlier_kill_left_is_cleared_away(download, make_tools, make_clips):
    download.folder.mkdir()
    (download.folder / ".video00000a_30.flac.12345.part").touch()
    (download.folder / "mine.part").touch()
    download(make_clips(1), make_tools())
    assert download.files == ["mine.part", "video00000a_30.flac"]
