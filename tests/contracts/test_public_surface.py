"""The names that others build on (DESIGN.md, section 9), used as they are written there."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from atrkit.cli.app import app

WEIGHTS = Path(__file__).resolve().parents[3] / "shared" / "weights" / "mn04_as_mAP_432.pt"

FIGURES: dict[str, type] = {
    **dict.fromkeys(("R@1", "R@5", "R@10", "mAP@10", "MedR", "MnR", "chance_R@1"), float),
    **dict.fromkeys(("queries", "candidates", "tied_queries"), int),
}
RESULT: dict[str, type] = {
    **dict.fromkeys(("run", "dataset", "split", "pool_id", "scoring", "column_scaling"), str),
    **dict.fromkeys(("text_to_audio", "audio_to_text"), dict),
}


def toy_matrix() -> Any:
    from atrkit import ScoreMatrix

    scores_AC = np.array([[0.9, 0.2, 0.4, 0.7], [0.1, 0.8, 0.6, 0.3]], dtype=np.float32)
    clip_of_caption = ["rain", "rain", "dog", "dog"]
    return ScoreMatrix(scores_AC, ["rain", "dog"], ["rain#1", "rain#2", "dog#1", "dog#2"], clip_of_caption)


def assert_figures(figures: dict[str, Any]) -> None:
    assert {key: type(figures[key]) for key in FIGURES} == FIGURES
    assert all(0 <= figures[key] <= 1 for key in ("R@1", "R@5", "R@10", "mAP@10", "chance_R@1"))
    assert figures["MedR"] >= 1 and figures["MnR"] >= 1


@pytest.mark.parametrize("name", ["logmel", "mn04"])
def test_encoders(name: str) -> None:
    if name == "mn04" and not WEIGHTS.is_file():
        pytest.skip("needs ../shared/weights")
    from atrkit.encoders import load_encoder

    encoder = load_encoder(name, checkpoint=WEIGHTS if name == "mn04" else None)
    assert isinstance(encoder.sample_rate_hz, int) and isinstance(encoder.frame_period_s, float)
    rng = np.random.default_rng(0)
    wave_a, wave_b = (rng.standard_normal(n).astype(np.float32) / 10 for n in (20_000, 33_333))
    out = encoder.encode([wave_a, wave_b])
    assert out.frames[0].ndim == 2 and out.frames[0].shape[1] == encoder.frame_dim
    assert out.clip[0].shape == (encoder.clip_dim,)
    assert out.frames[0].dtype == out.clip.dtype == np.float32
    assert out.logits is None or (out.logits.ndim, len(out.logits)) == (2, 2)
    for index, wave in enumerate((wave_a, wave_b)):
        alone = encoder.encode([wave])
        np.testing.assert_array_equal(alone.frames[0], out.frames[index])
        np.testing.assert_array_equal(alone.clip[0], out.clip[index])


def test_score_matrix_and_its_store(tmp_path: Path) -> None:
    from atrkit.store import load_scores, save_scores

    matrix = toy_matrix()
    assert isinstance(matrix.pool_id, str)
    save_scores(tmp_path / "scores.h5", matrix, {"run": "a test"})
    loaded = load_scores(tmp_path / "scores.h5")
    np.testing.assert_array_equal(loaded.scores_AC, matrix.scores_AC)
    for name in ("clip_ids", "caption_ids", "clip_of_caption", "pool_id"):
        assert getattr(loaded, name) == getattr(matrix, name)


def test_evaluate() -> None:
    from atrkit.metrics.ranking import evaluate

    result = evaluate(toy_matrix(), ks=(1, 5, 10))
    assert result.keys() == {"text_to_audio", "audio_to_text"}
    for figures in result.values():
        assert_figures(figures)
    assert result["text_to_audio"]["R@1"] == 0.5
    assert evaluate(toy_matrix()) == result


def test_scoring() -> None:
    from atrkit.scoring import min_max_scale_columns, rank_captions

    loss_AC = -toy_matrix().scores_AC
    np.testing.assert_allclose(min_max_scale_columns(loss_AC)[:, 0], [0, 1])
    order_AC = rank_captions(loss_AC)
    assert order_AC[0].tolist() == [0, 3, 2, 1]  # raw losses, lowest first


def test_models(tmp_path: Path) -> None:
    from atrkit.models import AudioTower, DualEncoder, WordTower
    from atrkit.text.vocabulary import Vocabulary

    words = Vocabulary.from_captions(["rain falls", "a dog barks"]).words
    model = DualEncoder(AudioTower(4, 8, hidden_dims=()), WordTower(words, 8)).eval()
    model.save_pretrained(tmp_path)
    again = DualEncoder.from_pretrained(tmp_path)
    np.testing.assert_array_equal(again.embed_captions(["a dog"]), model.embed_captions(["a dog"]))


def test_captioner_and_its_scores(tmp_path: Path) -> None:
    from atrkit.models import Captioner, TransformerDecoder
    from atrkit.scoring import score_pairs
    from atrkit.store.clip_embeddings import gather_embeddings
    from atrkit.text.vocabulary import CaptionVocabulary

    words = CaptionVocabulary.from_captions(["rain falls", "a dog barks"]).words
    model = Captioner(4, words, TransformerDecoder(len(words), dim=8, num_layers=1, num_heads=2, ff_dim=8)).eval()
    model.save_pretrained(tmp_path)
    again = Captioner.from_pretrained(tmp_path)
    rng = np.random.default_rng(0)
    frames = [rng.standard_normal((length, 4)).astype(np.float32) for length in (3, 5)]
    store = gather_embeddings(
        ["rain", "dog"], ["1", "2"], frames, [frame[0] for frame in frames], None,
        labels=[], frame_dim=4, clip_dim=4, frame_dtype="float32", provenance={"encoder": "toy"},
    )  # fmt: skip
    matrix = score_pairs(again, store, {"rain": ["Rain falls."], "dog": ["a dog barks", "barks"]})
    assert matrix.clip_ids == ("rain", "dog")
    assert matrix.caption_ids == ("rain#1", "dog#1", "dog#2")
    assert matrix.clip_of_caption == ("rain", "dog", "dog")
    assert matrix.scores_AC.shape == (2, 3) and (matrix.scores_AC < 0).all()


@pytest.mark.parametrize("mode", ["single", "stacking", "iterating"])
def test_co_attention(mode: Any) -> None:
    import torch

    from atrkit.models import CoAttention

    layers = 1 if mode == "single" else 2
    co_attention = CoAttention(8, mode=mode, num_layers=layers, num_heads=2, ff_dim=16).eval()
    frames_PTD, words_PLD = torch.zeros(3, 5, 8), torch.zeros(3, 4, 8)
    lengths_P = torch.tensor([4, 1, 2])
    clip_PTD, caption_PLD = co_attention(frames_PTD, lengths_P, words_PLD, lengths_P)
    assert clip_PTD.shape == (3, 5, 8) and caption_PLD.shape == (3, 4, 8)


def test_poolings_and_retrieval_models() -> None:
    from atrkit.models import DualEncoder, NetRVLAD, NetVLAD

    assert NetRVLAD(in_dim=2048, clusters=12).out_dim == NetVLAD(in_dim=2048, clusters=12).out_dim == 2048 * 12
    assert callable(DualEncoder.from_pretrained) and callable(DualEncoder.save_pretrained)


def test_fixed_recipe_names() -> None:
    from atrkit.recipe.find import shipped_recipe_folder, shipped_recipe_names

    names = shipped_recipe_names(shipped_recipe_folder())
    assert {"synthetic/retrieval", "synthetic/captioner", "own_recordings"} <= set(names)


def commands() -> dict[str, Any]:
    """Every command, those of a group by both words: "download clotho"."""
    found = {}
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        group = getattr(command, "commands", None)
        found.update({f"{name} {member}": below for member, below in group.items()} if group else {name: command})
    return found


def test_every_command_of_the_design_is_there() -> None:
    assert {
        "download synthetic",
        "download clotho",
        "download audiocaps",
        "import",
        "extract",
        "init",
        "train",
        "eval",
        "score",
        "caption",
        "doctor",
        "download metrics",
        "compare",
        "report",
        "export",
        "index",
        "search",
        "serve",
    } <= commands().keys()


@pytest.mark.parametrize("name", sorted(commands()))
def test_every_command_takes_json_and_a_workspace(name: str) -> None:
    options = {option for parameter in commands()[name].params for option in parameter.opts}
    assert {"--json", "--workspace", "--plain", "--debug"} <= options


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workspace")


@pytest.fixture(scope="module")
def records(workspace: Path) -> dict[str, Any]:
    """What each command of the main job prints with --json: one value and nothing else."""

    def record_of(*words: str) -> Any:
        result = CliRunner().invoke(app, [*words, "--json", "--workspace", str(workspace)])
        assert result.exit_code == 0, (result.stderr, result.exception)
        return json.loads(result.stdout)

    return {
        "download": record_of("download", "synthetic", "--clips", "30", "--workers", "1"),
        "extract": record_of("extract", "--encoder", "logmel"),
        "init": record_of("init", "--out", str(workspace / "own.yaml")),
        # a ridge on log-mel frames: trained in no time
        "train": record_of("train", "own_recordings", "--set", "encoder={name: logmel}"),
        "eval": record_of("eval", "--metric", "recall"),
    }


def test_the_json_of_eval(records: dict[str, Any]) -> None:
    result = records["eval"]
    assert {key: type(result[key]) for key in RESULT} == RESULT
    assert (result["run"], result["dataset"], result["split"]) == ("own_recordings/seed-1", "synthetic", "eval")
    assert (result["scoring"], result["column_scaling"]) == ("cosine", "none")
    for direction in ("text_to_audio", "audio_to_text"):
        assert_figures(result[direction])


def test_the_json_of_the_other_commands_names_what_was_made(records: dict[str, Any]) -> None:
    assert records["download"]["dataset"] == records["extract"]["dataset"] == "synthetic"
    assert {"splits", "about"} <= records["download"].keys()
    assert Path(records["init"]["recipe"]).is_file()
    assert [run["run"] for run in records["train"]] == ["own_recordings/seed-1"]


def test_the_workspace_is_laid_out_as_documented(workspace: Path, records: dict[str, Any]) -> None:
    run = "runs/own_recordings/seed-1"
    files = ("recipe.yaml", "environment.json", "model.safetensors", "scores.h5", "results.json", "log.txt")
    data = ("data/synthetic/manifest.jsonl", "data/synthetic/audio", "embeddings/synthetic/logmel.h5")
    assert [path for path in (*data, *(f"{run}/{name}" for name in files)) if not (workspace / path).exists()] == []
