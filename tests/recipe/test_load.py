import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from atrkit.errors import UsageError
from atrkit.recipe.load import dump_recipe, load_recipe
from atrkit.recipe.models import RidgeSettings
from atrkit.recipe.problems import mistakes_in
from atrkit.recipe.retrievers import DualEncoderSettings
from atrkit.recipe.schema import Recipe
from atrkit.recipe.towers import LstmPoolingSettings, TransformersSettings

RIDGE = """\
source: ours
encoder: {name: mn04}
model: {name: ridge}
"""

DUAL_ENCODER = """\
source: ours
encoder: {name: logmel}
model:
  name: dual_encoder
  text: {name: word_embeddings, pooling: {name: lstm, output: mean}}
loss: {name: max_margin}
optimizer:
  name: adamw
  lr: 5e-4
training: {epochs: 3}
"""

CAPTIONER = """\
source: ours
encoder: {name: logmel}
model: {name: gru_captioner}
loss: {name: cross_entropy}
optimizer: {name: adamw, lr: 5e-4}
training: {epochs: 3}
"""


def mistakes_of(source, *overrides):
    with pytest.raises(UsageError) as caught:
        load_recipe(source, overrides)
    assert caught.value.exit_code == 2
    first, *rest = str(caught.value).split("\n")
    return [line.strip() for line in rest] or [first]


def test_a_minimal_ridge_takes_every_default():
    recipe = load_recipe(RIDGE)
    assert recipe.model == RidgeSettings(ridge_lambda=1.0, label_prior=True, sentence_encoder=None)
    assert recipe.seeds == (1,)
    assert (recipe.data.dataset, recipe.data.caption_choice) == (None, "random")
    assert (recipe.retrieval.score, recipe.retrieval.column_scaling) == (None, "none")
    assert recipe.loss is recipe.optimizer is recipe.training is None


def test_kinds_are_chosen_by_name():
    recipe = load_recipe(DUAL_ENCODER)
    assert isinstance(recipe.model, DualEncoderSettings)
    assert recipe.model.text.pooling == LstmPoolingSettings(output="mean")
    assert recipe.optimizer.lr == 0.0005
    other = load_recipe(DUAL_ENCODER, ["model.text={name: transformers, model: /models/minilm, tune: true}"])
    assert other.model.text == TransformersSettings(model="/models/minilm", tune=True)


def test_a_recipe_does_not_change():
    recipe = load_recipe(RIDGE)
    with pytest.raises(ValueError, match="frozen"):
        recipe.source = "theirs"


def test_three_mistakes_are_named_at_once_with_their_lines():
    text = (
        DUAL_ENCODER.replace("  lr:", "  lrr:").replace("max_margin", "max_margn").replace("epochs: 3", "epochs: many")
    )
    assert mistakes_of(text) == [
        "line 6: loss.name: no loss is called 'max_margn'; did you mean 'max_margin'?",
        "line 7: optimizer.lr: required, and missing (highest learning rate)",
        "line 9: optimizer.lrr: unknown key; did you mean 'lr'?",
        "line 10: training.epochs: expected a whole number, found 'many'",
    ]


