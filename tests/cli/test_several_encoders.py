"""Models of experts through the commands: two stores of one dataset, trained on, evaluated, and what goes wrong."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from atrkit.cli.app import app
from atrkit.metrics.ranking import evaluate
from atrkit.store import load_scores
from atrkit.store.embeddings import Embeddings, load_embeddings, save_embeddings

RECIPE = """source: a test
data: {dataset: synthetic, train: dev, val: val, test: eval}
encoders: [logmel, mn04]
model:
  name: collaborative_experts
  text: {name: word_embeddings, dim: 8, pooling: {name: netvlad, clusters: 2}}
  audio_pooling: {name: netvlad, clusters: 2}
  expert_dim: 8
loss: {name: max_margin, margin: 0.2}
optimizer: {name: adamw, lr: 1e-2}
training: {epochs: 2, batch_size: 16, keep_best: mean_R@1}
"""

Run = Callable[..., Any]


def as_of_mn04(logmel: Embeddings) -> Embeddings:
    """What stands for mn04's embeddings: every second frame of log-mel, fewer bands, and clip vectors of their own."""
    frames = [logmel.frames_of(a)[::2, :6] for a in range(len(logmel.clip_ids))]
    return replace(
        logmel,
        frames_NF=np.concatenate(frames),
        offsets=np.cumsum([0, *map(len, frames)]),
        clip_emb_AD=logmel.clip_emb_AD[:, :5],
        provenance={**logmel.provenance, "encoder": "mn04", "settings": {"pool_time_s": None}},
    )


def without(embeddings: Embeddings, *clip_ids: str) -> Embeddings:
    """A store of an extraction that could not read some recordings."""
    hashes = dict(zip(embeddings.clip_ids, embeddings.audio_sha256, strict=True))
    problems = [
        {"item": clip_id, "sha256": hashes[clip_id], "action": "skipped", "reason": "cannot be decoded"}
        for clip_id in clip_ids
    ]
    kept = [clip_id for clip_id in embeddings.clip_ids if clip_id not in clip_ids]
    return replace(embeddings.select(kept), problems=(*embeddings.problems, *problems))


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("experts")


@pytest.fixture(scope="module")
def run(workspace: Path) -> Run:
    """Run a command in the workspace; what it prints (JSON) and what it says, or with `code` only what it says."""

    def invoke(*words: object, code: int = 0) -> Any:
        result = CliRunner().invoke(app, [*map(str, words), "--json", "--workspace", str(workspace)])
        assert result.exit_code == code, (result.exit_code, result.stderr, result.exception)
        return result.stderr if code else (json.loads(result.stdout), result.stderr)

    return invoke


@pytest.fixture(scope="module")
def stores(run: Run, workspace: Path) -> dict[str, Path]:
    """Both stores: log-mel lacks a clip of dev, mn04 another one, and one of eval."""
    run("download", "synthetic", "--clips", 40, "--workers", 1)
    run("extract", "--encoder", "logmel")
    paths = {name: workspace / "embeddings" / "synthetic" / f"{name}.h5" for name in ("logmel", "mn04")}
    whole = load_embeddings(paths["logmel"])
    lines = (workspace / "data" / "synthetic" / "manifest.jsonl").read_text().splitlines()
    split_of = {clip["id"]: clip["split"] for clip in map(json.loads, lines)}
    dev, test = ([clip_id for clip_id in whole.clip_ids if split_of[clip_id] == name] for name in ("dev", "eval"))
    save_embeddings(paths["logmel"], without(whole, dev[0]))
    save_embeddings(paths["mn04"], without(as_of_mn04(whole), dev[1], test[0]))
    return paths


@pytest.fixture(scope="module")
def recipe(workspace: Path) -> Path:
    path = workspace / "ce.yaml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="module")
def trained(run: Run, stores: dict[str, Path], recipe: Path) -> tuple[dict[str, Any], str]:
    (record,), said = run("train", recipe)
    return record, said


def folder_of(workspace: Path, name: str) -> Path:
    return workspace / "runs" / name / "seed-1"


def test_clips_that_one_encoder_lacks_are_left_out_counted_and_said(
    workspace: Path, trained: tuple[dict[str, Any], str], stores: dict[str, Path]
) -> None:
    record, said = trained
    clips = set(load_embeddings(stores["logmel"]).clip_ids) | set(load_embeddings(stores["mn04"]).clip_ids)
    assert f"3 of {len(clips)} clips lack embeddings of an encoder: left out" in said
    whole = record["train_clips"] + 2
    assert f"2 of {whole} clips of synthetic/dev have no embedding: left out" in said
    assert record["model"] == "collaborative_experts" and record["checkpoints"].keys() == {"logmel", "mn04"}
    config = json.loads((folder_of(workspace, "ce") / "config.json").read_text())
    assert config["frame_dims"] == [64, 6] and config["collaborative"] is True


