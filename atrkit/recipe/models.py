"""Recipe settings of the retrieval models."""

from typing import Annotated, Literal

from pydantic import Field

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


ModelSettings = Annotated[RidgeSettings | DualEncoderSettings, Field(discriminator="name")]
