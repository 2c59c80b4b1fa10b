"""Recipe settings of the retrieval models that are trained by steps: one class per model."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from atrkit.recipe.part import Count, Fraction, NotNegative, Part
from atrkit.recipe.towers import (
    AudioTowerSettings,
    PoolingSettings,
    TextTowerSettings,
    TokenSideSettings,
    VladPoolingSettings,
)


class DualEncoderSettings(Part):
    """One tower per modality into one space; the score is a cosine."""

    name: Literal["dual_encoder"] = "dual_encoder"
    audio: AudioTowerSettings = Field(AudioTowerSettings(), description="the audio side")
    text: TextTowerSettings = Field(description="the text side: word_embeddings or transformers")
    out_dim: Count = Field(256, description="size of the shared space")
    gating: bool = Field(False, description="a context gate on both outputs")


class ExpertsSettings(Part):
    """One embedding per audio encoder, weighted by what the caption is about: MoEE, and Collaborative Experts."""

    name: Literal["moee", "collaborative_experts"]
    text: TextTowerSettings = Field(description="the text side, up to its pooled vector: word_embeddings, transformers")
    audio_pooling: PoolingSettings = Field(
        VladPoolingSettings(name="netvlad", clusters=16), description="frames of each encoder to one vector"
    )
    expert_dim: Count = Field(512, description="size of the space that each encoder shares with the captions")


class FrameSideSettings(Part):
    """Frames of one encoder on their way into a space that they share with words."""

    hidden_dims: tuple[Count, ...] = Field((), description="layers of the MLP on every frame before the projection")
    dropout: Fraction = Field(0.0, description="share of the MLP's outputs zeroed in training")


class HciSettings(Part):
    """Paper 001: frames and words, segments and phrases, clip and sentence; with both weights 0 its baseline."""

    name: Literal["hci"] = "hci"
    audio: FrameSideSettings = Field(FrameSideSettings(), description="the audio side")
    text: TokenSideSettings = Field(description="the text side: word_embeddings or transformers")
    text_hidden_dims: tuple[Count, ...] = Field((), description="layers of the MLP on every word and sentence")
    dim: Count = Field(1024, description="size of the shared space, D")
    frame_word_weight: NotNegative = Field(0.5, description="alpha of equation 9; 0: without this term")
    segment_phrase_weight: NotNegative = Field(0.1, description="beta of equation 9; 0: without this term")
    segments: Count = Field(10, description="segments of a clip, and phrases of a caption")
    clip: Literal["frames", "segments"] = Field(
        "frames", description="vector of a clip: max + mean of its frames, or aggregated from its segments"
    )
    sentence: Literal["cls", "aggregated"] = Field(
        "cls", description="vector of a caption: [CLS] (of word embeddings their mean), or aggregated from its phrases"
    )


class CoAttentionSettings(Part):
    """Paper 002: every pair of clip and caption goes through co-attention, whose output is its score."""

    name: Literal["co_attention"] = "co_attention"
    audio: FrameSideSettings = Field(FrameSideSettings(), description="the audio side")
    text: TokenSideSettings = Field(description="the text side: word_embeddings or transformers")
    mode: Literal["single", "stacking", "iterating"] = Field("single", description="how units follow each other")
    num_layers: Count = Field(1, description="layers of stacking, rounds of iterating; 1 of single")
    dim: Count = Field(512, description="width of frames and words inside")
    num_heads: Count = Field(8, description="attention heads; divides dim")
    d_ff: Count = Field(2048, description="width of the feed-forward parts")
    dropout: Fraction = Field(0.1, description="everywhere inside")

    @model_validator(mode="after")
    def _heads_and_layers_fit(self) -> Self:
        if self.dim % self.num_heads:
            raise ValueError(f"dim {self.dim} is no multiple of num_heads {self.num_heads}")
        if self.mode == "single" and self.num_layers != 1:
            raise ValueError(f"mode single has one layer, and num_layers is {self.num_layers}: stacking or iterating")
        return self


RetrieverSettings = Annotated[
    DualEncoderSettings | ExpertsSettings | HciSettings | CoAttentionSettings, Field(discriminator="name")
]
RETRIEVERS = (DualEncoderSettings, ExpertsSettings, HciSettings, CoAttentionSettings)