def test_it_is_evaluated_on_its_own_split_and_on_others(
    run: Run, workspace: Path, trained: tuple[dict[str, Any], str]
) -> None:
    for split, folder in (("eval", "."), ("val", "evaluations/synthetic-val")):
        result, said = run("eval", "--run", "ce", "--split", split, "--metric", "recall,perturbation")
        matrix = load_scores(folder_of(workspace, "ce") / folder / "scores.h5")
        assert np.ptp(matrix.scores_AC) > 0 and np.abs(matrix.scores_AC).max() <= 1
        assert evaluate(matrix)["audio_to_text"].items() <= result[0]["audio_to_text"].items()
        assert ("clips of synthetic/eval have no embedding: left out" in said) is (split == "eval")
        assert {test["kind"] for test in result[1]["perturbation"]["tests"]} == {"replace", "invert"}


def test_scores_and_column_scaling(run: Run, trained: tuple[dict[str, Any], str]) -> None:
    scored, _ = run("score", "--run", "ce")
    assert scored["clips"] * scored["captions"] == scored["pairs_made"] > 0
    results, _ = run("eval", "--run", "ce", "--scaling", "none,minmax-calib", "--calib-clips", 10)
    assert results[1]["calibration_clips"] == 10
    assert results[0]["text_to_audio"] == results[1]["text_to_audio"]


def test_the_same_seed_is_the_same_model(run: Run, workspace: Path, recipe: Path, trained: tuple[Any, str]) -> None:
    _, said = run("train", recipe)
    assert "ce/seed-1 is finished already" in said
    run("train", recipe, "--name", "again")
    weights = [(folder_of(workspace, name) / "model.safetensors").read_bytes() for name in ("ce", "again")]
    assert weights[0] == weights[1]


def test_encoders_can_be_set(run: Run, workspace: Path, recipe: Path, stores: dict[str, Path]) -> None:
    _, said = run("train", recipe, "--name", "one", "--set", "encoders=[mn04]")
    assert "lack embeddings of an encoder" not in said
    assert json.loads((folder_of(workspace, "one") / "config.json").read_text())["frame_dims"] == [6]
    result, _ = run("eval", "--run", "one")
    assert result["text_to_audio"]["queries"] > 0


def test_other_encoders_have_no_published_figures(run: Run, stores: dict[str, Path]) -> None:
    with_own_words = ["model.text={name: word_embeddings}", "training.epochs=1", "data.dataset=synthetic"]
    splits = ["data.train=dev", "data.test=eval", "encoders=[logmel, mn04]", "model.expert_dim=4"]
    sets = [word for setting in [*with_own_words, *splits] for word in ("--set", setting)]
    _, said = run("train", "context/clotho/moee", *sets, "--seed", 1)
    assert "encoders, model.expert_dim, model.text, training.epochs changed: no published figures" in said


@pytest.mark.parametrize(("name", "key", "value"), [("logmel", "pool_time_s", 0.64), ("mn04", "pool_time_s", 1.0)])
def test_embeddings_remade_with_other_settings_are_refused_by_name(
    run: Run, trained: tuple[Any, str], stores: dict[str, Path], name: str, key: str, value: float
) -> None:
    path = stores[name]
    before = path.read_bytes()
    there = load_embeddings(path)
    settings = {**there.provenance["settings"], key: value}
    try:
        save_embeddings(path, replace(there, provenance={**there.provenance, "settings": settings}))
        message = run("eval", "--run", "ce", code=5)
    finally:
        path.write_bytes(before)
    assert f"{name}.h5 does not fit: settings.{key} is {value} there and" in message
    assert f"atrkit extract --encoder {name}" in message and "--overwrite" in message


def test_a_store_that_is_gone_is_named_with_the_command_that_makes_it(
    run: Run, trained: tuple[Any, str], stores: dict[str, Path], recipe: Path
) -> None:
    hidden = stores["mn04"].rename(stores["mn04"].with_suffix(".gone"))
    try:
        for words in (("train", recipe, "--name", "never"), ("eval", "--run", "ce")):
            message = run(*words, "--no-extract", code=3)
            assert "no mn04 embeddings of 'synthetic'; run: atrkit extract --encoder mn04" in message
    finally:
        hidden.rename(stores["mn04"])


def test_no_clip_in_common_is_refused(run: Run, recipe: Path, stores: dict[str, Path]) -> None:
    before = stores["mn04"].read_bytes()
    logmel = load_embeddings(stores["logmel"])
    try:
        save_embeddings(stores["mn04"], without(as_of_mn04(logmel), *logmel.clip_ids))
        message = run("train", recipe, "--name", "never", code=3)
    finally:
        stores["mn04"].write_bytes(before)
    assert "no clip of 'synthetic' has embeddings of all 2 encoders" in message


def test_commands_that_look_at_runs_know_it(run: Run, trained: tuple[Any, str]) -> None:
    about, _ = run("info")
    assert about
    checked, _ = run("doctor")
    assert checked
    assert "captioner" in run("caption", "--run", "ce", code=2)