def test_the_message_begins_with_file_and_number(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(RIDGE + "seeds: []\nextra: 1\n")
    with pytest.raises(UsageError, match=r"mine\.yaml: 2 mistakes\n") as caught:
        load_recipe(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optimizer.lr=0", "--set optimizer.lr: must be greater than 0.0, found 0"),
        ("optimizer.lr='5e-4'", "--set optimizer.lr: expected a number, found '5e-4'"),
        ("optimizer.lr=.nan", "--set optimizer.lr: expected a finite number, found nan"),
        ("optimizer.lr=1e999", "--set optimizer.lr: expected a finite number, found inf"),
        ("optimizer.betas=[0.9]", "--set optimizer.betas: optimizer.betas.1: the list is too short"),
        ("optimizer.betas=[.9, .9, .9]", "--set optimizer.betas: takes 2 values, found 3"),
        ("optimizer.betas=[0.9, 1.0]", "--set optimizer.betas: optimizer.betas.1: must be less than 1.0, found 1.0"),
        ("optimizer.schedule=linear", "--set optimizer.schedule: expected 'constant', 'cosine'"),
        ("training.epochs=0", "--set training.epochs: must be at least 1, found 0"),
        ("training.epochs=2.0", "--set training.epochs: expected a whole number, found 2.0"),
        ("training.epochs=true", "--set training.epochs: expected a whole number, found True"),
        ("training.keep_best=accuracy", "--set training.keep_best: expected 'val_loss'"),
        ("training=[1]", "--set training: expected a mapping"),
        ("loss.temperature=1", "--set loss.temperature: unknown key; there are: name, margin"),
        ("loss.margin=-1", "--set loss.margin: must be greater than 0.0, found -1"),
        ("model.audio.dropout=1", "--set model.audio.dropout: must be less than 1.0, found 1"),
        ("model.audio.hidden_dims=[0]", "--set model.audio.hidden_dims: model.audio.hidden_dims.0: must be at least 1"),
        ("model.audio.hidden_dims=256", "--set model.audio.hidden_dims: expected a list"),
        ("model.gating=yes", "--set model.gating: expected true or false, found 'yes'"),
        ("model.audio.pooling=mean", "expected a mapping, for example {name: mean}, found 'mean'"),
        ("model.audio.pooling={}", "model.audio.pooling.name: required, and missing; there are: mean, max, lstm"),
        ("model.text.name=bert", "no text is called 'bert'; there are: word_embeddings, transformers"),
        ("model.text.pooling.hiden_dim=3", "unknown key; did you mean 'hidden_dim'?"),
        ("encoder=logmel", "--set encoder: expected a mapping, for example {name: logmel}, found 'logmel'"),
        ("encoder.pool_time_s=0", "--set encoder.pool_time_s: must be greater than 0.0, found 0"),
        ("data.train=3", "--set data.train: expected text, found 3 (for the text, write '3')"),
        ("data.tets=eval", "--set data.tets: unknown key; did you mean 'test'?"),
        ("seeds=[1, 2, 1]", "--set seeds: the same seed twice"),
        ("seeds=[]", "--set seeds: needs one seed or more"),
        ("seeds=3", "--set seeds: expected a list, for example [1, 2], found 3"),
        ("source=", "--set source: expected text, found None"),
        ("source=' '", "--set source: is empty"),
        ("target.table=3", "target.paper: required, and missing"),
    ],
)  # fmt: skip
def test_every_kind_of_mistake_has_its_message(override, message):
    (found,) = mistakes_of(DUAL_ENCODER, override)
    assert message in found


def test_a_ridge_has_nothing_to_train():
    text = RIDGE + "training: {epochs: 3}\nloss: {}\nlos: 1\n"
    assert mistakes_of(text) == [
        "line 4: training: a ridge is solved in closed form and has no training: remove this section",
        "line 5: loss: a ridge is solved in closed form and has no loss: remove this section",
        "line 6: los: unknown key; did you mean 'loss'?",
    ]


def test_a_dual_encoder_needs_loss_optimizer_and_training():
    text = "source: ours\nencoder: {name: logmel}\nmodel: {name: dual_encoder, text: {name: word_embeddings}}"
    assert [line.split(":")[0] for line in mistakes_of(text)] == ["loss", "optimizer", "training"]


@pytest.mark.parametrize("value", ["accuracy", "mean_R@1", "[1]"])  # of no model, of others, of the wrong kind
def test_what_chooses_a_captioners_epoch_is_one_mistake_that_lists_what_it_takes(value):
    (mistake,) = mistakes_of(CAPTIONER, f"training.keep_best={value}")
    found = value if value == "[1]" else repr(value)
    wanted = "a captioner's epoch is chosen by val_loss, fense or last"
    assert mistake == f"recipe: --set training.keep_best: {wanted}, found {found}"


def test_rules_between_sections_hold_in_python_too():
    recipe = load_recipe(DUAL_ENCODER)
    with pytest.raises(ValueError, match="a ridge is solved in closed form"):
        Recipe(source="ours", encoder=recipe.encoder, model=RidgeSettings(), training=recipe.training)


@pytest.mark.parametrize("text", ["", "just text", "[1, 2]", "3"])
def test_what_is_not_a_mapping_is_no_recipe(text):
    assert "a recipe is a mapping with source, encoder and model" in mistakes_of(text)[0]


