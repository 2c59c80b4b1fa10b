"""Recipe settings of the frozen audio encoders."""

from typing import Annotated, Literal

from pydantic import Field

from atrkit.recipe.part import Name, Part, Positive


class LogmelSettings(Part):
    """Log-mel spectra, no network: 64 bins (paper 003's LMS)."""

    name: Literal["logmel"] = "logmel"
    pool_time_s: Positive | None = Field(0.32, description="mean over windows of this length; null: 0.01 s frames")


class Mn04Settings(Part):
    """EfficientAT's mn04, trained on AudioSet; gives tag probabilities too."""

    name: Literal["mn04"] = "mn04"
    checkpoint: Name | None = Field(None, description="weights file; null: the downloaded one")


EncoderSettings = Annotated[LogmelSettings | Mn04Settings, Field(discriminator="name")]
