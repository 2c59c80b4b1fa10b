"""missing.csv: what should be there and is not, and why."""

import csv

import pytest

from atrkit.datasets.missing import MissingClip, load_missing, reasons_by_split, save_missing
from atrkit.errors import IntegrityError

GONE = (
    MissingClip("test", "b_30", "https://youtu.be/b", "private video", True),
    MissingClip("test", "a_0", "a", 'they said "no", twice;\nÜnïcode 雨', False),
    MissingClip("train", "-c_10", " c ", "private video", True),
    MissingClip("test", "d_0", "d", "removed", True),
)


def test_it_comes_back_sorted_by_split_and_clip(tmp_path):
    save_missing(tmp_path, GONE)
    assert load_missing(tmp_path) == (GONE[1], GONE[0], GONE[3], GONE[2])
    before = (tmp_path / "missing.csv").read_bytes()
    save_missing(tmp_path, reversed(GONE))
    assert (tmp_path / "missing.csv").read_bytes() == before


def test_it_is_a_plain_table_with_a_header(tmp_path):
    save_missing(tmp_path, GONE)
    with (tmp_path / "missing.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[1] == {
        "split": "test", "clip_id": "b_30", "source": "https://youtu.be/b", "reason": "private video",
        "permanent": "true",
    }  # fmt: skip
    assert [row["permanent"] for row in rows] == ["false", "true", "true", "true"]


def test_that_nothing_is_missing_is_on_record_and_differs_from_no_record(tmp_path):
    assert load_missing(tmp_path) is None
    save_missing(tmp_path, [])
    assert (tmp_path / "missing.csv").read_text() == "split,clip_id,source,reason,permanent\n"
    assert load_missing(tmp_path) == ()


def test_reasons_are_counted_for_each_split():
    assert reasons_by_split([*GONE, GONE[3]])["test"] == {"removed": 2, GONE[1].reason: 1, "private video": 1}
    assert reasons_by_split(GONE)["train"] == {"private video": 1}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"split,clip_id,source,reason\n",
        b"split,clip_id,source,reason,permanent\ntest,a,b,c\n",
        b"split,clip_id,source,reason,permanent\ntest,a,b,c,maybe\n",
        b"split,clip_id,source,reason,permanent\ntest,a,b,c,true,more\n",
        b'split,clip_id,source,reason,permanent\ntest,a,b,"c,true\n',
        b"split,clip_id,source,reason,permanent\ntest,a,b,\xff,true\n",
    ],
)
def test_a_damaged_record_is_named(tmp_path, content):
    (tmp_path / "missing.csv").write_bytes(content)
    with pytest.raises(IntegrityError, match=r"missing\.csv is damaged .* run the command that made the dataset again"):
        load_missing(tmp_path)
