"""`atrkit index --model`: a CLAP model as it is, here a tiny one of random weights; the oracle is transformers."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from typer.testing import CliRunner

from atrkit.audio.read import load_mono
from atrkit.cli.app import app
from atrkit.cli.session import Terminal
from atrkit.search.index_files import load_index
from atrkit.workflows.query_model import open_query_model

WORDS = ["<s>", "<pad>", "</s>", "<unk>", "rain", "falls", "a", "dog", "barks"]
TEXT = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
AUDIO = {"depths": [1, 1, 1, 1], "num_attention_heads": [1, 2, 4, 8], "hidden_size": 128, "num_classes": 10}
RATE_HZ = 48000


@pytest.fixture(scope="module")
def clap(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast
    from transformers.models.clap import configuration_clap, feature_extraction_clap, modeling_clap

    folder = tmp_path_factory.mktemp("models") / "tiny clap"
    text_config = {**TEXT, "vocab_size": len(WORDS), "max_position_embeddings": 12}
    audio_config = {**AUDIO, "patch_embeds_hidden_size": 16}
    config = configuration_clap.ClapConfig(text_config=text_config, audio_config=audio_config, projection_dim=24)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        model = modeling_clap.ClapModel(config)
        for parameter in model.parameters():  # random weights of the library's size make all windows alike
            parameter.data += 0.2 * torch.randn_like(parameter)
    model.eval().save_pretrained(folder)
    feature_extraction_clap.ClapFeatureExtractor(truncation="rand_trunc").save_pretrained(folder)
    words = Tokenizer(models.WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing("<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    special = {"pad_token": "<pad>", "unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
    PreTrainedTokenizerFast(tokenizer_object=words, **special).save_pretrained(folder)
    return folder


def test_windows_and_texts_are_those_of_transformers(clap, tmp_path):
    from transformers import AutoTokenizer, ClapFeatureExtractor, ClapModel

    sounds = tmp_path / "sounds"
    sounds.mkdir()
    noise = np.random.default_rng(0).normal(scale=0.1, size=round(14.5 * RATE_HZ)) * np.linspace(
        0.1, 3, 14 * RATE_HZ + RATE_HZ // 2
    )
    soundfile.write(sounds / "long.wav", noise, RATE_HZ, subtype="FLOAT")
    words = ["index", str(sounds), "--model", str(clap), "--workspace", str(tmp_path), "--json"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, (result.stderr, result.exception)
    record = json.loads(result.stdout)
    assert (record["model"], record["windows"], record["dim"]) == ({"clap": str(clap)}, 2, 24)

    index = load_index(tmp_path / "index" / "sounds")
    samples = load_mono(sounds / "long.wav", RATE_HZ)
    windows = [samples[: 10 * RATE_HZ], samples[-10 * RATE_HZ :]]
    extractor, model = ClapFeatureExtractor.from_pretrained(clap), ClapModel.from_pretrained(clap).eval()
    inputs = extractor(windows, sampling_rate=RATE_HZ, return_tensors="pt")
    tokens = AutoTokenizer.from_pretrained(clap)(["rain falls", "a dog barks"], padding=True, return_tensors="pt")
    with torch.inference_mode():
        audio = model(**inputs, input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"])
    np.testing.assert_allclose(np.concatenate(index.vectors), audio.audio_embeds, atol=1e-4)
    query_model = open_query_model(Terminal(tmp_path, as_json=False, plain=True).session, index.about)
    np.testing.assert_allclose(query_model.embed_texts(["rain falls", "a dog barks"]), audio.text_embeds, atol=1e-5)
    np.testing.assert_allclose(query_model.embed_audio(sounds / "long.wav"), index.vectors[0], atol=1e-5)

    weights = clap / "model.safetensors"
    whole = weights.read_bytes()
    try:
        weights.write_bytes(whole[:-4] + b"\0\0\0\0")
        refused = CliRunner().invoke(app, ["index", "--workspace", str(tmp_path)])
    finally:
        weights.write_bytes(whole)
    assert refused.exit_code == 5 and "another state of CLAP" in refused.stderr
