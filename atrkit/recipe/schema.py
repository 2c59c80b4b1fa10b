"""A recipe: everything that decides a result, as one frozen value.

`Recipe` is what `load_recipe` returns and `workflows/build.py` turns into objects. Parts that exist in several kinds
are unions chosen by `name:`. Rules between sections are checked here too, so that one run of the loader names every
mistake.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from atrkit.recipe.encoders import EncoderSettings
from atrkit.recipe.models import ModelSettings
from atrkit.recipe.optimisation import LossSettings, OptimizerSettings, TrainingSettings
from atrkit.recipe.part import Name, Part

Seed = Annotated[int, Field(ge=0, lt=2**63)]

TRAINED_SECTIONS = {
    "loss": "loss: {name: nt_xent, temperature: 0.07}",
    "optimizer": "optimizer: {name: adamw, lr: 1e-3}",
    "training": "training: {epochs: 40, batch_size: 128}",
}


class Target(Part):
    """The row of a paper that this recipe is to reproduce; `eval` prints it beside the measured one."""

    paper: Name = Field(description="for example '004', quoted")
    table: int | str | None = Field(None, description="number of the table")
    row: Name | None = Field(None, description="the row as the paper names it")
    values: dict[str, dict[str, float]] | None = Field(
        None, description="published figures by direction: {text_to_audio: {R@1: 29.3}}"
    )


class DataSettings(Part):
    """Which clips are learned from, chosen by and tested on."""

    dataset: Name | None = Field(None, description="null: the dataset made last")
    train: Name | None = Field(None, description="split to learn from; null: chosen when run, and said")
    val: Name | None = Field(None, description="split that chooses the epoch; null: chosen when run, and said")
    test: Name | None = Field(None, description="split to evaluate; null: chosen when run, and said")
    caption_choice: Literal["random", "all"] = Field("random", description="captions per clip and epoch: one, or all")


class RetrievalSettings(Part):
    """How scores are made when the model is used."""

    score: Literal["cosine"] = Field("cosine", description="score of a clip and a caption")
    column_scaling: Literal["none"] = Field("none", description="scaling of each caption's scores")


class Recipe(Part):
    """One YAML file of settings; see `recipes/` for those that come with atrkit.

    Args:
        source: paper, section, and every departure from it.
        target: the published row it reproduces, where there is one.
        seeds: one run each.
        loss, optimizer, training: of models that are trained by steps; a ridge has none of them.
    """

    source: Annotated[str, Field(pattern=r"\S")] = Field(description="paper, section, and every departure from it")
    target: Target | None = Field(None, description="the published row that this recipe is to reproduce")
    seeds: tuple[Seed, ...] = Field((1,), description="one run each")
    data: DataSettings = Field(DataSettings(), description="splits are by name")
    encoder: EncoderSettings = Field(description="the frozen audio encoder")
    model: ModelSettings = Field(description="what is learned on top of it")
    loss: LossSettings | None = Field(None, description="what is minimised")
    optimizer: OptimizerSettings | None = Field(None, description="how it is minimised")
    training: TrainingSettings | None = Field(None, description="for how long, and which epoch is kept")
    retrieval: RetrievalSettings = Field(RetrievalSettings(), description="how scores are made")

    @field_validator("seeds")
    @classmethod
    def _seeds_differ(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if not seeds:
            raise ValueError("needs one seed or more: [1]")
        if len(set(seeds)) < len(seeds):
            raise ValueError("the same seed twice: each seed is one run")
        return seeds

    @model_validator(mode="after")
    def _sections_fit_model(self) -> Self:
        given = {name: getattr(self, name) for name in TRAINED_SECTIONS}
        misfits = misfits_of_sections(self.model.name, given)
        if misfits:
            raise ValueError("; ".join(f"{section}: {problem}" for section, problem in misfits))
        return self


def misfits_of_sections(model_name: object, sections: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Sections that the model needs and lacks, or that say nothing to it.

    Args:
        model_name: what `model.name` is, valid or not.
        sections: the recipe's sections by name; a missing one may be absent or None.

    Returns:
        Pairs of section and problem.

    Example:
        >>> misfits_of_sections("ridge", {"training": {"epochs": 3}})
        [('training', 'a ridge is solved in closed form and has no training: remove this section')]
    """
    if model_name == "ridge":
        return [
            (section, f"a ridge is solved in closed form and has no {section}: remove this section")
            for section in TRAINED_SECTIONS
            if sections.get(section) is not None
        ]
    if model_name == "dual_encoder":
        return [
            (section, f"model dual_encoder needs this section, for example `{example}`")
            for section, example in TRAINED_SECTIONS.items()
            if sections.get(section) is None
        ]
    return []
