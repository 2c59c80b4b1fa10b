"""`atrkit eval --model`: the text side is transformers' own, and figures are those of cosines with it."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from safetensors import torch as safetensors_torch
from typer.testing import CliRunner

from atrkit.cli.app import app
from atrkit.encoders.clap_files import find_clap, read_text_weights
from atrkit.errors import DivergedError, IntegrityError, MissingPrerequisiteError, NetworkError
from atrkit.metrics.ranking import evaluate
from atrkit.models.clap_text import ClapTextEncoder
from atrkit.store import load_scores
from atrkit.store.embeddings import load_embeddings

CAPTIONS = ["A dog barks, twice.", "rain falls", "Rain falls on a tin roof while a dog barks", "a bell; a bell", "wind"]
WORDS = [
    "<s>",
    "<pad>",
    "</s>",
    "<unk>",
    *sorted({word for caption in CAPTIONS for word in re.findall(r"\w+|[.,;]", caption)}),
]
MOST_TOKENS = 9  # positions of the network, less the padding's and the one before it

Run = Callable[..., Any]


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.fixture(scope="module")
def clap(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny `ClapModel` of random weights, its feature extractor and its tokenizer."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast
    from transformers.models.clap import configuration_clap, feature_extraction_clap, modeling_clap

    folder = tmp_path_factory.mktemp("models") / "tiny clap"
    config = configuration_clap.ClapConfig(
        text_config={
            "vocab_size": len(WORDS),
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "intermediate_size": 64,
            "max_position_embeddings": MOST_TOKENS + 2,
        },
        audio_config={
            "depths": [1, 1, 1, 1],
            "num_attention_heads": [1, 2, 4, 8],
            "patch_embeds_hidden_size": 16,
            "hidden_size": 128,
            "num_classes": 10,
        },
        projection_dim=24,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        model = modeling_clap.ClapModel(config)
        for parameter in model.parameters():  # random weights of the library's size make all captions alike
            parameter.data += 0.2 * torch.randn_like(parameter)
    model.eval().save_pretrained(folder)
    feature_extraction_clap.ClapFeatureExtractor(truncation="rand_trunc").save_pretrained(folder)
    words = Tokenizer(models.WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing("<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    ).save_pretrained(folder)
    return folder


@pytest.fixture
def broken(clap: Path, tmp_path: Path) -> Path:
    """A copy to break."""
    return shutil.copytree(clap, tmp_path / "clap")


def encoder_of(folder: Path) -> ClapTextEncoder:
    files = find_clap(folder)
    return ClapTextEncoder(files.config, read_text_weights(files.weights), files.folder)


def text_features(folder: Path, captions: list[str]) -> np.ndarray[Any, Any]:
    """As transformers' own users make them, rows of norm 1."""
    from transformers import AutoTokenizer, ClapModel

    model, tokenizer = ClapModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    tokens = tokenizer(captions, padding=True, truncation=True, max_length=MOST_TOKENS, return_tensors="pt")
    with torch.inference_mode():
        output = model.get_text_features(input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"])
    return torch.nn.functional.normalize(getattr(output, "pooler_output", output), dim=-1).numpy()


# --- the text side


def test_it_is_transformers_text_features(clap: Path) -> None:
    text, expected_CD = encoder_of(clap), text_features(clap, CAPTIONS)
    found_CD = text.embed(CAPTIONS)
    np.testing.assert_allclose(found_CD, expected_CD, atol=2e-6)
    assert found_CD.shape == (5, 24) and (expected_CD @ expected_CD.T).min() < 0.95, "captions differ"
    np.testing.assert_allclose(np.linalg.norm(found_CD, axis=1), 1, atol=1e-6)


def test_a_caption_alone_is_as_among_others(clap: Path) -> None:
    text = encoder_of(clap)
    alone_CD = np.concatenate([text.embed([caption]) for caption in CAPTIONS])
    for batch_size in (2, 64):
        np.testing.assert_allclose(text.embed(CAPTIONS, batch_size=batch_size), alone_CD, atol=1e-6)


def test_captions_that_are_too_long_are_counted(clap: Path) -> None:
    text = encoder_of(clap)
    assert text.max_tokens == MOST_TOKENS
    assert text.count_cut(CAPTIONS) == 1, "nine words and two special tokens"
    np.testing.assert_array_equal(text.embed(["a " * 7]), text.embed(["a " * 20]))


def test_weights_may_lie_in_a_pickle_of_tensors(clap: Path, broken: Path) -> None:
    weights = broken / "model.safetensors"
    torch.save(safetensors_torch.load_file(weights), broken / "pytorch_model.bin")
    weights.unlink()
    np.testing.assert_array_equal(encoder_of(broken).embed(CAPTIONS), encoder_of(clap).embed(CAPTIONS))


def test_a_hub_id_is_read_from_the_cache(clap: Path, tmp_path: Path) -> None:
    commit, cached = "0123456789abcdef0123456789abcdef01234567", tmp_path / "hub" / "models--org--tiny"
    shutil.copytree(clap, cached / "snapshots" / commit)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(commit)
    files = find_clap("org/tiny", with_tokenizer=True)
    text = ClapTextEncoder(files.config, read_text_weights(files.weights), files.folder)
    np.testing.assert_array_equal(text.embed(CAPTIONS), encoder_of(clap).embed(CAPTIONS))
    (cached / "snapshots" / commit / "tokenizer.json").unlink()  # as after `atrkit extract`, which needs none
    assert find_clap("org/tiny").folder == files.folder
    with pytest.raises(NetworkError, match=r"lacks tokenizer\.json or vocab\.json or vocab\.txt: go online"):
        find_clap("org/tiny", with_tokenizer=True)


def test_a_model_without_a_tokenizer_is_refused(broken: Path) -> None:
    (broken / "tokenizer.json").unlink()
    with pytest.raises(MissingPrerequisiteError, match="holds no tokenizer"):
        encoder_of(broken)
    with pytest.raises(MissingPrerequisiteError, match=r"holds no ClapModel: tokenizer\.json or vocab\.json or"):
        find_clap(broken, with_tokenizer=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("text_projection.linear2.bias"), "the first 'text_projection.linear2.bias'"),
        (lambda state: state.update({"text_model.more": torch.ones(1)}), "the first 'text_model.more'"),
        (lambda state: state["text_projection.linear1.weight"].fill_(torch.nan), "weights are not finite"),
    ],
    ids=["missing", "too many", "not finite"],
)
def test_other_weights_than_the_configurations_are_refused(broken: Path, change: Any, message: str) -> None:
    path = broken / "model.safetensors"
    state = safetensors_torch.load_file(path)
    change(state)
    safetensors_torch.save_file(state, path)
    with pytest.raises(IntegrityError, match=message):
        encoder_of(broken)


