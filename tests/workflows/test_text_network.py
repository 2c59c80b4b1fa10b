"""A text network is recorded by its state, and not by its name alone."""

import huggingface_hub.constants
import pytest

from atrkit.errors import MissingPrerequisiteError, NetworkError
from atrkit.recipe.load import load_recipe
from atrkit.workflows.text_network import text_network_input

RECIPES = {
    "ridge": "{{name: ridge, sentence_encoder: '{source}'}}",
    "dual_encoder": "{{name: dual_encoder, text: {{name: transformers, model: '{source}'}}}}",
    "hci": "{{name: hci, text: {{name: transformers, model: '{source}'}}}}",
}
TRAINED = "loss: {name: nt_xent}\noptimizer: {name: adamw, lr: 1e-3}\ntraining: {epochs: 1, batch_size: 4}\n"


def recorded(source, model="dual_encoder"):
    settings = RECIPES[model].format(source=source)
    text = f"source: ours\nencoder: {{name: logmel}}\nmodel: {settings}\n{'' if model == 'ridge' else TRAINED}"
    return text_network_input(load_recipe(text))


@pytest.mark.parametrize("model", RECIPES)
def test_other_weights_in_the_same_folder_are_another_network(tmp_path, model):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    first = recorded(tmp_path, model)
    assert first.keys() == {"text_network_sha256"}
    (tmp_path / "README.md").write_text("says nothing")
    assert recorded(tmp_path, model) == first
    (tmp_path / "model.safetensors").write_bytes(b"others!")
    second = recorded(tmp_path, model)
    (tmp_path / "config.json").write_text('{"layers": 2}')
    assert len({tuple(each.items()) for each in (first, second, recorded(tmp_path, model))}) == 3


def test_words_of_its_own_are_no_network():
    text = "{source: ours, encoder: {name: logmel}, model: {name: ridge}}"
    assert text_network_input(load_recipe(text)) == {}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The hub's cache, which has one network, and no network to fetch others."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    repository = tmp_path / "models--us--bert"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs/main").write_text("a" * 40)
    for commit in "ab":
        snapshot = repository / "snapshots" / (commit * 40)
        snapshot.mkdir(parents=True)
        (snapshot / "config.json").write_text("{}")
    return repository


def test_a_name_on_the_hub_is_recorded_with_its_commit(cache):
    assert recorded("us/bert") == {"text_network_commit": "a" * 40}
    (cache / "refs/main").write_text("b" * 40)
    assert recorded("us/bert") == {"text_network_commit": "b" * 40}


def test_what_is_not_there_is_said_before_the_work(cache):
    with pytest.raises(NetworkError, match="'us/other' is no folder, and as a hub id it is neither in the local cache"):
        recorded("us/other")
    with pytest.raises(MissingPrerequisiteError, match="text encoder /nowhere/bert is not there"):
        recorded("/nowhere/bert")
