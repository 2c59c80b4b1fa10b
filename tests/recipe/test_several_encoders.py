"""`encoders:` of a recipe: names or sections, by file or by `--set`, and every mistake in it with its line."""

import re

import pytest

from atrkit.errors import UsageError
from atrkit.recipe.load import dump_recipe, load_recipe

RECIPE = """source: ours
{encoders}
model: {{name: {model}, text: {{name: word_embeddings}}}}
loss: {{name: max_margin}}
optimizer: {{name: adamw, lr: 1e-3}}
training: {{epochs: 1, batch_size: 4, keep_best: last}}
"""


def recipe_with(encoders: str, *overrides: str, model: str = "moee"):
    return load_recipe(RECIPE.format(encoders=encoders, model=model), overrides)


def test_names_are_sections_with_defaults():
    short, long = recipe_with("encoders: [logmel, cnn10]"), recipe_with("encoders:\n- {name: logmel}\n- {name: cnn10}")
    assert short == long and [encoder.name for encoder in short.all_encoders] == ["logmel", "cnn10"]
    assert recipe_with("encoders: [{name: logmel, pool_time_s: 0.64}, cnn10]").all_encoders[0].pool_time_s == 0.64
    assert load_recipe(dump_recipe(short)) == short


def test_one_encoder_will_do():
    assert [encoder.name for encoder in recipe_with("encoder: {name: logmel}").all_encoders] == ["logmel"]


def test_they_can_be_set():
    assert len(recipe_with("encoders: [logmel, mn04]", "encoders=[logmel, mn04, vggish]").all_encoders) == 3
    swapped = recipe_with("encoder: {name: logmel}", "encoder=null", "encoders=[logmel, mn04]")
    assert [encoder.name for encoder in swapped.all_encoders] == ["logmel", "mn04"]


@pytest.mark.parametrize(
    ("encoders", "finding"),
    [
        ("encoders: [logmel, mn4]", "line 2: encoders.1: no encoder is called 'mn4'; did you mean 'mn04'?"),
        ("encoders:\n- logmel\n- {name: cnn41}", "line 4: encoders.1.name: no encoder is called 'cnn41'; did you mean"),
        ("encoders:\n- logmel\n- {name: mn04, pool_tme_s: 1}", "line 4: encoders.1.pool_tme_s: unknown key; did you"),
        ("encoders: [{name: logmel, pool_time_s: -1}]", "line 2: encoders.0.pool_time_s: must be greater than 0.0"),
        ("encoders: [logmel, {}]", "line 2: encoders.1.name: required, and missing; there are: logmel, mn04, cnn14,"),
        ("encoders: [logmel, 3]", "line 2: encoders.1: expected a mapping, for example {name: logmel}, found 3"),
        ("encoders: logmel", "line 2: encoders: needs a list of one encoder or more, for example [vggish,"),
        ("encoders: []", "line 2: encoders: needs a list of one encoder or more, for example [vggish,"),
        ("encoders: [cnn10, logmel, cnn10]", "line 2: encoders: the same encoder twice: cnn10"),
        ("encoder: {name: logmel}\nencoders: [mn04]", "line 3: encoders: encoder and encoders exclude each other"),
        ("encoder: {name: cn10}", "line 2: encoder.name: no encoder is called 'cn10'; did you mean 'cnn10'?"),
    ],
)
def test_mistakes_are_named_with_their_line(encoders, finding):
    with pytest.raises(UsageError, match=re.escape(finding)):
        recipe_with(encoders)


def test_a_mistake_of_set_is_its_own():
    with pytest.raises(UsageError, match=r"--set encoders: encoders\.1: no encoder is called 'mn4'"):
        recipe_with("encoders: [logmel, mn04]", "encoders=[logmel, mn4]")


def test_only_models_of_experts_take_several():
    with pytest.raises(UsageError, match="line 2: encoders: only moee and collaborative_experts take several"):
        recipe_with("encoders: [logmel, mn04]", model="dual_encoder")
