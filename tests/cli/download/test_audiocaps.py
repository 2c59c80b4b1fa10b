"""`atrkit download audiocaps` as a user runs it, with programs that stand for yt-dlp and ffmpeg."""

import csv
import functools

import numpy as np
import pytest
import soundfile

from atrkit.datasets.aac_tables import ROOT_VARIABLE
from atrkit.datasets.audiocaps import fetch_clips, pools, tables
from atrkit.datasets.audiocaps.youtube import Timeouts
from atrkit.datasets.manifest import load_dataset


def missing(atrkit):
    with (atrkit.data / "audiocaps" / "missing.csv").open(newline="") as file:
        return {row["clip_id"]: (row["split"], row["reason"], row["permanent"]) for row in csv.DictReader(file)}


def write_sound(path, rate_hz=32_000, duration_s=1.0):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.random.default_rng(0).uniform(-0.1, 0.1, round(rate_hz * duration_s)), rate_hz)


def test_the_whole_way(atrkit, audiocaps, tools):
    atrkit("download", "audiocaps")
    dataset = load_dataset(atrkit.data / "audiocaps")
    assert {split: len(dataset.split(split)) for split in dataset.splits} == {"train": 1, "val": 2, "test": 3}
    clip = next(clip for clip in dataset.clips if clip.id == "_-testAAAAA_100")
    assert clip.path == "AUDIOCAPS/audio_original/test/_-testAAAAA_100.flac"
    assert [copy.path for copy in clip.copies] == ["AUDIOCAPS/audio_32000Hz/test/_-testAAAAA_100.flac"]  # aac-datasets'
    assert len(clip.captions) == 5 and clip.captions[0].normalised == "sound 0 described 0 times"
    assert clip.metadata == {"youtube_id": "_-testAAAAA", "start_s": 100}
    assert soundfile.info(dataset.folder / clip.copies[0].path).samplerate == 32_000
    assert missing(atrkit) == {}
    assert len(tools.calls("ytdlp")) == len(tools.calls("ffmpeg")) == 6
    atrkit("extract", "--encoder", "logmel")


def test_a_second_run_starts_no_program_and_makes_no_request(atrkit, audiocaps, tools):
    atrkit("download", "audiocaps", "--subset", "val")
    programs, requests = len(tools.calls("ytdlp")), len(audiocaps.requests)
    assert programs == 2
    atrkit("download", "audiocaps", "--subset", "val")
    assert (len(tools.calls("ytdlp")), len(audiocaps.requests)) == (programs, requests)


def test_row_22_every_clip_that_cannot_be_had_is_listed_with_its_reason(atrkit, audiocaps, tools, monkeypatch):
    monkeypatch.setattr(fetch_clips, "Timeouts", lambda: Timeouts(media_url_s=0.2))
    tools.says("_-testAAAAA", "private")
    tools.says("testBBBBBBB", "hang")
    tools.says("testCCCCCCC", "garbage")
    stderr = atrkit("download", "audiocaps", "--subset", "val,test", code=7).stderr
    assert missing(atrkit) == {
        "_-testAAAAA_100": ("test", "private", "true"),
        "testBBBBBBB_10": ("test", "yt-dlp did not answer", "false"),
        "testCCCCCCC_3": ("test", "yt-dlp printed no address", "false"),
    }
    assert "3 clips are missing" in stderr
    # gone for good is not asked again, the others are; and now they are there
    for youtube_id in ("testBBBBBBB", "testCCCCCCC"):
        tools.says(youtube_id, "")
    atrkit("download", "audiocaps", "--subset", "val,test", code=7)
    assert list(missing(atrkit)) == ["_-testAAAAA_100"]
    tools.says("_-testAAAAA", "")
    atrkit("download", "audiocaps", "--retry-missing")
    assert missing(atrkit) == {}


def test_row_22_missing_programs_are_named_with_the_way_to_install_them(atrkit, audiocaps, tools, monkeypatch):
    (tools.folder / "ffmpeg").unlink()
    monkeypatch.setenv("PATH", str(tools.folder))
    message = atrkit("download", "audiocaps", "--subset", "val", code=3).stderr
    assert "ffmpeg: apt install ffmpeg" in message and "--from DIR" in message


def test_row_22_a_hostile_id_is_listed_and_reaches_no_program(atrkit, audiocaps, tools, monkeypatch):
    from urllib.parse import urlsplit

    from atrkit.datasets.aac_tables import audiocaps_captions

    rows = "audiocap_id,youtube_id,start_time,caption\n1,--exec=reboot,30,A\n2,../../../etc,30,B\n3,valAAAAAAAA,0,C\n"
    audiocaps.publish(urlsplit(audiocaps_captions("v1", "val").url).path, rows.encode())
    monkeypatch.setitem(tables.KNOWN_TABLES, ("v1", "val"), tables.KnownTable(None, 3, 3))
    atrkit("download", "audiocaps", "--subset", "val", code=7)
    assert {reason for _, reason, _ in missing(atrkit).values()} == {"not a YouTube id"}
    assert len(tools.calls("ytdlp")) == 1 and "exec" not in tools.calls("ytdlp")[0].replace("--get-url", "")


