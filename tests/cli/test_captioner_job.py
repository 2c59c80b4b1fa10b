"""Paper 004's job through the commands: train a captioner, score by its cross-entropy, write captions, perturb them."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from atrkit.cli.app import app
from atrkit.store import load_scores

SMALL = ("model.d_model=32", "model.num_layers=2", "model.d_ff=64", "training.epochs=4", "training.batch_size=16")
OVERRIDES = [word for setting in SMALL for word in ("--set", setting)]

OWN = ("--run", "synthetic/captioner")

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("captioner")


@pytest.fixture(scope="module")
def run(workspace: Path) -> Run:
    """Run a command with --json in the workspace; another exit code than the expected one fails."""

    def invoke(*words: object, expected: int = 0) -> Any:
        result = CliRunner().invoke(app, [*map(str, words), "--json", "--workspace", str(workspace)])
        assert result.exit_code == expected, (result.exit_code, result.stderr, result.exception)
        return json.loads(result.stdout) if expected == 0 else result.stderr

    return invoke


@pytest.fixture(scope="module")
def trained(run: Run, workspace: Path) -> dict[str, Any]:
    run("download", "synthetic", "--clips", 60, "--workers", 1)
    return run("train", "synthetic/captioner", *OVERRIDES)[0]


@pytest.fixture(scope="module")
def by_scaling(run: Run, trained: dict[str, Any]) -> dict[str, Any]:
    results = run("eval", *OWN, "--metric", "recall", "--scaling", "none,minmax,minmax-calib,pmi", "--calib-clips", 20)
    return {result["column_scaling"]: result for result in results}


def test_training_says_what_it_made_and_by_what_its_epoch_was_chosen(trained: dict[str, Any]) -> None:
    assert trained["model"] == "transformer_captioner"
    assert trained["keep_best"] == "val_loss" and 1 <= trained["best_epoch"] <= 4
    assert trained["words"] > 50


def test_text_to_audio_is_the_same_with_every_scaling(by_scaling: dict[str, Any]) -> None:
    raw = by_scaling["none"]["text_to_audio"]
    assert all(result["text_to_audio"] == raw for result in by_scaling.values())


def test_scaled_and_raw_audio_to_text_stand_in_one_result(by_scaling: dict[str, Any]) -> None:
    assert "audio_to_text_raw" not in by_scaling["none"]
    for name in ("minmax", "minmax-calib", "pmi"):
        assert by_scaling[name]["audio_to_text_raw"] == by_scaling["none"]["audio_to_text"]
        assert by_scaling[name]["hubness"]["audio_to_text_raw"] == by_scaling["none"]["hubness"]["audio_to_text"]
    assert by_scaling["pmi"]["calibration_clips"] == 20


def test_the_scores_are_losses_negated_and_figures_are_those_of_the_file(
    workspace: Path, by_scaling: dict[str, Any]
) -> None:
    matrix = load_scores(workspace / "runs/synthetic/captioner/seed-1/scores.h5")
    assert (matrix.scores_AC < 0).all()
    loss_AC = -matrix.scores_AC.astype(np.float64)
    scaled_AC = (loss_AC - loss_AC.min(axis=0)) / (loss_AC.max(axis=0) - loss_AC.min(axis=0))
    own_AC = np.array(matrix.clip_ids)[:, None] == np.array(matrix.clip_of_caption)[None, :]
    hits = []
    for scaled_C, loss_C, own_C in zip(scaled_AC, loss_AC, own_AC, strict=True):
        best = min(range(len(loss_C)), key=lambda c: (scaled_C[c], loss_C[c]))
        hits.append(own_C[best])
    assert by_scaling["minmax"]["audio_to_text"]["R@1"] == pytest.approx(np.mean(hits))


def test_scores_made_before_are_used_again(run: Run, workspace: Path, by_scaling: dict[str, Any]) -> None:
    path = workspace / "runs/synthetic/captioner/seed-1/scores.h5"
    before = path.stat().st_mtime_ns
    result = run("eval", *OWN, "--metric", "recall")  # the recipe's own scaling
    assert result["column_scaling"] == "minmax"
    assert result["audio_to_text"] == by_scaling["minmax"]["audio_to_text"]
    assert path.stat().st_mtime_ns == before


def test_captions_are_written_scored_and_kept(run: Run, workspace: Path, trained: dict[str, Any]) -> None:
    result = run("eval", *OWN, "--metric", "caption", "--beam-size", 2)
    assert result["metric"] == "caption" and result["decoding"]["beam_size"] == 2
    assert result["figures"]["cider_d"] >= 0 and result["baseline"]["figures"]["cider_d"] >= 0
    with (workspace / "runs/synthetic/captioner/seed-1/captions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == result["clips"] == 12
    assert all(row["caption_predicted"] for row in rows)


def test_perturbed_captions_are_scored_and_written_out(run: Run, workspace: Path, trained: dict[str, Any]) -> None:
    result = run("eval", *OWN, "--metric", "perturbation")
    tests = {(test["kind"], test["set_name"]): test for test in result["perturbation"]["tests"]}
    assert len(tests) == 6
    with (workspace / "runs/synthetic/captioner/seed-1/perturbed_captions.csv").open() as file:
        rows = list(csv.DictReader(file))
    for (kind, set_name), test in tests.items():
        hits = [float(row["hit"]) for row in rows if (row["kind"], row["set"]) == (kind, set_name)]
        assert len(hits) == test["n"] > 0
        assert np.mean(hits) == pytest.approx(test["accuracy"])


def test_several_metrics_are_a_list(run: Run, trained: dict[str, Any]) -> None:
    results = run("eval", *OWN, "--metric", "recall,perturbation")
    assert [result["metric"] for result in results] == ["recall", "perturbation"]


def test_a_dual_encoder_is_perturbed_too_but_writes_no_captions(run: Run, trained: dict[str, Any]) -> None:
    run("train", "synthetic/retrieval", "--set", "training.epochs=1", "--name", "dual")
    assert run("eval", "--metric", "perturbation", "--run", "dual")["scoring"] == "cosine"
    message = run("eval", "--metric", "caption", "--run", "dual", expected=2)
    assert "dual_encoder" in message and "synthetic/captioner/seed-1" in message


def test_unknown_metrics_and_scalings_name_those_there_are(run: Run) -> None:
    assert "recall, caption, perturbation" in run("eval", "--metric", "recal", expected=2)
    assert "minmax-calib" in run("eval", "--scaling", "softmax", expected=2)


def test_options_that_no_metric_reads_are_refused(run: Run, trained: dict[str, Any]) -> None:
    assert "--scaling is of --metric recall" in run("eval", "--metric", "caption", "--scaling", "pmi", expected=2)
    assert "--beam-size is of --metric caption" in run("eval", "--beam-size", 2, expected=2)
    message = run("eval", "--metric", "caption", "--precision", "fp16", expected=2)
    assert "--precision is of --metric recall and perturbation" in message


def test_a_metric_that_does_not_fit_the_model_is_refused_before_the_work_on_another(
    run: Run, workspace: Path, trained: dict[str, Any]
) -> None:
    run("train", "synthetic/retrieval", "--set", "training.epochs=1", "--name", "late")
    run("eval", "--metric", "perturbation,caption", "--run", "late", expected=2)
    assert not (workspace / "runs/late/seed-1/perturbed_captions.csv").exists()


def test_figures_on_training_clips_say_so(run: Run, trained: dict[str, Any]) -> None:
    for metric in ("caption", "perturbation"):
        words = ("eval", *OWN, "--metric", metric)
        assert run(*words, "--split", "dev")["clips_trained_on"] == 60
        assert run(*words)["clips_trained_on"] == 0


def test_a_word_that_is_put_in_and_unknown_is_counted(run: Run, workspace: Path, trained: dict[str, Any]) -> None:
    result = CliRunner().invoke(
        app, ["train", "synthetic/captioner", *OVERRIDES, "--set", "model.min_word_count=60", "--name", "few_words",
              "--workspace", str(workspace)]
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    words = ["eval", "--metric", "perturbation", "--run", "few_words", "--workspace", str(workspace)]
    assert "the word put in is <unk> to the captioner" in CliRunner().invoke(app, words).stderr
