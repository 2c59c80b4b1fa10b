"""What a recipe may say of its scores: the names of results and the rules of recipes agree."""

from typing import Any

import pytest
from pydantic import ValidationError

from atrkit.recipe.schema import Recipe
from atrkit.recipe.sections import misfits_of_sections
from atrkit.workflows.score_models import scoring_of

WORDS = {"name": "word_embeddings"}
GENERATED = {"captions_from": "captioner"}
BASELINE = {"name": "hci", "text": WORDS, "frame_word_weight": 0, "segment_phrase_weight": 0.0}
MODELS: dict[str, tuple[dict[str, Any], dict[str, Any] | None, str]] = {
    "dual encoder": ({"name": "dual_encoder", "text": WORDS}, None, "cosine"),
    "moee": ({"name": "moee", "text": WORDS}, None, "weighted_cosines"),
    "collaborative experts": ({"name": "collaborative_experts", "text": WORDS}, None, "weighted_cosines"),
    "hci": ({"name": "hci", "text": WORDS}, None, "cross_interaction"),
    "hci, words alone": ({**BASELINE, "frame_word_weight": 0.5}, None, "cross_interaction"),
    "hci, phrases alone": ({**BASELINE, "segment_phrase_weight": 0.1}, None, "cross_interaction"),
    "baseline": (BASELINE, None, "cosine"),
    "baseline that matches captions": (BASELINE, GENERATED, "cross_interaction"),
    "baseline with interaction": (BASELINE, {**GENERATED, "matching": False}, "cosine"),
    "co-attention": ({"name": "co_attention", "text": WORDS}, None, "co_attention"),
}


def sections(name: str, score: str | None) -> dict[str, Any]:
    model, auxiliary, _ = MODELS[name]
    return {
        "source": "a test",
        "encoder": {"name": "logmel"},
        "model": model,
        "loss": {"name": "nt_xent"},
        "optimizer": {"name": "adamw", "lr": 1e-3},
        "training": {"epochs": 1, "batch_size": 2},
        "auxiliary_captions": auxiliary,
        "retrieval": {"score": score},
    }


@pytest.mark.parametrize("name", MODELS)
def test_a_score_is_called_what_it_is(name: str) -> None:
    assert scoring_of(Recipe.model_validate(sections(name, None))) == MODELS[name][2]


@pytest.mark.parametrize("name", MODELS)
def test_a_recipe_may_only_call_its_score_a_cosine_where_it_is_one(name: str) -> None:
    misfits = misfits_of_sections(sections(name, "cosine"))
    if MODELS[name][2] == "cosine":
        assert misfits == [] and Recipe.model_validate(sections(name, "cosine")).retrieval.score == "cosine"
    else:
        ((place, problem),) = misfits
        assert place == ("retrieval", "score") and problem.endswith(": leave it out")
        with pytest.raises(ValidationError):
            Recipe.model_validate(sections(name, "cosine"))
