import csv
from pathlib import Path

import pytest

from atrkit.datasets.audiocaps.tables import KNOWN_TABLES, AudioCapsClip, is_youtube_id, read_audiocaps, remark_on_table
from atrkit.errors import UsageError

OFFICIAL = Path(__file__).resolve().parents[4] / "shared" / "data" / "csv" / "audiocaps"
HEADER = "audiocap_id,youtube_id,start_time,caption\n"
needs_official = pytest.mark.skipif(not OFFICIAL.is_dir(), reason="needs the official tables in ../shared")


@pytest.fixture
def table(tmp_path: Path):
    def write(text: str) -> Path:
        path = tmp_path / "test.csv"
        path.write_text(text, encoding="utf-8", newline="")
        return path

    return write


@needs_official
@pytest.mark.parametrize(
    ("name", "version", "subset", "rows", "clips"),
    [
        ("train", "v1", "train", 49_838, 49_838),
        ("val", "v1", "val", 2_475, 495),
        ("test", "v1", "test", 4_875, 975),
        ("v2_val", "v2", "val", 2_475, 495),
        ("v2_test", "v2", "test", 4_875, 975),
    ],
)
def test_the_official_tables_have_the_published_counts(name, version, subset, rows, clips):
    path = OFFICIAL / f"{name}.csv"
    remarks: list[str] = []
    read = read_audiocaps(path, on_remark=remarks.append)

    assert (sum(len(clip.captions) for clip in read), len(read)) == (rows, clips)
    assert len({clip.id for clip in read}) == clips
    assert all(clip.fault is None for clip in read)
    assert remarks == []
    assert remark_on_table(path, version, subset, read) is None


@needs_official
def test_every_caption_of_the_official_test_set_is_read_as_python_reads_it():
    path = OFFICIAL / "test.csv"
    with path.open(encoding="utf-8", newline="") as file:
        expected = {
            (row["youtube_id"], row["start_time"], row["audiocap_id"], row["caption"]) for row in csv.DictReader(file)
        }
    found = {(clip.youtube_id, clip.start, *caption) for clip in read_audiocaps(path) for caption in clip.captions}
    assert found == expected


def test_rows_of_one_clip_are_gathered_where_its_first_row_stands(table):
    path = table(
        HEADER
        + '3,aaaaaaaaaaa,30,"Rain, ""heavy"" – ünïcode"\n'
        + "1,bbbbbbbbbbb,0,A bell\n"
        + "2,aaaaaaaaaaa,30,Rain\n"
        + "4,aaaaaaaaaaa,40,Another stretch of the same video\n"
    )
    assert read_audiocaps(path) == [
        AudioCapsClip("aaaaaaaaaaa", "30", (("3", 'Rain, "heavy" – ünïcode'), ("2", "Rain"))),
        AudioCapsClip("bbbbbbbbbbb", "0", (("1", "A bell"),)),
        AudioCapsClip("aaaaaaaaaaa", "40", (("4", "Another stretch of the same video"),)),
    ]


def test_columns_may_be_in_any_order_and_ids_are_made_of_video_and_start(table):
    [clip] = read_audiocaps(table("caption,start_time,youtube_id,audiocap_id,more\nRain,020,-_aaaaaaaaa,7,x\n"))
    assert clip.id == "-_aaaaaaaaa_020"
    [clip] = read_audiocaps(table(HEADER + "7,-_aaaaaaaaa,20,Rain\n"))
    assert (clip.id, clip.start_s, clip.fault) == ("-_aaaaaaaaa_20", 20, None)


@pytest.mark.parametrize(
    ("youtube_id", "start", "fault"),
    [
        ("--exec rm x", "30", "not a YouTube id"),
        ("../../../etc", "30", "not a YouTube id"),
        ("aaaaaaaaaaa\n", "30", "not a YouTube id"),
        ("aaaaaaaaaaé", "30", "not a YouTube id"),
        ("", "30", "not a YouTube id"),
        ("aaaaaaaaaaa", "-30", "the start is no whole number of seconds"),
        ("aaaaaaaaaaa", "30.5", "the start is no whole number of seconds"),
        ("aaaaaaaaaaa", "3٠", "the start is no whole number of seconds"),
        ("aaaaaaaaaaa", "030", "the start is no whole number of seconds"),
        ("aaaaaaaaaaa", "../1", "the start is no whole number of seconds"),
        ("-aaaaaaaaa_", "0", None),
    ],
)
def test_a_clip_knows_whether_it_can_be_fetched(youtube_id, start, fault):
    assert AudioCapsClip(youtube_id, start, ()).fault == fault


def test_hostile_rows_are_returned_and_remarked_upon(table):
    remarks: list[str] = []
    path = table(HEADER + "1,--exec rm x,30,Rain\n2,aaaaaaaaaaa,0,\n")
    clips = read_audiocaps(path, on_remark=remarks.append)
    assert [(clip.youtube_id, clip.captions) for clip in clips] == [
        ("--exec rm x", (("1", "Rain"),)),
        ("aaaaaaaaaaa", ()),
    ]
    assert remarks == [
        f"{path}: 1 empty captions were left out",
        f"{path}: 1 clips cannot be fetched; the first is '--exec rm x_30': not a YouTube id",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("youtube_id,start_time,caption\naaaaaaaaaaa,0,Rain\n", r"test.csv:1: no column audiocap_id"),
        (HEADER + "1,aaaaaaaaaaa,0,Rain\n1,bbbbbbbbbbb,0,Bell\n", r"test.csv:3: audiocap_id '1' is on line 2 already"),
        (HEADER + '1,aaaaaaaaaaa,0,"Rain\n', r"test.csv:2: column 4: the quote that opens here is never closed"),
        (HEADER + "1,aaaaaaaaaaa,0,Rain, heavy\n", r"test.csv:2: column 5"),
        ("", r"test.csv:1: the file is empty"),
    ],
)
def test_a_fault_in_the_table_is_named_by_its_place(table, text, message):
    with pytest.raises(UsageError, match=message):
        read_audiocaps(table(text))


def test_a_table_that_was_changed_is_remarked_upon(table):
    path = table(HEADER + "1,aaaaaaaaaaa,0,Rain\n")
    clips = read_audiocaps(path)
    remark = remark_on_table(path, "v1", "test", clips)
    assert remark is not None
    assert "4,875 captions of 975 clips, md5 9775aec3f52037d12cacda132dd5316d" in remark
    assert "it has 1 captions of 1 clips" in remark
    assert "91,256 captions" in (remark_on_table(path, "v2", "train", clips) or "")
    assert set(KNOWN_TABLES) == {(version, subset) for version in ("v1", "v2") for subset in ("train", "val", "test")}


def test_ids_are_eleven_characters():
    assert is_youtube_id("Y_-Abcd_12x")
    assert not any(map(is_youtube_id, ("Y_-Abcd_12", "Y_-Abcd_12xx", "Y_-Abcd_12x\n", "Y_-Abcd 12x", "Y_-Abcd/12x")))
