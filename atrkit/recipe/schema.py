"""A recipe: everything that decides a result, as one frozen value.

`Recipe` is what `load_recipe` returns and `workflows/build.py` turns into objects. Parts that exist in several kinds
are unions chosen by `name:`. Rules between sections are checked here too, so that one run of the loader names every
mistake.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from atrkit.recipe.encoders import EncoderSettings
from atrkit.recipe.models import ModelSettings
from atrkit.recipe.optimisation import AugmentSettings, LossSettings, OptimizerSettings, TrainingSettings
from atrkit.recipe.part import Count, Name, Part
from atrkit.recipe.sections import misfits_of_sections

Seed = Annotated[int, Field(ge=0, lt=2**63)]
ColumnScaling = Literal["none", "minmax", "minmax-calib", "pmi"]


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
    captions_augmented: Name | None = Field(
        None, description="CSV file of paraphrases of training captions, which are learned from like captions"
    )


class RerankSettings(Part):
    """A first stage: only its best candidates are scored by this model."""

    run: Name = Field(description="folder or name of the finished run that chooses the candidates")
    k: Count = Field(100, description="candidates per caption, and per clip")


class RetrievalSettings(Part):
    """How scores are made when the model is used."""

    score: Literal["cosine", "cross_entropy"] | None = Field(
        None, description="score of a clip and a caption; null: the model's own (a captioner's is cross_entropy)"
    )
    column_scaling: ColumnScaling = Field("none", description="scaling of each caption's losses over clips")
    calibration_clips: Count = Field(
        500, description="training clips that minmax-calib and pmi compare with; fewer where there are fewer"
    )
    rerank: RerankSettings | None = Field(None, description="score only what another run shortlists; null: every pair")

    @model_validator(mode="after")
    def _scaled_columns_are_whole(self) -> Self:
        if self.rerank is not None and self.column_scaling != "none":
            raise ValueError(
                f"column_scaling {self.column_scaling} compares all clips, and rerank scores some: remove one of them"
            )
        return self


class DecodingSettings(Part):
    """How a captioner writes captions: beam search."""

    beam_size: Count = Field(3, description="captions that are followed at once; 1: greedy")
    min_tokens: Annotated[int, Field(ge=0, le=10**6)] = Field(3, description="least number of words")
    max_tokens: Count = Field(20, description="greatest number of words")
    forbid_repeats: Literal["content_words", "all_words", "none"] = Field(
        "content_words", description="words that may not come twice: all, or all but stop words"
    )

    @model_validator(mode="after")
    def _least_below_greatest(self) -> Self:
        if self.min_tokens > self.max_tokens:
            raise ValueError(f"min_tokens {self.min_tokens} is more than max_tokens {self.max_tokens}")
        return self


class AuxiliaryCaptionsSettings(Part):
    """Paper 001, section 3.2: what a captioner writes of the clips, used in up to three ways."""

    captions_from: Name = Field(description="folder or name of a finished captioner run")
    augmentation: bool = Field(True, description="each epoch also shows every clip with its generated caption")
    interaction: bool = Field(True, description="frames attend to the generated caption before they are compared")
    matching: bool = Field(True, description="the captions' own similarity with the text is learned and added")
    num_heads: Count = Field(8, description="attention heads of the interaction; divides the model's dim")


class Recipe(Part):
    """One YAML file of settings; see `recipes/` for those that come with atrkit.

    Args:
        source: paper, section, and every departure from it.
        target: the published row it reproduces, where there is one.
        seeds: one run each.
        loss, optimizer, training: of models that are trained by steps; a ridge has none of them.
        augment, decoding: of captioners.
    """

    source: Annotated[str, Field(pattern=r"\S")] = Field(description="paper, section, and every departure from it")
    target: Target | None = Field(None, description="the published row that this recipe is to reproduce")
    seeds: tuple[Seed, ...] = Field((1,), description="one run each")
    data: DataSettings = Field(DataSettings(), description="splits are by name")
    encoder: EncoderSettings | None = Field(None, description="the audio encoder")
    encoders: tuple[EncoderSettings, ...] | None = Field(
        None, description="several audio encoders, for models of experts, instead of `encoder`; names or sections"
    )
    model: ModelSettings = Field(description="what is learned on top of it")
    auxiliary_captions: AuxiliaryCaptionsSettings | None = Field(
        None, description="captions that a trained captioner writes for every clip, and what they are used for"
    )
    loss: LossSettings | None = Field(None, description="what is minimised")
    optimizer: OptimizerSettings | None = Field(None, description="how it is minimised")
    training: TrainingSettings | None = Field(None, description="for how long, and which epoch is kept")
    augment: AugmentSettings | None = Field(None, description="how a captioner's training data are varied")
    decoding: DecodingSettings | None = Field(None, description="how a captioner writes captions; null: the defaults")
    retrieval: RetrievalSettings = Field(RetrievalSettings(), description="how scores are made")

    @property
    def all_encoders(self) -> tuple[EncoderSettings, ...]:
        """The one encoder, or the several."""
        return self.encoders or (() if self.encoder is None else (self.encoder,))

    @field_validator("encoders", mode="before")
    @classmethod
    def _names_are_sections(cls, encoders: Any) -> Any:
        if not isinstance(encoders, list | tuple):
            return encoders
        return tuple({"name": each} if isinstance(each, str) else each for each in encoders)

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
        misfits = misfits_of_sections(self.model_dump())
        if misfits:
            raise ValueError("; ".join(f"{'.'.join(place)}: {problem}" for place, problem in misfits))
        return self
