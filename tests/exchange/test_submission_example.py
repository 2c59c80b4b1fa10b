"""A real challenge submission: figures as plain loops over its ranked lists give them."""

import csv
import json
from pathlib import Path
from statistics import mean

import pytest
from typer.testing import CliRunner

from atrkit.cli.app import app

EXAMPLE = Path(__file__).resolve().parents[3] / "shared" / "data" / "csv" / "retrieval_submission_example"


@pytest.fixture(scope="module")
def ranks():
    """For each caption the rank of its clip in its list, or None: read and counted without any of our code."""
    if not EXAMPLE.is_dir():
        pytest.skip(f"needs ../shared: {EXAMPLE} is not there")
    with (EXAMPLE / "test.gt.csv").open(newline="") as file:
        clip_of = {row[f"caption_{n}"]: row["file_name"] for row in csv.DictReader(file) for n in range(1, 6)}
    with (EXAMPLE / "test.output.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    lists = [[row[f"file_name_{place}"] for place in range(1, 11)] for row in rows]
    own = [clip_of[row["caption"]] for row in rows]
    assert len(clip_of) == len(rows) == 5225, "no two captions have the same words"
    return [names.index(clip) + 1 if clip in names else None for clip, names in zip(own, lists, strict=True)]


def evaluated(*more):
    words = ["eval", "--scores", EXAMPLE / "test.output.csv", "--truth", EXAMPLE / "test.gt.csv", "--json", *more]
    done = CliRunner().invoke(app, list(map(str, words)))
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def test_recall_and_precision_are_those_of_the_lists(ranks):
    to_audio = evaluated("-k", "1,2,3,5,10,20")["text_to_audio"]
    for k in (1, 2, 3, 5, 10):
        assert to_audio[f"R@{k}"] == pytest.approx(mean(rank is not None and rank <= k for rank in ranks), abs=1e-12)
    assert to_audio["mAP@10"] == pytest.approx(mean(0 if rank is None else 1 / rank for rank in ranks), abs=1e-12)
    assert (to_audio["queries"], to_audio["candidates"], to_audio["tied_queries"]) == (5225, 1045, 0)
    for below in ("R@20", "mAP@16", "MedR", "MnR"):
        assert to_audio[below] is None


def test_what_is_not_listed_is_counted(ranks):
    result = evaluated()
    assert result["listed"]["relevant_not_listed"] == sum(rank is None for rank in ranks)
    assert result["audio_to_text"] is None and result["notes"][-1].startswith("5,225 of 5,225 captions were found by")
