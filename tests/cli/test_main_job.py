"""The four commands, in order, on the embedded data set: as a user types them, in process."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from atrkit import ScoreMatrix
from atrkit.cli.app import app
from atrkit.store import save_scores
from atrkit.store.scores import load_scores, load_scores_about

QUICK = ["--set", "training.epochs=2", "--set", "model.audio.hidden_dims=[16]", "--set", "model.out_dim=16"]


def run(*words, code=0):
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == code, (result.exit_code, result.stderr, result.exception)
    return result


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Path:
    """A workspace with a small data set and its embeddings."""
    root = tmp_path_factory.mktemp("workspace")
    run("download", "synthetic", "--clips", 60, "--workers", 1, "--workspace", root)
    run("extract", "--encoder", "logmel", "--workspace", root)
    return root


@pytest.fixture(scope="module")
def trained(workspace) -> Path:
    """The same, with a finished run named `first`."""
    run("train", "synthetic/retrieval", *QUICK, "--name", "first", "--workspace", workspace)
    return workspace


def evaluate(workspace, *words):
    return json.loads(run("eval", "--metric", "recall", "--json", "--workspace", workspace, *words).stdout)


def test_the_json_object_has_every_key_that_others_build_on(trained):
    result = evaluate(trained, "--run", "first")
    assert {"run", "dataset", "split", "pool_id", "scoring", "column_scaling"} <= result.keys()
    assert (result["run"], result["dataset"], result["split"]) == ("first/seed-1", "synthetic", "eval")
    captions = sum(len(clip["captions"]) for clip in manifest(trained) if clip["split"] == "eval")
    clips = sum(clip["split"] == "eval" for clip in manifest(trained))
    for direction, queries, candidates in (("text_to_audio", captions, clips), ("audio_to_text", clips, captions)):
        figures = result[direction]
        assert {"R@1", "R@5", "R@10", "mAP@10", "MedR", "MnR", "tied_queries"} <= figures.keys()
        assert (figures["queries"], figures["candidates"]) == (queries, candidates)
        assert figures["chance_R@1"] == pytest.approx(1 / clips, rel=0.2)
        assert 0 <= figures["R@1"] <= figures["R@5"] <= figures["R@10"] <= 1 <= figures["MedR"]
    assert 0 <= result["twin_order"]["accuracy"] <= 1


def manifest(workspace):
    lines = (workspace / "data" / "synthetic" / "manifest.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_the_table_shows_both_directions_chance_and_twin_order(trained):
    table = run("eval", "--metric", "recall", "--plain", "--workspace", trained).stdout
    for words in ("text to audio", "audio to text", "chance", "R@1", "MnR", "twin order", "captions,"):
        assert words in table


def test_ties_show_what_luck_could_make_of_them(workspace):
    bag = ["--set", "model.audio.pooling.name=mean", "--set", "model.text.pooling.name=mean"]
    run("train", "synthetic/retrieval", *QUICK, *bag, "--name", "bag", "--workspace", workspace)
    result = evaluate(workspace, "--run", "bag")
    tied = result["audio_to_text"]  # mirrored captions are one bag of words
    assert tied["tied_queries"] > 0
    bounds = tied["tie_bounds"]
    assert bounds["pessimistic"]["R@5"] <= tied["R@5"] <= bounds["optimistic"]["R@5"]
    assert bounds["optimistic"]["MnR"] <= tied["MnR"] <= bounds["pessimistic"]["MnR"]
    table = run("eval", "--run", "bag", "--ties", "--plain", "--workspace", workspace).stdout
    assert "optimistic" in table and "pessimistic" in table


def test_scores_and_results_lie_in_the_run_folder(trained):
    result = evaluate(trained, "--run", "first")
    folder = trained / "runs" / "first" / "seed-1"
    assert json.loads((folder / "results.json").read_text()) == result
    from atrkit.metrics.ranking import evaluate as figures_of
    from atrkit.store import load_scores

    matrix = load_scores(folder / "scores.h5")
    assert matrix.pool_id == result["pool_id"]
    assert figures_of(matrix)["text_to_audio"] == result["text_to_audio"]


def test_the_same_seed_gives_the_same_table_and_another_seed_another(trained):
    first = evaluate(trained, "--run", "first")
    run("train", "synthetic/retrieval", *QUICK, "--name", "again", "--workspace", trained)
    run("train", "synthetic/retrieval", *QUICK, "--name", "other", "--seed", 2, "--workspace", trained)
    again, other = evaluate(trained, "--run", "again"), evaluate(trained, "--run", "other")
    assert {**again, "run": ""} == {**first, "run": ""}
    assert other["text_to_audio"] != first["text_to_audio"]
    weights = [(trained / "runs" / name / "seed-1" / "model.safetensors").read_bytes() for name in ("first", "again")]
    assert weights[0] == weights[1]


def test_validation_is_not_touched_when_the_last_epoch_is_kept(workspace):
    train = ["train", "synthetic/retrieval", *QUICK, "--set", "training.keep_best=last", "--name", "last"]
    done = run(*train, "--workspace", workspace)
    assert "splits: train on dev, test on eval\n" in done.stderr
    metrics = (workspace / "runs" / "last" / "seed-1" / "metrics.jsonl").read_text()
    assert "val_loss" not in metrics and "train_loss" in metrics


def test_a_finished_run_keeps_no_checkpoint(trained):
    files = {path.name for path in (trained / "runs" / "first" / "seed-1").iterdir()}
    assert "model.safetensors" in files and "training_state.ckpt" not in files


def test_two_evaluations_of_one_run_do_not_mix(trained):
    from atrkit.files import single_writer

    with single_writer(trained / "runs" / "first" / "seed-1" / "scores.h5"):
        refused = run("eval", "--run", "first", "--workspace", trained, code=3)
    assert "is being written by process" in refused.stderr


def test_results_never_lie_beside_scores_that_they_are_not_of(trained, monkeypatch):
    from atrkit.workflows import score as workflow

    evaluate(trained, "--run", "first")
    path = trained / "runs" / "first" / "seed-1" / "scores.h5"
    own = load_scores(path)
    others = ScoreMatrix(-own.scores_AC, own.clip_ids, own.caption_ids, own.clip_of_caption)

    def interrupted(path):
        raise KeyboardInterrupt

    save_scores(path, others, load_scores_about(path))
    monkeypatch.setattr(workflow, "load_stored_scores", interrupted)  # new scores are written, results are not
    run("eval", "--run", "first", "--workspace", trained, code=130)
    folder = trained / "runs" / "first" / "seed-1"
    assert (folder / "scores.h5").is_file() and not (folder / "results.json").exists()


def test_a_finished_run_is_left_alone(trained):
    weights = trained / "runs" / "first" / "seed-1" / "model.safetensors"
    before = weights.stat().st_mtime_ns
    result = run("train", "synthetic/retrieval", *QUICK, "--name", "first", "--workspace", trained)
    assert "was finished before" in result.stdout
    assert weights.stat().st_mtime_ns == before


def test_other_settings_under_the_same_name_are_refused_saying_which(trained):
    other = ["--set", "optimizer.lr=5e-4"]
    result = run("train", "synthetic/retrieval", *QUICK, *other, "--name", "first", "--workspace", trained, code=5)
    assert "recipe.optimizer.lr is 0.001 there and 0.0005 now" in result.stderr
    assert "--overwrite" in result.stderr


def test_extract_again_does_nothing_and_says_so(workspace):
    assert "are up to date" in run("extract", "--encoder", "logmel", "--workspace", workspace).stdout


def test_a_run_is_evaluated_on_another_dataset_too(trained, tmp_path):
    run("download", "synthetic", "--clips", 30, "--seed", 7, "--workers", 1, "--workspace", tmp_path)
    other = trained / "data" / "elsewhere"
    other.parent.mkdir(exist_ok=True)
    (tmp_path / "data" / "synthetic").rename(other)
    about = json.loads((other / "dataset.json").read_text())
    (other / "dataset.json").write_text(json.dumps({**about, "name": "elsewhere"}))
    result = evaluate(trained, "--run", "first", "--dataset", "elsewhere", "--split", "val")
    assert (result["dataset"], result["split"], result["clips_trained_on"]) == ("elsewhere", "val", 0)
    folder = trained / "runs" / "first" / "seed-1" / "evaluations" / "elsewhere-val"
    assert json.loads((folder / "results.json").read_text()) == result


def test_evaluating_on_the_training_clips_is_said(trained):
    result = run("eval", "--metric", "recall", "--run", "first", "--split", "dev", "--plain", "--workspace", trained)
    assert "NOTE: trained on 60 of these clips: figures on them measure memory" in result.stdout
    assert evaluate(trained, "--run", "first", "--split", "dev")["clips_trained_on"] == 60


def test_train_makes_missing_embeddings_and_no_extract_refuses(tmp_path):
    run("download", "synthetic", "--clips", 30, "--workers", 1, "--workspace", tmp_path)
    quick = ["synthetic/retrieval", *QUICK, "--workspace", tmp_path]
    refused = run("train", *quick, "--no-extract", code=3)
    assert "atrkit extract --encoder logmel --dataset synthetic" in refused.stderr
    made = run("train", *quick)
    assert "making them (atrkit extract --encoder logmel --dataset synthetic)" in made.stderr


def test_recipe_yaml_is_written_when_the_card_asks_for_it(trained, monkeypatch):
    monkeypatch.setenv("ATRKIT_WORKSPACE", str(trained))
    (trained / "recipe.yaml").unlink(missing_ok=True)
    result = run("train", "recipe.yaml", *QUICK[:0])
    assert "wrote" in result.stderr and (trained / "recipe.yaml").is_file()
    assert evaluate(trained)["run"] == "recipe/seed-1"
