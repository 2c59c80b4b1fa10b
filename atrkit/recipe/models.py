"""Recipe settings of the models: retrieval models, and captioners."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from atrkit.recipe.part import Count, Fraction, Name, NotNegative, Part


class MeanPoolingSettings(Part):
    """Mean over the valid frames or tokens."""

    name: Literal["mean"] = "mean"


class MaxPoolingSettings(Part):
    """Maximum over the valid frames or tokens, per dimension."""

    name: Literal["max"] = "max"


class LstmPoolingSettings(Part):
    """An LSTM over frames or tokens: the one pooling here that hears order."""

    name: Literal["lstm"] = "lstm"
    hidden_dim: Count = Field(256, description="size of the LSTM's state")
    output: Literal["last", "mean"] = Field("last", description="last: its last state; mean: mean of its states")


PoolingSettings = Annotated[MeanPoolingSettings | MaxPoolingSettings | LstmPoolingSettings, Field(discriminator="name")]


class AudioTowerSettings(Part):
    """From frame embeddings to one vector per clip."""

    hidden_dims: tuple[Count, ...] = Field((), description="layers of the MLP on every frame before pooling")
    dropout: Fraction = Field(0.0, description="share of the MLP's outputs zeroed in training")
    pooling: PoolingSettings = Field(MeanPoolingSettings(), description="frames to one vector: mean, max or lstm")


class WordEmbeddingsSettings(Part):
    """Word embeddings trained from scratch on the training captions."""

    name: Literal["word_embeddings"] = "word_embeddings"
    dim: Count = Field(128, description="size of a word embedding")
    dropout: Fraction = Field(0.0, description="share of the word embeddings' values zeroed in training")
    pooling: PoolingSettings = Field(MeanPoolingSettings(), description="words to one vector: mean, max or lstm")


class TransformersSettings(Part):
    """A text network of the transformers library."""

    name: Literal["transformers"] = "transformers"
    model: Name = Field(description="folder or hub id")
    tune: bool = Field(False, description="true: train its weights too; false: frozen")
    pooling: Literal["mean", "cls"] = Field("mean", description="tokens to one vector")
    max_tokens: Count = Field(64, description="longer captions are cut here, and counted")


TextTowerSettings = Annotated[WordEmbeddingsSettings | TransformersSettings, Field(discriminator="name")]


class RidgeSettings(Part):
    """Closed form, for tens to hundreds of clips."""

    name: Literal["ridge"] = "ridge"
    ridge_lambda: NotNegative = Field(1.0, description="penalty; the Gram matrix is divided by the number of features")
    label_prior: bool = Field(True, description="start from the encoder's tags in words, where it has tags")
    sentence_encoder: Name | None = Field(None, description="folder or hub id of a text network; null: stemmed TF-IDF")


class DualEncoderSettings(Part):
    """One tower per modality into one space; the score is a cosine."""

    name: Literal["dual_encoder"] = "dual_encoder"
    audio: AudioTowerSettings = Field(AudioTowerSettings(), description="the audio side")
    text: TextTowerSettings = Field(description="the text side: word_embeddings or transformers")
    out_dim: Count = Field(256, description="size of the shared space")
    gating: bool = Field(False, description="a context gate on both outputs")


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
    RidgeSettings | DualEncoderSettings | TransformerCaptionerSettings | GruCaptionerSettings,
    Field(discriminator="name"),
]