def test_the_tokenizer_of_another_model_is_refused(broken: Path) -> None:
    path = broken / "tokenizer.json"
    content = json.loads(path.read_text())
    content["model"]["vocab"] |= {f"word{n}": len(WORDS) + n for n in range(3)}
    path.write_text(json.dumps(content))
    with pytest.raises(IntegrityError, match=f"knows {len(WORDS) + 3} tokens, and its network {len(WORDS)}"):
        encoder_of(broken)


def test_an_embedding_that_is_not_finite_is_refused_by_the_captions_name(clap: Path) -> None:
    text = encoder_of(clap)
    rare = WORDS.index("wind")
    with torch.no_grad():
        dict(text.named_parameters())["network.text_model.embeddings.word_embeddings.weight"][rare] = torch.nan
    with pytest.raises(DivergedError, match="caption 'c4' has an embedding that is not finite"):
        text.embed(CAPTIONS, ids=["c0", "c1", "c2", "c3", "c4"])


# --- the command


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five tones of a second, each with two captions, as datasets `tones` and `others`."""
    root = tmp_path_factory.mktemp("workspace")
    lines = ["file_name,caption_1,caption_2,split"]
    (root / "sounds").mkdir()
    for number, caption in enumerate(CAPTIONS):
        tone = 0.3 * np.sin(np.arange(16000) * (0.02 + 0.2 * number)) * np.linspace(1, number % 2, 16000)
        soundfile.write(root / "sounds" / f"{number}.wav", tone, 16000)
        lines.append(f'{number}.wav,"{caption}","{CAPTIONS[number - 1]} wind",{"eval" if number else "dev"}')
    (root / "captions.csv").write_text("\n".join(lines) + "\n")
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
def evaluated(run: Run, workspace: Path, clap: Path) -> tuple[list[dict[str, Any]], str]:
    run("import", workspace / "captions.csv", "--audio-dir", workspace / "sounds", "--name", "tones")
    words = ("--metric", "recall,perturbation", "--scaling", "none,minmax")
    results, said = run("eval", "--model", clap, "--split", "eval", *words)
    return results, said


def test_figures_are_those_of_cosines_with_transformers_text_features(
    workspace: Path, clap: Path, evaluated: tuple[list[dict[str, Any]], str]
) -> None:
    (recall, scaled, perturbed), said = evaluated
    folder = workspace / "runs" / recall["run"] / "tones-eval"
    matrix = load_scores(folder / "scores.h5")
    store = load_embeddings(workspace / "embeddings" / "tones" / "clap.h5").select(matrix.clip_ids)
    captions = [text for n in range(1, 5) for text in (CAPTIONS[n], f"{CAPTIONS[n - 1]} wind")]
    np.testing.assert_allclose(matrix.scores_AC, store.clip_emb_AD @ text_features(clap, captions).T, atol=2e-6)
    assert evaluate(matrix)["text_to_audio"].items() <= recall["text_to_audio"].items()
    assert recall["audio_to_text"] == scaled["audio_to_text_raw"] and scaled["column_scaling"] == "minmax"
    assert recall["model"] == str(clap) and recall["clips_trained_on"] is None and recall["scoring"] == "cosine"
    assert recall["run"] == f"zero_shot/tiny_clap-{find_clap(clap).sha256[:8]}"
    assert json.loads((folder / "results.json").read_text()) == [recall, scaled]
    assert json.loads((folder / "perturbation_results.json").read_text()) == perturbed
    assert "2 captions are longer than 9 tokens: their ends are not read" in said
    assert "it may have seen these clips" in said


def test_a_second_time_gives_the_same_and_another_split_lies_elsewhere(
    run: Run, workspace: Path, clap: Path, evaluated: tuple[list[dict[str, Any]], str]
) -> None:
    folder = workspace / "runs" / evaluated[0][0]["run"]
    before = (folder / "tones-eval" / "scores.h5").read_bytes()
    _, said = run("eval", "--model", clap, "--dataset", "tones", "--no-extract")
    assert "split: tones/eval" in said and "making them" not in said
    assert (folder / "tones-eval" / "scores.h5").read_bytes() == before
    run("eval", "--model", clap, "--split", "dev")
    assert (folder / "tones-eval" / "scores.h5").read_bytes() == before
    assert (folder / "tones-dev" / "results.json").is_file()


def test_the_table_names_the_model(workspace: Path, clap: Path, evaluated: tuple[Any, str]) -> None:
    words = ["eval", "--model", str(clap), "--plain", "--workspace", str(workspace)]
    table = CliRunner().invoke(app, words).stdout
    assert "zero_shot/tiny_clap" in table and "text to audio" in table and "chance" in table


def test_embeddings_of_another_model_are_refused(
    run: Run, workspace: Path, broken: Path, evaluated: tuple[Any, str]
) -> None:
    state = safetensors_torch.load_file(broken / "model.safetensors")
    state["text_projection.linear1.bias"] += 1
    safetensors_torch.save_file(state, broken / "model.safetensors")
    message = run("eval", "--model", broken, code=5)
    assert "clap.h5 does not fit: checkpoint_sha256" in message
    assert "atrkit extract --encoder clap" in message and "--overwrite" in message


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--model", "{empty}"), 3, "holds no ClapModel"),
        (("--model", "nowhere/at/all"), 3, "there is no folder nowhere/at/all"),
        (("--model", "laion/clap-htsat-unfused"), 6, "neither in the local cache nor to be had"),
        (("--model", "{clap}", "--run", "x"), 2, "--model is a model that was not trained here"),
        (("--model", "{clap}", "--runs", "x"), 2, "--model is a model that was not trained here"),
        (("--model", "{clap}", "--split", "nope"), 2, "nope"),
        (("--model", "{clap}", "--metric", "caption"), 2, "--metric caption: needs a run that was trained here"),
        (("--model", "{clap}", "--scaling", "pmi"), 2, "--scaling minmax-calib and pmi: needs a run"),
        (("--model", "{clap}", "--calib-clips", "5"), 2, "--calib-clips: needs a run"),
        (("--model", "{clap}", "--precision", "fp16"), 2, "--precision: needs a run"),
        (("--model", "{clap}", "--rerank", "x"), 2, "--rerank: needs a run"),
    ],
)
def test_what_cannot_be_done_is_said(
    run: Run, clap: Path, tmp_path: Path, evaluated: tuple[Any, str], words: Any, code: int, message: str
) -> None:
    (tmp_path / "empty").mkdir()
    places = {"{empty}": tmp_path / "empty", "{clap}": clap}
    said = run("eval", *(places.get(word, word) for word in words), code=code)
    assert message in said and said.splitlines()[-1].startswith("atrkit: ")
