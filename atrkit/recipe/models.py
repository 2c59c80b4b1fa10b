"""Recipe settings of models: the ridge, and captioners; `retrievers` has the retrieval models trained by steps."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from atrkit.recipe.part import Count, Fraction, Name, NotNegative, Part
from atrkit.recipe.retrievers import CoAttentionSettings, DualEncoderSettings, ExpertsSettings, HciSettings


class RidgeSettings(Part):
    """Closed form, for tens to hundreds of clips."""

    name: Literal["ridge"] = "ridge"
    ridge_lambda: NotNegative = Field(1.0, description="penalty; the Gram matrix is divided by the number of features")
    label_prior: bool = Field(True, description="start from the encoder's tags in words, where it has tags")
    sentence_encoder: Name | None = Field(None, description="folder or hub id of a text network; null: stemmed TF-IDF")


class CaptionerPart(Part):
    """What captioners have in common: how frames reach the decoder, and its words."""

    projection_dropout: Fraction = Field(0.5, description="before and after the projection of the frames")
    audio_positions: Literal["none", "sinusoidal"] = Field(
        "none", description="sinusoidal: the decoder is told when each frame was heard"
    )
    standardise: bool = Field(False, description="true: frames are centred and scaled first, for log-mel and the like")
    min_word_count: Count = Field(1, description="rarer words of the training captions become <unk>")


class TransformerCaptionerSettings(CaptionerPart):
    """Paper 004's captioner: a transformer decoder over frozen frames."""

    name: Literal["transformer_captioner"] = "transformer_captioner"
    d_model: Count = Field(256, description="width of words and frames in the decoder")
    num_layers: Count = Field(6, description="decoder layers")
    num_heads: Count = Field(4, description="attention heads; divides d_model")
    d_ff: Count = Field(2048, description="width of the feed-forward parts")
    dropout: Fraction = Field(0.2, description="everywhere in the decoder")
    activation: Literal["gelu", "relu"] = Field("gelu", description="of the feed-forward parts")

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        if self.d_model % self.num_heads:
            raise ValueError(f"d_model {self.d_model} is no multiple of num_heads {self.num_heads}")
        return self


class GruCaptionerSettings(CaptionerPart):
    """Paper 001's captioner: a GRU of one layer that attends to the frames."""

    name: Literal["gru_captioner"] = "gru_captioner"
    d_model: Count = Field(512, description="width of words, frames and state")
    dropout: Fraction = Field(0.2, description="of word embeddings and states")


CaptionerSettings = TransformerCaptionerSettings | GruCaptionerSettings
ModelSettings = Annotated[
    RidgeSettings
    | DualEncoderSettings
    | ExpertsSettings
    | HciSettings
    | CoAttentionSettings
    | TransformerCaptionerSettings
    | GruCaptionerSettings,
    Field(discriminator="name"),
]
