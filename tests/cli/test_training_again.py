"""The same training a second time: after a mistake, and after its files are gone."""

import json

import pytest
from typer.testing import CliRunner

from atrkit.cli.app import app


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    root = tmp_path_factory.mktemp("workspace")
    run(root, "download", "synthetic", "--clips", 30, "--workers", 1)
    (root / "plain.yaml").write_text("source: ours\nencoder: {name: logmel}\nmodel: {name: ridge}\n")
    return root


def run(workspace, *words, code=0):
    result = CliRunner().invoke(app, [*map(str, words), "--workspace", str(workspace)])
    assert result.exit_code == code, (result.exit_code, result.stderr, result.exception)
    return result


def train(workspace, *words, name, code=0):
    return run(workspace, "train", workspace / "plain.yaml", "--name", name, *words, code=code)


def manifest(workspace):
    return [json.loads(line) for line in (workspace / "data/synthetic/manifest.jsonl").read_text().splitlines()]


def paraphrases(path, workspace):
    rows = [f'"{line["captions"][0]["text"]}","a sound {n}"' for n, line in enumerate(manifest(workspace))]
    path.write_text("\n".join(["caption,paraphrase", *rows]))
    return ["--set", f"data.captions_augmented={path}"]


def test_a_beginning_that_came_to_nothing_does_not_keep_its_name(workspace, tmp_path):
    options = paraphrases(tmp_path / "p.csv", workspace)
    good = (tmp_path / "p.csv").read_text()
    (tmp_path / "p.csv").write_text("")
    assert "p.csv" in train(workspace, *options, name="cured", code=2).stderr
    (tmp_path / "p.csv").write_text(good)
    said = " ".join(train(workspace, *options, name="cured").stderr.split())
    assert "cured/seed-1 was begun with other settings and never trained: begun afresh (inputs.captions_aug" in said
    # what was trained keeps its name
    (tmp_path / "p.csv").write_text(good + "\n")
    message = train(workspace, *options, name="cured", code=5).stderr
    assert "holds a run with other settings: inputs.captions_augmented_sha256" in message


def test_a_finished_run_does_not_miss_a_file_that_only_its_training_reads(workspace, tmp_path):
    options = paraphrases(tmp_path / "p.csv", workspace)
    train(workspace, *options, name="fileless")
    (tmp_path / "p.csv").unlink()
    assert "fileless/seed-1 is finished already" in train(workspace, *options, name="fileless").stderr
    assert "no file of paraphrases" in train(workspace, *options, name="fileless_too", code=3).stderr
    assert (
        "no file of paraphrases"
        in train(workspace, *options, "--set", "model.ridge_lambda=2", name="fileless", code=3).stderr
    )


def test_a_run_is_no_model_of_transformers(workspace):
    train(workspace, name="mine")
    for named in (workspace / "runs/mine/seed-1", "mine/seed-1", "runs/mine/seed-1"):
        message = run(workspace, "eval", "--model", named, code=2).stderr
        assert "that is a run of atrkit, which --run takes" in message
    assert "--model names nothing" in run(workspace, "eval", "--model", "", code=2).stderr