@pytest.mark.parametrize("make", [lambda path: None, Path.mkdir])
def test_a_file_that_cannot_be_read_is_named(tmp_path, make):
    path = tmp_path / "recipe.yaml"
    make(path)
    assert f"cannot read the recipe {path}" in mistakes_of(path)[0]


def test_the_record_of_a_run_has_the_overrides_in_it():
    recipe = load_recipe(DUAL_ENCODER, ["optimizer.lr=1e-3", "data.dataset=attic", "target.paper='004'"])
    again = load_recipe(dump_recipe(recipe))
    assert again == recipe
    assert (again.optimizer.lr, again.data.dataset, again.target.paper) == (0.001, "attic", "004")


def test_null_that_differs_from_the_default_is_written_down():
    recipe = load_recipe(RIDGE, ["encoder={name: logmel, pool_time_s: null}"])
    assert load_recipe(dump_recipe(recipe)).encoder.pool_time_s is None


@given(
    source=st.text(min_size=1).filter(str.strip),
    lr=st.floats(min_value=0, exclude_min=True, allow_infinity=False),
    table=st.none() | st.integers() | st.sampled_from(["5e-4", "1e3", "no", "null", "0x1", "", " x", "# y", "004"]),
    value=st.floats(allow_nan=False, allow_infinity=False),
)  # fmt: skip
@example(source="next\x85line\u2028separator\u2029end\n", lr=1e-3, table="5e-4", value=1e-5)
@settings(deadline=None)
def test_what_is_dumped_loads_to_an_equal_recipe(source, lr, table, value):
    recipe = load_recipe(DUAL_ENCODER).model_dump()
    recipe["source"] = source
    recipe["optimizer"]["lr"] = lr
    recipe["target"] = {"paper": "4e1", "table": table, "values": {"text_to_audio": {"R@1": value}}}
    try:
        recipe = Recipe.model_validate(recipe)
        source.encode()
    except (ValueError, UnicodeEncodeError):
        return
    if "\0" in source or (isinstance(table, int) and len(str(table)) > 40):
        return
    dumped = dump_recipe(recipe)
    assert load_recipe(dumped) == recipe
    assert dump_recipe(load_recipe(dumped)) == dumped


@given(st.text(max_size=300) | st.binary(max_size=300))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_is_a_recipe_or_a_usage_error(tmp_path, content):
    path = tmp_path / "fuzzed.yaml"
    path.write_bytes(content.encode(errors="surrogatepass") if isinstance(content, str) else content)
    try:
        assert isinstance(load_recipe(path), Recipe)
    except UsageError as error:
        assert str(path) in str(error)


keys = st.sampled_from(
    ["source", "seeds", "data", "encoder", "model", "loss", "optimizer", "training", "target", "name", "text", "audio",
     "pooling", "betas", "lr", "epochs", "", "1"]
)  # fmt: skip
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(
    ["ridge", "dual_encoder", "logmel", "mn04", "lstm", "mean", "adamw", "nt_xent", "transformers", "x", ""]
)  # fmt: skip
shapes = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.dictionaries(keys, inner, max_size=5),
    max_leaves=25,
)  # fmt: skip


@given(st.dictionaries(keys, shapes, max_size=8))
@settings(max_examples=200, deadline=None)
def test_any_nesting_of_known_keys_is_a_recipe_or_a_list_of_mistakes(raw):
    try:
        Recipe.model_validate(raw)
    except ValidationError as error:
        mistakes = mistakes_in(raw, error)
        assert mistakes
        assert all(mistake.place and mistake.finding for mistake in mistakes)


def test_hundreds_of_mistakes_stay_readable_per_line():
    lines = mistakes_of(RIDGE + "seeds: [" + ", ".join(["x" * 500] * 100) + "]")
    assert len(lines) == 100
    assert max(map(len, lines)) < 150


REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("path", sorted((REPOSITORY / "recipes").rglob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_recipe_loads_and_says_what_it_is(path):
    recipe = load_recipe(path)
    assert load_recipe(dump_recipe(recipe)) == recipe
    assert path.read_text().startswith("#")


def test_the_copy_in_a_run_folder_is_a_recipe_file(tmp_path):
    shutil.copy(REPOSITORY / "recipes" / "own_recordings.yaml", tmp_path / "recipe.yaml")
    assert load_recipe(tmp_path / "recipe.yaml").model == RidgeSettings()
