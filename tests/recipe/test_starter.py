import pytest

from atrkit.errors import UsageError
from atrkit.recipe.find import shipped_recipe_folder
from atrkit.recipe.load import load_recipe
from atrkit.recipe.starter import render_starter_recipe


def test_small_collections_get_the_shipped_ridge():
    recipe = load_recipe(render_starter_recipe("attic", "mn04", {"all": 76}))
    shipped = load_recipe(shipped_recipe_folder() / "own_recordings.yaml")
    assert recipe.model == shipped.model
    assert (recipe.source, recipe.encoder.name) == (shipped.source, "mn04")
    assert (recipe.data.dataset, recipe.data.train, recipe.data.val, recipe.data.test) == ("attic", None, None, None)


def test_large_collections_get_the_shipped_dual_encoder():
    recipe = load_recipe(render_starter_recipe("synthetic", "logmel", {"dev": 1000, "eval": 240, "val": 120}))
    shipped = load_recipe(shipped_recipe_folder() / "synthetic" / "retrieval.yaml")
    assert recipe == shipped


def test_a_thousand_clips_for_evaluation_do_not_make_a_training_set_large():
    recipe = load_recipe(render_starter_recipe("attic", "mn04", {"dev": 999, "eval": 5000}))
    assert recipe.model.name == "ridge"


def test_without_validation_clips_the_last_epoch_is_kept():
    recipe = load_recipe(render_starter_recipe("big", "logmel", {"train": 5000, "test": 100, "val": 0}))
    assert (recipe.data.train, recipe.data.val, recipe.data.test) == ("train", None, "test")
    assert recipe.training.keep_best == "last"


def test_encoder_settings_arrive_whole():
    text = render_starter_recipe("attic", {"name": "mn04", "checkpoint": "/weights: a #1.pt"}, {"all": 3})
    assert load_recipe(text).encoder.checkpoint == "/weights: a #1.pt"


def test_every_key_is_on_a_line_of_its_own_with_an_explanation():
    text = render_starter_recipe("synthetic", "logmel", {"dev": 5000, "val": 120, "eval": 240})
    lines = [line for line in text.splitlines() if line.lstrip().partition(":")[0].isidentifier()]
    assert len(lines) > 30
    assert [line for line in lines if "#" not in line and not line.lstrip().startswith("name:")] == []
    assert max(map(len, text.splitlines())) <= 130


@pytest.mark.parametrize("encoder", ["cnn99", {"name": "logmel", "checkpoint": "x"}])
def test_an_encoder_that_is_not_there_is_refused(encoder):
    with pytest.raises(UsageError, match="encoder"):
        render_starter_recipe("attic", encoder, {"all": 3})
