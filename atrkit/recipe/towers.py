"""Recipe settings of the parts of retrieval models: poolings, the audio side, and text sides."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from atrkit.recipe.part import Count, Fraction, Name, Part


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


class VladPoolingSettings(Part):
    """Soft assignment to clusters: paper 003's NetVLAD (equation 4) and NetRVLAD (equation 5)."""

    name: Literal["netvlad", "netrvlad"]
    clusters: Count = Field(12, description="clusters; paper 003 has 12 for audio, 20 for text")
    normalise: bool = Field(False, description="each cluster's sum, then all of them, scaled to L2 norm 1")


PoolingSettings = Annotated[
    MeanPoolingSettings | MaxPoolingSettings | LstmPoolingSettings | VladPoolingSettings, Field(discriminator="name")
]


class AudioTowerSettings(Part):
    """From frame embeddings to one vector per clip."""

    hidden_dims: tuple[Count, ...] = Field((), description="layers of the MLP on every frame before pooling")
    dropout: Fraction = Field(0.0, description="share of the MLP's outputs zeroed in training")
    pooling: PoolingSettings = Field(
        MeanPoolingSettings(), description="frames to one vector: mean, max, lstm, net(r)vlad"
    )


class WordsPart(Part):
    """What text sides made of word embeddings have in common."""

    dim: Count = Field(128, description="size of a word embedding; where there are `vectors`, theirs counts")
    vectors: Name | None = Field(
        None,
        description="word vectors, a file in word2vec's or GloVe's format; null: trained from scratch",
    )
    trainable: bool = Field(True, description="false: word vectors stay as they are in the file")
    dropout: Fraction = Field(0.0, description="share of the word embeddings' values zeroed in training")

    @model_validator(mode="after")
    def _frozen_means_from_a_file(self) -> Self:
        if not self.trainable and self.vectors is None:
            raise ValueError("trainable: false needs vectors, a file: untrained random vectors say nothing")
        return self


class WordEmbeddingsSettings(WordsPart):
    """Word embeddings, pooled: trained from scratch on the training captions, or from a file (paper 003's word2vec)."""

    name: Literal["word_embeddings"] = "word_embeddings"
    pooling: PoolingSettings = Field(
        MeanPoolingSettings(), description="words to one vector: mean, max, lstm, net(r)vlad"
    )


class TransformersSettings(Part):
    """A text network of the transformers library."""

    name: Literal["transformers"] = "transformers"
    model: Name = Field(description="folder or hub id")
    tune: bool = Field(False, description="true: train its weights too; false: frozen")
    pooling: Literal["mean", "cls"] = Field("mean", description="tokens to one vector")
    max_tokens: Count = Field(64, description="longer captions are cut here, and counted")


TextTowerSettings = Annotated[WordEmbeddingsSettings | TransformersSettings, Field(discriminator="name")]


class WordTokensSettings(WordsPart):
    """Every word of a caption as a vector, and the caption as one: for models that compare frames with words."""

    name: Literal["word_embeddings"] = "word_embeddings"
    context: Literal["none", "gru"] = Field(
        "none", description="gru: words hear their neighbours, by a GRU in both directions; none: words stand alone"
    )


class TransformerTokensSettings(Part):
    """Every token of a caption by a text network of the transformers library, and its [CLS]."""

    name: Literal["transformers"] = "transformers"
    model: Name = Field(description="folder or hub id")
    tune: bool = Field(False, description="true: train its weights too; false: frozen")
    max_tokens: Count = Field(64, description="longer captions are cut here, and counted")


TokenSideSettings = Annotated[WordTokensSettings | TransformerTokensSettings, Field(discriminator="name")]
