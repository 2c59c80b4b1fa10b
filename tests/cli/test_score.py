"""`atrkit score` as a user types it, and `eval` after it."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from atrkit.cli.app import app
from atrkit.store import load_calibration, load_scores

SMALL = ["training.epochs=1", "model.d_model=8", "model.num_layers=1", "model.num_heads=2", "model.d_ff=8"]


def run(workspace, *words, code=0):
    result = CliRunner().invoke(app, [*(str(word) for word in words), "--workspace", str(workspace)])
    assert result.exit_code == code, (result.exit_code, result.stderr, result.exception)
    return result


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A workspace with a small dataset, a captioner's run `words` and a ridge's run `plain`."""
    root = tmp_path_factory.mktemp("workspace")
    run(root, "download", "synthetic", "--clips", 30, "--workers", 1)
    run(root, "extract", "--encoder", "logmel")
    settings = [word for setting in SMALL for word in ("--set", setting)]
    run(root, "train", "synthetic/captioner", *settings, "--name", "words")
    run(root, "train", "own_recordings", "--set", "encoder={name: logmel}", "--name", "plain")
    return root


@pytest.fixture
def workspace(trained):
    """The same, without scores."""
    for path in trained.rglob("scores.h5"):
        path.unlink()
    return trained


def score(workspace, *words):
    return json.loads(run(workspace, "score", "--run", "words", "--json", *words).stdout)


def test_the_json_names_what_was_made(workspace):
    record = score(workspace)
    path = workspace / "runs" / "words" / "seed-1" / "scores.h5"
    matrix = load_scores(path)
    made = {"run": "words/seed-1", "dataset": "synthetic", "split": "eval", "scoring": "cross_entropy"}
    assert made.items() <= record.items()
    assert (record["path"], record["pool_id"], record["precision"]) == (str(path), matrix.pool_id, "fp32")
    assert (record["clips"], record["captions"]) == matrix.scores_AC.shape
    assert record["pairs_made"] == matrix.scores_AC.size and record["seconds"] > 0 and record["pairs_per_s"] > 0
    assert (record["was_there"], record["calibration_clips"]) == (False, 0)
    assert record["unknown_words"] > 0
    again = score(workspace)
    assert (again["was_there"], again["pairs_made"], again["pairs_per_s"]) == (True, 0, None)


def test_the_sentence_says_where_how_many_and_how_fast(workspace):
    done = run(workspace, "score", "--run", "words", "--calib-clips", 5, "--plain")
    for words in (
        "cross_entropy scores of synthetic/eval by words/seed-1 are made: ",
        " captions, 5 calibration clips",
    ):
        assert words in done.stdout
    assert "pairs/s" in done.stdout and str(workspace / "runs" / "words" / "seed-1" / "scores.h5") in done.stdout
    assert "scores of synthetic/eval and calibration clips of synthetic/dev: " in done.stderr, "the progress"
    there = run(workspace, "score", "--run", "words", "--plain")
    assert "were there and are up to date" in there.stdout and "(made before)" in there.stderr


def test_shards_are_joined_to_the_bytes_of_one_call(workspace):
    path = Path(score(workspace, "--calib-clips", 3)["path"])
    content = path.read_bytes()
    path.unlink()
    first = run(workspace, "score", "--run", "words", "--calib-clips", 3, "--shard", "1/2")
    assert "shard 1/2 of the scores of synthetic/eval by words/seed-1: 1 parts are there, 1 made now" in first.stdout
    record = score(workspace, "--calib-clips", 3, "--shard", "2/2")
    assert (record["shard"], record["unfinished_shards"], record["was_merged"]) == ("2/2", [], False)
    joined = run(workspace, "score", "--run", "words", "--merge")
    assert "are made" in joined.stdout
    assert path.read_bytes() == content


def test_eval_takes_the_scores_that_score_made(workspace):
    path = Path(score(workspace, "--calib-clips", 5)["path"])
    content = path.read_bytes()
    done = run(workspace, "eval", "--run", "words", "--scaling", "none,pmi", "--calib-clips", 5, "--json")
    assert f"scores: {path} (made before)" in done.stderr
    assert [result["column_scaling"] for result in json.loads(done.stdout)] == ["none", "pmi"]
    assert path.read_bytes() == content


def test_a_recipe_that_scales_by_calibration_gets_its_clips(workspace):
    settings = [word for setting in SMALL for word in ("--set", setting)]
    scaling = ["--set", "retrieval.column_scaling=pmi", "--set", "retrieval.calibration_clips=7"]
    run(workspace, "train", "synthetic/captioner", *settings, *scaling, "--name", "scaled")
    run(workspace, "score", "--run", "scaled")
    assert len(load_calibration(workspace / "runs" / "scaled" / "seed-1" / "scores.h5").clip_ids) == 7


def test_any_run_can_be_scored(workspace):
    record = json.loads(run(workspace, "score", "--run", "plain", "--json", "--calib-clips", 4).stdout)
    assert (record["scoring"], record["calibration_clips"]) == ("cosine", 4)
    path = workspace / "runs" / "plain" / "seed-1" / "scores.h5"
    assert np.isfinite(load_scores(path).scores_AC).all()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--run", "plain", "--shard", "1/2"], 2, "--shard and --merge are of captioners and co_attention; scores of"),
        (["--run", "plain", "--merge"], 2, "--shard and --merge are of captioners and co_attention"),
        (["--run", "plain", "--precision", "fp16"], 2, "--precision fp16: only captioners compute in it"),
        (["--run", "words", "--shard", "3/2"], 2, "--shard '3/2': expected I/N with I from 1 to N"),
        (["--run", "words", "--shard", "1/2", "--overwrite"], 2, "--overwrite would delete what other shards make"),
        (["--merge", "--shard", "1/2"], 2, "--merge joins parts as they are: leave --shard out"),
        (["--merge", "--precision", "fp16", "--overwrite"], 2, "leave --overwrite out"),
        (["--run", "words", "--merge"], 3, "no unfinished scores in"),
        (["--run", "words", "--split", "nowhere"], 2, "has no split 'nowhere'; it has: dev, eval, val"),
        (["--run", "nobody"], 2, "--run nobody: no finished run there; finished runs: "),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(workspace, words, code, message):
    lines = run(workspace, "score", *words, code=code).stderr.splitlines()
    assert [line for line in lines if line.startswith("atrkit: ")] == lines[-1:]
    assert message in lines[-1]


def test_without_a_run_it_says_how_to_make_one(tmp_path):
    assert "make one: atrkit train recipe.yaml" in run(tmp_path, "score", code=3).stderr
