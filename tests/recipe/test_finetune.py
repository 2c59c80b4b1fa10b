"""What a recipe says of fine-tuning: a word, or settings; and where it cannot stand."""

import pytest

from atrkit.errors import UsageError
from atrkit.recipe.encoders import FinetuneSettings, PannsSettings, finetuning_of
from atrkit.recipe.load import dump_recipe, load_recipe
from atrkit.workflows.build import encoder_arguments

RECIPE = """\
source: ours
encoder: {name: cnn14}
model: {name: dual_encoder, text: {name: word_embeddings}}
loss: {name: nt_xent}
optimizer: {name: adamw, lr: 5e-5}
training: {epochs: 3}
"""


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("true", FinetuneSettings()),
        ("{}", FinetuneSettings()),
        ("{crop_s: 10, batch_norm: frozen}", FinetuneSettings(crop_s=10.0, batch_norm="frozen")),
        ("false", None),
        ("null", None),
    ],
)
def test_true_means_the_defaults_and_comes_back_from_a_file(said, meant):
    recipe = load_recipe(RECIPE, [f"encoder.finetune={said}"])
    assert isinstance(recipe.encoder, PannsSettings)
    assert finetuning_of(recipe.encoder) == recipe.encoder.finetune == meant
    assert load_recipe(dump_recipe(recipe)) == recipe
    frozen = load_recipe(RECIPE).encoder
    assert encoder_arguments(recipe.encoder) == encoder_arguments(frozen), (
        "the encoder's own settings say nothing of it"
    )


def test_by_default_the_encoder_stays_frozen_and_a_batch_is_a_step():
    recipe = load_recipe(RECIPE)
    assert finetuning_of(recipe.encoder) is None
    assert (recipe.training.accumulate_batches, recipe.training.precision) == (1, "float32")


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["encoder.finetune={crop: 10}"], "encoder.finetune.crop: unknown key; did you mean 'crop_s'?"),
        (["encoder.finetune={crop_s: 0}"], "encoder.finetune.crop_s"),
        (["encoder={name: vggish, finetune: true}"], "encoder.finetune: unknown key"),
        (
            ["encoder.finetune=true", "model={name: ridge}", "loss=null", "optimizer=null", "training=null"],
            "encoder.finetune: only retrieval models that are trained by steps",
        ),
        (
            ["encoder.finetune=true", "model={name: gru_captioner}", "loss={name: cross_entropy}"],
            "encoder.finetune: only retrieval models",
        ),
        (
            [
                "encoder=null",
                "encoders=[{name: cnn14, finetune: true}, vggish]",
                "model={name: moee, text: {name: word_embeddings}}",
            ],
            "encoders: one encoder can be fine-tuned, several stay frozen",
        ),
        (["training.accumulate_batches=0"], "training.accumulate_batches"),
        (["training.precision=float16"], "training.precision"),
    ],
)
def test_what_cannot_be_is_named(overrides, expected):
    with pytest.raises(UsageError) as caught:
        load_recipe(RECIPE, overrides)
    assert expected in str(caught.value)
