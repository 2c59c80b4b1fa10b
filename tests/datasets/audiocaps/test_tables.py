import csv
import hashlib
from pathlib import Path

import pytest

from atrkit.datasets.audiocaps.tables import (
    KNOWN_TABLES,
    AudioCapsClip,
    KnownTable,
    check_table,
    is_youtube_id,
    read_audiocaps,
)
from atrkit.errors import IntegrityError, UsageError

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
    assert check_table(path, version, subset, read) is None


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
        f"{path}: empty captions left out: 1",
        f"{path}: clips that cannot be fetched: 1, the first '--exec rm x_30' (not a YouTube id)",
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


THREE_ROWS = HEADER + "1,aaaaaaaaaaa,0,Rain\n2,aaaaaaaaaaa,0,It rains\n3,bbbbbbbbbbb,0,A bell\n"


@pytest.fixture
def publisher(monkeypatch):
    """The publisher of a small table v1/test."""

    def publishes(text: str, rows: int, clips: int) -> None:
        md5 = hashlib.md5(text.encode()).hexdigest()
        monkeypatch.setitem(KNOWN_TABLES, ("v1", "test"), KnownTable(md5, rows, clips))

    return publishes


def test_the_published_table_is_accepted_without_a_remark(table, publisher):
    publisher(THREE_ROWS, rows=3, clips=2)
    path = table(THREE_ROWS)
    assert check_table(path, "v1", "test", read_audiocaps(path)) is None


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        (HEADER + "1,aaaaaaaaaaa,0,Rain\n", "1 captions of 1 clips"),
        (THREE_ROWS.replace("A bell", ""), "2 captions of 2 clips"),
        (THREE_ROWS.replace("2,aaaaaaaaaaa", "2,ccccccccccc"), "3 captions of 3 clips"),
        (THREE_ROWS + "4,bbbbbbbbbbb,0,Bells\n", "4 captions of 2 clips"),
    ],
)
def test_a_table_with_other_counts_is_refused(table, publisher, text, counts):
    publisher(THREE_ROWS, rows=3, clips=2)
    path = table(text)
    with pytest.raises(IntegrityError) as raised:
        check_table(path, "v1", "test", read_audiocaps(path))
    assert str(raised.value) == (
        f"{path} has {counts}, and the table test of AudioCaps v1 has 3 of 2: it was cut or edited; "
        "delete it and run the same command again to fetch it"
    )


def test_other_bytes_with_the_right_counts_are_remarked_upon(table, publisher):
    publisher(THREE_ROWS, rows=3, clips=2)
    path = table(THREE_ROWS.replace("bell", "gong"))
    remark = check_table(path, "v1", "test", read_audiocaps(path))
    assert f"{path} has the 3 captions of 2 clips that the table test of AudioCaps v1 has, but other bytes" in remark
    assert hashlib.md5(path.read_bytes()).hexdigest() in remark and KNOWN_TABLES["v1", "test"].md5 in remark


@pytest.mark.parametrize("asked", [("v2", "test"), ("v1", "val"), ("v2", "train")])
def test_the_table_of_another_version_or_subset_is_refused_also_where_the_counts_agree(
    table, publisher, monkeypatch, asked
):
    publisher(THREE_ROWS, rows=3, clips=2)
    if asked != ("v2", "train"):
        monkeypatch.setitem(KNOWN_TABLES, asked, KnownTable("0" * 32, 3, 2))
    path = table(THREE_ROWS)
    with pytest.raises(IntegrityError) as raised:
        check_table(path, *asked, read_audiocaps(path))
    version, subset = asked
    assert str(raised.value) == (
        f"{path} is the table test of AudioCaps v1, and the table {subset} of AudioCaps {version} should be there: "
        "delete it and run the same command again to fetch it"
    )


def test_of_v2_train_only_the_rows_are_known_so_others_are_a_remark(table, monkeypatch):
    path = table(THREE_ROWS)
    clips = read_audiocaps(path)
    assert check_table(path, "v2", "train", clips) == (
        f"{path} has 3 captions, and the table train of AudioCaps v2 had 91,256 when it was published"
    )
    monkeypatch.setitem(KNOWN_TABLES, ("v2", "train"), KnownTable(None, 3, None))
    assert check_table(path, "v2", "train", clips) is None


def test_every_version_and_subset_is_known():
    assert set(KNOWN_TABLES) == {(version, subset) for version in ("v1", "v2") for subset in ("train", "val", "test")}


def test_ids_are_eleven_characters():
    assert is_youtube_id("Y_-Abcd_12x")
    assert not any(map(is_youtube_id, ("Y_-Abcd_12", "Y_-Abcd_12xx", "Y_-Abcd_12x\n", "Y_-Abcd 12x", "Y_-Abcd/12x")))