def test_row_4_when_youtube_has_had_enough_it_stops_with_exit_6_and_goes_on_later(
    atrkit, audiocaps, tools, monkeypatch
):
    without_waiting = functools.partial(fetch_clips.fetch_clips, sleep=lambda seconds: None)
    monkeypatch.setattr("atrkit.workflows.download.audiocaps.fetch_clips", without_waiting)
    tools.says("valBBBBBBBB", "limited")
    message = atrkit("download", "audiocaps", "--subset", "val", "--streams", 1, code=6).stderr
    assert "--cookies" in message and "1 of 2 clips are there" in message
    tools.says("valBBBBBBBB", "")
    atrkit("download", "audiocaps", "--subset", "val")
    assert len(load_dataset(atrkit.data / "audiocaps").clips) == 2


def test_what_is_there_can_be_used_before_all_is_there(atrkit, audiocaps, tools):
    tools.says("valBBBBBBBB", "private")
    atrkit("download", "audiocaps", "--subset", "val", code=7)
    atrkit("download", "audiocaps", "--no-fetch", code=7)
    reasons = {reason for _, reason, _ in missing(atrkit).values()}
    assert reasons == {"private", "not on disk"}
    assert [clip.id for clip in load_dataset(atrkit.data / "audiocaps").clips] == ["valAAAAAAAA_0"]


def test_dropped_originals_are_neither_missed_nor_fetched_again(atrkit, audiocaps, tools):
    atrkit("download", "audiocaps", "--subset", "val", "--drop-original")
    folder = atrkit.data / "audiocaps"
    assert not list((folder / "AUDIOCAPS" / "audio_original").rglob("*.flac"))
    before = load_dataset(folder)
    atrkit("download", "audiocaps", "--subset", "val")
    assert load_dataset(folder).clips == before.clips
    assert len(tools.calls("ytdlp")) == 2


def test_a_folder_of_files_in_any_of_the_usual_namings(atrkit, audiocaps, tmp_path):
    have = tmp_path / "have"
    write_sound(have / "Y_-testAAAAA.wav")
    write_sound(have / "a" / "testBBBBBBB_10.flac", rate_hz=44_100)
    write_sound(have / "testCCCCCCC.wav", duration_s=60)  # not the clip, but all of the video
    write_sound(have / "valAAAAAAAA_30000_40000.wav")  # another stretch of it
    write_sound(have / "holiday.wav")
    stderr = atrkit("download", "audiocaps", "--subset", "val,test", "--from", have, code=7).stderr
    dataset = load_dataset(atrkit.data / "audiocaps")
    assert {clip.id: clip.path for clip in dataset.clips} == {
        "_-testAAAAA_100": str(have / "Y_-testAAAAA.wav"),
        "testBBBBBBB_10": str(have / "a" / "testBBBBBBB_10.flac"),
    }
    assert [len(clip.copies) for clip in dataset.clips] == [0, 1]  # one has the rate already
    assert missing(atrkit)["testCCCCCCC_3"][1] == "longer than 11 s: not the clip, perhaps the whole video"
    assert "1 files belong to no clip" in stderr and "another stretch" in stderr


def test_files_that_somebody_has_are_remembered_and_the_rest_can_be_fetched(atrkit, audiocaps, tools, tmp_path):
    have = tmp_path / "have"
    write_sound(have / "YvalAAAAAAAA.wav")
    atrkit("download", "audiocaps", "--subset", "val", "--from", have, code=7)
    assert not tools.calls("ytdlp") and list(missing(atrkit)) == ["valBBBBBBBB_20"]
    tools.says("valBBBBBBBB", "private")
    atrkit("download", "audiocaps", "--subset", "val", code=7)
    assert list(missing(atrkit)) == ["valBBBBBBBB_20"] and len(tools.calls("ytdlp")) == 1
    tools.says("valBBBBBBBB", "")
    atrkit("download", "audiocaps", "--subset", "val", "--from", have, "--fetch", "--retry-missing")
    paths = [clip.path for clip in load_dataset(atrkit.data / "audiocaps").clips]
    assert paths == [str(have / "YvalAAAAAAAA.wav"), "AUDIOCAPS/audio_original/val/valBBBBBBBB_20.flac"]


def test_another_rate_after_originals_were_dropped_is_made_from_what_is_left(atrkit, audiocaps, tools):
    atrkit("download", "audiocaps", "--subset", "val", "--drop-original")
    for youtube_id in ("valAAAAAAAA", "valBBBBBBBB"):
        tools.says(youtube_id, "private")  # nobody will have it again
    for _ in range(2):
        atrkit("download", "audiocaps", "--subset", "val", "--sample-rate", 16_000)
        for clip in load_dataset(atrkit.data / "audiocaps").clips:
            assert (clip.sample_rate_hz, [copy.sample_rate_hz for copy in clip.copies]) == (32_000, [16_000])
    assert len(tools.calls("ytdlp")) == 2
    atrkit("info", "--verify")


