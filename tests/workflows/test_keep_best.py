"""What chooses a captioner's epoch: FENSE where its models are; a run that goes on keeps what it began with."""

import json

import pytest

from atrkit.errors import MissingPrerequisiteError
from atrkit.metrics.captioning import CannotScore
from atrkit.recipe.load import load_recipe
from atrkit.workflows.keep_best import ChosenBy, choose_keep_best
from atrkit.workflows.run_folder import RunFolder
from atrkit.workflows.session import Session

CAPTIONER = """\
source: ours
encoder: {name: logmel}
model: {name: gru_captioner}
loss: {name: cross_entropy}
optimizer: {name: adamw, lr: 1e-3}
training: {epochs: 1, keep_best: fense}
"""
RIDGE = "source: ours\nencoder: {name: logmel}\nmodel: {name: ridge}\n"
DUAL_ENCODER = """\
source: ours
encoder: {name: logmel}
model: {name: dual_encoder, text: {name: word_embeddings, pooling: {name: lstm, output: mean}}}
loss: {name: max_margin}
optimizer: {name: adamw, lr: 1e-3}
training: {epochs: 1, keep_best: mean_R@1}
"""
FELL_BACK = ChosenBy("val_loss", is_recorded=True)


def fense(candidates, references) -> float:
    return 0.5


@pytest.fixture
def choose(tmp_path, monkeypatch):
    """`choose(models=True, began=None, ...)`: the choice, and what was said."""

    def run(
        recipe: str = CAPTIONER, *overrides: str, models: bool = True, began: dict | None = None, afresh: bool = False
    ):
        asked: list[bool] = []

        def scorer():
            asked.append(True)
            return fense if models else CannotScore("no sentence encoder here", "atrkit download metrics")

        monkeypatch.setattr("atrkit.metrics.captioning.fense_scorer", scorer)
        if began is not None:
            (tmp_path / "inputs.json").write_text(json.dumps({"clips": {}, "embeddings": {}, **began}))
        said: list[str] = []
        session = Session(None, said.append, None)  # type: ignore[arg-type]
        chosen = choose_keep_best(session, load_recipe(recipe, overrides), RunFolder(tmp_path), afresh=afresh)
        return chosen, said, len(asked)

    return run


def test_fense_chooses_where_its_models_are_and_is_recorded(choose):
    assert choose() == (ChosenBy("fense", fense, is_recorded=True), [], 1)


def test_without_its_models_the_validation_loss_chooses_and_that_is_said(choose):
    chosen, said, _ = choose(models=False)
    assert chosen == FELL_BACK
    assert said == [
        "the epoch is chosen by the validation loss, not by FENSE: no sentence encoder here (atrkit download metrics)"
    ]


def test_a_run_that_began_with_the_loss_keeps_it_when_models_come_later(choose):
    assert choose(began={"keep_best": "val_loss"}) == (FELL_BACK, [], 0)  # FENSE is not even loaded


def test_a_run_that_began_with_fense_goes_on_with_it(choose):
    assert choose(began={"keep_best": "fense"}) == (ChosenBy("fense", fense, is_recorded=True), [], 1)


def test_a_run_that_began_with_fense_does_not_go_on_without_its_models(choose, tmp_path):
    with pytest.raises(MissingPrerequisiteError) as caught:
        choose(models=False, began={"keep_best": "fense"})
    assert caught.value.exit_code == 3
    assert str(caught.value) == (
        f"{tmp_path} was begun with FENSE choosing its epoch, which cannot be computed now (no sentence encoder here): "
        "atrkit download metrics, or start afresh with --overwrite"
    )


@pytest.mark.parametrize(("began", "models"), [("fense", False), ("val_loss", True)])
def test_a_run_that_is_replaced_chooses_anew(choose, began, models):
    chosen, said, _ = choose(models=models, began={"keep_best": began}, afresh=True)
    assert chosen == (ChosenBy("fense", fense, is_recorded=True) if models else FELL_BACK)
    assert len(said) == (not models)


@pytest.mark.parametrize("keep_best", ["last", "val_loss"])
def test_what_the_recipe_decides_is_not_recorded_again(choose, keep_best):
    assert choose(CAPTIONER, f"training.keep_best={keep_best}") == (ChosenBy(keep_best), [], 0)


@pytest.mark.parametrize("recipe", [RIDGE, DUAL_ENCODER], ids=["ridge", "dual encoder"])
def test_other_models_choose_otherwise(choose, recipe):
    assert choose(recipe) == (None, [], 0)
