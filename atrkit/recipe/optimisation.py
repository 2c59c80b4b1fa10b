"""Recipe settings of what is minimised, how, and for how long."""

from typing import Annotated, Literal

from pydantic import Field

from atrkit.recipe.part import Count, Fraction, NotNegative, Part, Positive

KeepBest = Literal[
    "val_loss", "fense", "text_to_audio.R@1", "text_to_audio.R@10", "text_to_audio.mAP@10", "mean_R@1", "last"
]


class NtXentSettings(Part):
    """Normalised temperature-scaled cross-entropy, both directions (paper 001, equation 2)."""

    name: Literal["nt_xent"] = "nt_xent"
    temperature: Positive = Field(0.07, description="cosines are divided by this")


class MaxMarginSettings(Part):
    """Bidirectional max-margin over all negatives of the batch (paper 003, equations 9 and 10)."""

    name: Literal["max_margin"] = "max_margin"
    margin: Positive = Field(0.2, description="how far a true pair must score above every false one")


class CrossEntropySettings(Part):
    """Cross-entropy of every next word of a caption (paper 004, section 2.2)."""

    name: Literal["cross_entropy"] = "cross_entropy"
    label_smoothing: Fraction = Field(0.0, description="share of the target that is spread over all words")


ContrastiveLossSettings = NtXentSettings | MaxMarginSettings
LossSettings = Annotated[NtXentSettings | MaxMarginSettings | CrossEntropySettings, Field(discriminator="name")]


class AugmentSettings(Part):
    """How a captioner's training clips and captions are varied (paper 004, section 2.2)."""

    mixup_alpha: NotNegative = Field(
        0.0, description="frames and input words are mixed with another pair's by Beta(alpha, alpha); 0: never"
    )
    feature_stripes: Annotated[int, Field(ge=0, le=10**6)] = Field(
        0, description="SpecAugment: bands of features set to zero in each clip"
    )
    stripe_width: Count = Field(2, description="largest width of a band")


class AdamWSettings(Part):
    """AdamW and its learning-rate schedule."""

    name: Literal["adamw"] = "adamw"
    lr: Positive = Field(description="highest learning rate")
    betas: tuple[Fraction, Fraction] = Field((0.9, 0.999), description="decay of the two running means")
    eps: Positive = Field(1e-8, description="added to the denominator")
    weight_decay: NotNegative = Field(0.01, description="decoupled weight decay")
    decay_biases: bool = Field(True, description="false: weight decay spares biases")
    schedule: Literal["constant", "cosine", "cosine_per_epoch", "one_cycle", "step"] = Field(
        "cosine", description="how the learning rate moves"
    )
    warmup_fraction: Fraction | None = Field(
        None, description="share of all steps on which it rises; null: the schedule's own"
    )
    step_epochs: Count = Field(20, description="schedule step: epochs after which the rate falls, again and again")
    step_factor: Fraction = Field(0.1, description="schedule step: what it is multiplied by")


OptimizerSettings = AdamWSettings


class TrainingSettings(Part):
    """For how long, in which batches, and which epoch is kept."""

    epochs: Count = Field(description="passes over the training clips")
    batch_size: Annotated[int, Field(ge=2, le=10**9)] = Field(
        128, description="clips compared at once; a loss needs negatives"
    )
    accumulate_batches: Count = Field(
        1, description="batches whose gradients are averaged before a step; negatives are those of one batch"
    )
    precision: Literal["float32", "bfloat16"] = Field("float32", description="arithmetic of the forward pass")
    clip_grad_norm: Positive | None = Field(None, description="gradients are scaled down to this norm; null: never")
    keep_best: KeepBest = Field("val_loss", description="epoch that is kept: by a figure on data.val, or the last")
    bucket_batches: Count = Field(
        1, description="batches are cut from pools of so many, sorted by length: less padding; 1: at random"
    )
    validate_every: Count = Field(1, description="epochs between two validations; the last one is always validated")