def test_a_cut_table_is_refused(atrkit, audiocaps, tools):
    atrkit("download", "audiocaps", "--subset", "val")
    path = atrkit.data / "audiocaps" / "AUDIOCAPS" / "csv_files_v1" / "val.csv"
    path.write_text("\n".join(path.read_text().splitlines()[:-2]) + "\n")
    message = atrkit("download", "audiocaps", "--subset", "val", code=5).stderr
    assert str(path) in message and "delete" in message


def test_pool_975_is_the_table_itself_and_needs_no_list(atrkit, audiocaps, tools, monkeypatch):
    monkeypatch.setitem(pools.POOLS, "975", pools.Pool("975", 3, "Kim et al.", "https://example.org/x", "x.csv"))
    atrkit("download", "audiocaps", "--subset", "test", "--pool", "975")
    assert not [request for request in audiocaps.requests if request.path == "/x"]


def test_aac_datasets_own_folder_is_found(atrkit, audiocaps, tools, tmp_path, monkeypatch):
    write_sound(tmp_path / "aac" / "AUDIOCAPS" / "audio_32000Hz" / "val" / "valAAAAAAAA_0.flac")
    monkeypatch.setenv(ROOT_VARIABLE, str(tmp_path / "aac"))
    atrkit("download", "audiocaps", "--subset", "val")
    assert len(tools.calls("ytdlp")) == 1  # only what it lacks
    message = atrkit("download", "audiocaps", "--subset", "val", "--drop-original", code=2).stderr
    assert "yours" in message


def test_files_that_aac_datasets_wrote_into_our_folder_are_taken_as_they_are(atrkit, audiocaps, tools):
    write_sound(atrkit.data / "audiocaps" / "AUDIOCAPS" / "audio_32000Hz" / "val" / "valAAAAAAAA_0.flac")
    for _ in range(2):
        atrkit("download", "audiocaps", "--subset", "val")
        (clip, other) = load_dataset(atrkit.data / "audiocaps").clips
        assert clip.path == "AUDIOCAPS/audio_32000Hz/val/valAAAAAAAA_0.flac" and clip.copies == ()
        assert other.path == "AUDIOCAPS/audio_original/val/valBBBBBBBB_20.flac" and len(other.copies) == 1
    assert len(tools.calls("ytdlp")) == 1


@pytest.fixture
def pool_of_two(server, monkeypatch):
    """A published list of two of the three test clips."""
    server.publish("/list.csv", b"file_name,caption_1\nY_-testAAAAA.wav,x\nYtestCCCCCCC.wav,y\n")
    pool = pools.Pool("957", 2, "Someone 2022", "https://example.org/list.csv", "list.csv")
    monkeypatch.setitem(pools.POOLS, "957", pool)


def test_a_published_pool_is_all_there_is_of_the_test_set(atrkit, audiocaps, tools, pool_of_two):
    tools.says("testCCCCCCC", "private")
    stderr = atrkit("download", "audiocaps", "--subset", "val,test", "--pool", "957", code=7).stderr
    assert "pool 957: 1 of 2 clips are on disk" in stderr
    dataset = load_dataset(atrkit.data / "audiocaps")
    assert [clip.id for clip in dataset.split("test")] == ["_-testAAAAA_100"]
    assert list(missing(atrkit)) == ["testCCCCCCC_3"]  # testBBBBBBB is no part of the pool
    assert dataset.about["pool"] == {"name": "957", "option": "957", "source": "Someone 2022", "clips": 2}
    # what was chosen holds until something else is: "test" never changes in silence
    assert "pool 957, as before" in atrkit("download", "audiocaps", "--subset", "train", code=7).stderr
    assert load_dataset(dataset.folder).split("test") == dataset.split("test")
    atrkit("download", "audiocaps", "--pool", "all", code=7)
    assert len(load_dataset(dataset.folder).split("test")) == 2 and list(missing(atrkit)) == ["testCCCCCCC_3"]


def test_a_pool_of_ones_own_and_one_that_nobody_published(atrkit, audiocaps, tools, tmp_path, pool_of_two):
    (tmp_path / "mine.txt").write_text("testBBBBBBB\n")
    atrkit("download", "audiocaps", "--subset", "test", "--pool", tmp_path / "mine.txt")
    assert [clip.id for clip in load_dataset(atrkit.data / "audiocaps").clips] == ["testBBBBBBB_10"]
    (tmp_path / "mine.txt").unlink()  # its ids are kept with the dataset
    atrkit("download", "audiocaps")
    assert [clip.id for clip in load_dataset(atrkit.data / "audiocaps").split("test")] == ["testBBBBBBB_10"]
    assert "--pool FILE" in atrkit("download", "audiocaps", "--pool", "883", code=3).stderr
    assert "957" in atrkit("download", "audiocaps", "--pool", "1000", code=2).stderr
    assert (
        "--subset" in atrkit("download", "audiocaps", "--subset", "val", "--name", "x", "--pool", "957", code=2).stderr
    )


def test_nothing_at_all_is_an_error_that_says_why(atrkit, audiocaps, tmp_path):
    (tmp_path / "empty").mkdir()
    message = atrkit("download", "audiocaps", "--subset", "val", "--from", tmp_path / "empty", code=3).stderr
    assert "none of the 2 clips is there (not on disk)" in message
