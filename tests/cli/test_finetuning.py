"""A recipe that fine-tunes its audio encoder, through the commands: samples, training, and the run used like any other.

The network is a Cnn10 with few channels; weights are drawn.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from typer.testing import CliRunner

from atrkit.cli.app import app
from atrkit.encoders import load_encoder, panns, trainable
from atrkit.encoders.panns_networks import Cnn, PannsNetwork
from atrkit.metrics.ranking import evaluate
from atrkit.models import DualEncoder
from atrkit.store import load_scores
from atrkit.store.embeddings import load_embeddings
from atrkit.training.loop import Trainer

RECIPE = """source: a test
data: {dataset: tones, train: dev, val: val, test: eval}
encoder: {name: cnn10, checkpoint: %s, finetune: {crop_s: 0.4, dropout: 0.0}}
model:
  name: dual_encoder
  out_dim: 8
  audio: {hidden_dims: [], pooling: {name: mean}}
  text: {name: word_embeddings, dim: 8, pooling: {name: mean}}
loss: {name: nt_xent}
optimizer: {name: adamw, lr: 1e-3}
training: {epochs: 2, batch_size: 3, accumulate_batches: 2, keep_best: val_loss}
"""
FILES = ("audio_encoder.safetensors", "model.safetensors", "metrics.jsonl")
WORDS = ("low", "middle", "high", "noisy")

Run = Callable[..., Any]


def small_network(name: str) -> PannsNetwork:
    assert name == "cnn10"
    with torch.device("meta"):
        return Cnn((4, 6, 8, 512), num_halvings=4).eval()


@pytest.fixture(scope="module", autouse=True)
def small_networks() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        for module in (panns, trainable):
            patch.setattr(module, "panns_network", small_network)
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tones of half a second in three splits, imported, and weights to begin with."""
    root = tmp_path_factory.mktemp("finetuning")
    draw = np.random.default_rng(1)
    (root / "sounds").mkdir()
    lines = ["file_name,caption,split"]
    for number in range(20):
        kind = number % 4
        samples = (
            np.sin(np.arange(16_000 + 37 * number) * (0.02 + 0.2 * kind)) if kind < 3 else draw.normal(size=16_000)
        )
        name, split = f"{number:02}.wav", ("dev", "dev", "dev", "val", "eval")[number // 4]
        soundfile.write(root / "sounds" / name, 0.3 * samples / np.abs(samples).max(), 32_000)
        lines.append(f"{name},a {WORDS[kind]} sound,{split}")
    (root / "captions.csv").write_text("\n".join(lines))
    network = small_network("cnn10").to_empty(device="cpu")
    generator = torch.Generator().manual_seed(2)
    for key, value in network.state_dict().items():
        if value.ndim > 1:
            value.copy_(torch.randn(value.shape, generator=generator) * (2.0 / value[0].numel()) ** 0.5)
        else:
            value.fill_({"bn0.running_mean": -30, "bn0.running_var": 400}.get(key, key.endswith(("weight", "var"))))
    torch.save({"model": network.state_dict()}, root / "cnn10.pth")
    return root


@pytest.fixture(scope="module")
def run(workspace: Path) -> Run:
    """Run a command in the workspace; what it prints (JSON) and what it says, or with `code` only what it says."""

    def invoke(*words: object, code: int = 0) -> Any:
        result = CliRunner().invoke(app, [*map(str, words), "--json", "--workspace", str(workspace)])
        assert result.exit_code == code, (result.exit_code, result.stderr, result.exception)
        return result.stderr if code else (json.loads(result.stdout), result.stderr)

    return invoke


@pytest.fixture(scope="module")
def recipe(run: Run, workspace: Path) -> Path:
    run("import", workspace / "captions.csv", "--audio-dir", workspace / "sounds", "--name", "tones")
    path = workspace / "tuned.yaml"
    path.write_text(RECIPE % (workspace / "cnn10.pth"))
    return path


@pytest.fixture(scope="module")
def trained(run: Run, recipe: Path, workspace: Path) -> tuple[Path, str]:
    """The run's folder, and what was said."""
    _, said = run("train", recipe)
    return workspace / "runs" / "tuned" / "seed-1", said


def test_training_makes_samples_and_says_what_it_crops(trained: tuple[Path, str], workspace: Path) -> None:
    _, said = trained
    assert "no waveform embeddings of 'tones' yet: making them (atrkit extract --encoder waveform" in said
    assert "12 of 12 training clips are longer than 0.4 s" in said
    samples = load_embeddings(workspace / "embeddings" / "tones" / "waveform.h5")
    assert samples.provenance["settings"]["sample_rate_hz"] == 32000 and samples.frames_NF.shape[1] == 321
    assert samples.frames_NF.dtype == np.float32
    assert "--dtype float32" in said and "float16" not in said
    assert not (workspace / "embeddings" / "tones" / "cnn10.h5").exists()


def test_a_finished_run_holds_weights_that_the_encoder_reads(trained: tuple[Path, str], workspace: Path) -> None:
    folder, _ = trained
    record = json.loads((folder / "finished.json").read_bytes())
    encoder = load_encoder("cnn10", folder / "audio_encoder.safetensors")
    assert encoder.checkpoint_sha256 == record["audio_encoder_sha256"]
    # the folder alone says that the model's frames are not those of the published encoder, and vouches for the weights
    assert DualEncoder.from_pretrained(folder).audio_encoder == {"name": "cnn10", "sha256": encoder.checkpoint_sha256}
    assert "  audio_encoder.safetensors\n" in (folder / "model.sha256").read_text()
    inputs = json.loads((folder / "inputs.json").read_bytes())
    start = load_encoder("cnn10", workspace / "cnn10.pth")
    assert inputs["fine_tuned_from"] == {"encoder": "cnn10", "checkpoint_sha256": start.checkpoint_sha256}
    wave = np.sin(np.arange(20_000) / 9).astype(np.float32)
    assert np.abs(encoder.encode([wave]).frames[0] - start.encode([wave]).frames[0]).max() > 1e-4
    assert not (folder / "training_state.ckpt").exists()


def test_eval_uses_frames_of_the_tuned_encoder_kept_with_the_run(
    trained: tuple[Path, str], run: Run, workspace: Path
) -> None:
    folder, _ = trained
    results, said = run("eval", "--run", "tuned")
    path = folder / "embeddings" / "tones.h5"
    assert f"by this run's own encoder yet: making {path}" in said
    matrix = load_scores(folder / "scores.h5")
    by_hand = scored_by_hand(folder, workspace / "sounds", matrix.clip_ids, ["a low sound", "a noisy sound"])
    column = {caption: by_hand[:, c] for c, caption in enumerate(("a low sound", "a noisy sound"))}
    clip_of_caption = dict(zip(matrix.caption_ids, matrix.clip_of_caption, strict=True))
    for c, caption_id in enumerate(matrix.caption_ids):
        caption = f"a {WORDS[int(clip_of_caption[caption_id][:2]) % 4]} sound"
        if caption in column:
            np.testing.assert_allclose(matrix.scores_AC[:, c], column[caption], atol=2e-3)  # frames are kept in float16
    assert results["text_to_audio"]["R@1"] == pytest.approx(evaluate(matrix)["text_to_audio"]["R@1"])
    _, again = run("eval", "--run", "tuned")
    assert "making" not in again


def scored_by_hand(folder: Path, sounds: Path, clip_ids: tuple[str, ...], captions: list[str]) -> np.ndarray:
    encoder, model = load_encoder("cnn10", folder / "audio_encoder.safetensors"), DualEncoder.from_pretrained(folder)
    waves = [soundfile.read(sounds / clip_id, dtype="float32")[0] for clip_id in clip_ids]
    scores_AC: np.ndarray = model.embed_clips(encoder.encode(waves).frames) @ model.embed_captions(captions).T
    return scores_AC


def test_validation_in_training_and_evaluation_afterwards_agree(trained: tuple[Path, str], run: Run) -> None:
    folder, _ = trained
    results, _ = run("eval", "--run", "tuned", "--split", "val")
    record = json.loads((folder / "finished.json").read_bytes())
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    chosen = json.loads(lines[record["best_epoch"] - 1])
    for direction in ("text_to_audio", "audio_to_text"):
        assert results[direction]["mAP@10"] == pytest.approx(chosen[f"{direction}.mAP@10"])


@pytest.mark.parametrize("damage", ["weights", "embeddings"])
def test_a_run_whose_files_were_exchanged_is_refused(
    trained: tuple[Path, str], run: Run, workspace: Path, damage: str
) -> None:
    folder, _ = trained
    run("eval", "--run", "tuned")
    path = folder / ("audio_encoder.safetensors" if damage == "weights" else "embeddings/tones.h5")
    before = path.read_bytes()
    try:
        if damage == "weights":
            path.write_bytes(before[:-4] + bytes(4))
        else:
            run("extract", "--encoder", "cnn10", "--checkpoint", workspace / "cnn10.pth")
            path.write_bytes((workspace / "embeddings" / "tones" / "cnn10.h5").read_bytes())
        expected = "is damaged (its sha256 differs)" if damage == "weights" else "does not fit: checkpoint_sha256"
        assert expected in run("eval", "--run", "tuned", code=5)
    finally:
        path.write_bytes(before)


def test_an_interrupted_training_goes_on_to_the_same_bits(
    trained: tuple[Path, str], run: Run, recipe: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = trained
    stops = iter([False, True, True] + [False] * 9)  # two of the four steps are the last before an interruption
    save_if_due = Trainer._save_if_due

    def stopping(self: Trainer) -> None:
        save_if_due(self)
        if next(stops):
            self._save()
            raise KeyboardInterrupt

    monkeypatch.setattr(Trainer, "_save_if_due", stopping)
    for _ in range(2):
        run("train", recipe, "--name", "again", code=130)
    run("train", recipe, "--name", "again")
    again = workspace / "runs" / "again" / "seed-1"
    assert {name: (again / name).read_bytes() for name in FILES} == {
        name: (folder / name).read_bytes() for name in FILES
    }


def test_samples_at_another_rate_or_in_float16_are_not_taken_silently(
    trained: tuple[Path, str], run: Run, recipe: Path, workspace: Path
) -> None:
    path = workspace / "embeddings" / "tones" / "waveform.h5"
    before = path.read_bytes()
    try:
        run("extract", "--encoder", "waveform", "--sample-rate", 16000, "--overwrite")
        said = run("train", recipe, "--name", "other", code=5)
        assert "settings.sample_rate_hz is 16000 there and 32000 now" in said
        assert "atrkit extract --encoder waveform --dataset tones --dtype float32 --overwrite" in said
        run("extract", "--encoder", "waveform", "--dtype", "float16", "--overwrite")
        assert "fills empty bands with noise" in run("train", recipe, "--name", "tuned", code=5)
    finally:
        path.write_bytes(before)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("model={name: ridge}", "encoder.finetune: only retrieval models that are trained by steps"),
        ("encoder.finetune.crop_s=0", "encoder.finetune.crop_s"),
        ("encoder={name: logmel, finetune: true}", "encoder.finetune: unknown key"),
    ],
)
def test_what_cannot_be_fine_tuned_is_named(run: Run, recipe: Path, change: str, expected: str) -> None:
    words = ["loss=null", "optimizer=null", "training=null"] if "ridge" in change else []
    options = [word for each in (change, *words) for word in ("--set", each)]
    assert expected in run("train", recipe, *options, code=2)
