"""Rules between sections that would else be found after hours of work."""

import pytest

from atrkit.errors import UsageError
from atrkit.recipe.load import load_recipe

HCI = """source: ours
encoder: {name: logmel}
model: {name: hci, text: {name: word_embeddings}}
auxiliary_captions: {captions_from: a/captioner}
loss: {name: nt_xent}
optimizer: {name: adamw, lr: 1e-3}
training: {epochs: 1, batch_size: 4}
"""


def test_heads_of_the_caption_interaction_divide_the_models_dim():
    load_recipe(HCI, ["auxiliary_captions.num_heads=16"])  # 1024, where the recipe says nothing
    for overrides in (["auxiliary_captions.num_heads=3"], ["model.dim=100"]):
        with pytest.raises(UsageError, match=r"auxiliary_captions.num_heads: \d is no divisor of the model's dim, 10"):
            load_recipe(HCI, overrides)


def test_heads_that_nothing_has_are_not_counted():
    load_recipe(HCI, ["auxiliary_captions.num_heads=3", "auxiliary_captions.interaction=false"])


def test_what_is_no_number_is_named_as_such():
    with pytest.raises(UsageError, match="whole number"):
        load_recipe(HCI, ["auxiliary_captions.num_heads=many"])


def test_generated_captions_without_a_use_are_refused() -> None:
    off = [f"auxiliary_captions.{use}=false" for use in ("augmentation", "interaction", "matching")]
    with pytest.raises(UsageError, match="all three uses are off: remove this section"):
        load_recipe(HCI, off)
    load_recipe(HCI, off[:2])
