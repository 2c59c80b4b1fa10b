"""Recipe settings of the audio encoders, frozen ones and fine-tuned ones.

What is left out of a recipe is the encoder's default, not "anything": embeddings made otherwise are refused. Two things
are taken as they are, and said: weights, where the recipe names none, and the precision, which no recipe names.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from atrkit.recipe.part import Fraction, Name, Part, Positive

Checkpoint = Annotated[Name | None, Field(description="weights file; null: those of the embeddings, or published")]
PoolTime = Annotated[Positive | None, Field(description="mean of frames over this time; null: the network's frames")]
ClipOutput = Annotated[
    Literal["embedding", "clip"],
    Field(description="vector of a clip: embedding (after the last layer), or clip (max + mean of the frames)"),
]


class LogmelSettings(Part):
    """Log-mel spectra, no network: 64 bins (paper 003's LMS)."""

    name: Literal["logmel"] = "logmel"
    pool_time_s: Positive | None = Field(0.32, description="mean over windows of this length; null: 0.01 s frames")


class Mn04Settings(Part):
    """EfficientAT's mn04, trained on AudioSet; gives tag probabilities too."""

    name: Literal["mn04"] = "mn04"
    checkpoint: Checkpoint = None
    pool_time_s: PoolTime = None


class FinetuneSettings(Part):
    """How an audio encoder learns with the model (paper 001, section 4.2)."""

    crop_s: Positive | None = Field(
        None, description="in training, a random piece of so many seconds of each longer clip; null: whole clips"
    )
    batch_norm: Literal["batch", "frozen"] = Field(
        "batch", description="in training, normalise by each batch's mean and variance, or by the published ones"
    )
    spec_augment: bool = Field(True, description="in training, set stripes of time and of frequency to zero")
    dropout: Fraction = Field(0.2, description="share of features dropped after each block in training")


class PannsSettings(Part):
    """PANNs, trained on AudioSet (papers 001 and 003); tag probabilities too."""

    name: Literal["cnn14", "cnn14_16k", "cnn10", "resnet38"]
    checkpoint: Checkpoint = None
    clip_output: ClipOutput = "embedding"
    pool_time_s: PoolTime = None
    finetune: FinetuneSettings | None = Field(
        None, description="learn the encoder too, from samples: true, or settings; null: frozen"
    )

    @field_validator("finetune", mode="before")
    @classmethod
    def _yes_or_no(cls, finetune: Any) -> Any:
        return ({} if finetune else None) if isinstance(finetune, bool) else finetune


class ConvNextSettings(Part):
    """ConvNeXt-Tiny, trained on AudioSet (paper 004); tag probabilities too."""

    name: Literal["convnext_tiny"] = "convnext_tiny"
    checkpoint: Checkpoint = None
    variant: Literal["no_audiocaps", "no_audiocaps_75k", "audioset"] = Field(
        "no_audiocaps", description="published weights: without AudioCaps' clips, or with all of AudioSet"
    )
    clip_output: ClipOutput = "embedding"
    pool_time_s: PoolTime = None

    @model_validator(mode="after")
    def _one_kind_of_weights(self) -> Self:
        if self.checkpoint is not None and self.variant != "no_audiocaps":
            raise ValueError("variant names published weights and checkpoint a file: leave one of them out")
        return self


class VggishSettings(Part):
    """VGGish (paper 003)."""

    name: Literal["vggish"] = "vggish"
    checkpoint: Checkpoint = None
    pca: bool = Field(False, description="the original's PCA and quantisation to 8 bits")
    pool_time_s: PoolTime = None


class VggsoundResnet18Settings(Part):
    """The ResNet18 of VGGSound (paper 003)."""

    name: Literal["vggsound_resnet18"] = "vggsound_resnet18"
    checkpoint: Checkpoint = None
    long_audio: Literal["windows", "first"] = Field(
        "windows", description="clips over 10 s: windows of 10 s, or the first 10 s as the original"
    )
    pool_time_s: PoolTime = None


class ClapSettings(Part):
    """The audio side of a CLAP model of transformers (paper 002)."""

    name: Literal["clap"] = "clap"
    checkpoint: Name | None = Field(
        None, description="folder or hub id of a ClapModel; null: whichever the embeddings were made with"
    )
    pool_time_s: PoolTime = None


EncoderSettings = Annotated[
    LogmelSettings
    | Mn04Settings
    | PannsSettings
    | ConvNextSettings
    | VggishSettings
    | VggsoundResnet18Settings
    | ClapSettings,
    Field(discriminator="name"),
]


def finetuning_of(encoder: EncoderSettings) -> FinetuneSettings | None:
    """How the encoder is fine-tuned; None where it stays frozen."""
    return encoder.finetune if isinstance(encoder, PannsSettings) else None
