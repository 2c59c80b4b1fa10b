"""From a recipe's settings to objects: one `match` per kind, nothing looked up by string.

Retrieval models that are trained by steps have a module of their own, `build_retriever`.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, assert_never

from atrkit.recipe.encoders import ConvNextSettings, EncoderSettings
from atrkit.recipe.models import (
    CaptionerSettings,
    GruCaptionerSettings,
    RidgeSettings,
    TransformerCaptionerSettings,
)
from atrkit.recipe.optimisation import ContrastiveLossSettings, MaxMarginSettings, NtXentSettings, OptimizerSettings

if TYPE_CHECKING:
    from torch import nn

    from atrkit.models.caption_decoder import CaptionDecoder
    from atrkit.models.captioner import Captioner
    from atrkit.models.text_embedding import TextEmbedding
    from atrkit.training.optimisation import OptimizerSettings as LoopOptimizerSettings


def encoder_arguments(settings: EncoderSettings) -> tuple[str | None, dict[str, Any]]:
    """Checkpoint and settings of the encoder, as `load_encoder` takes them; nothing of its fine-tuning."""
    stated = settings.model_dump(exclude={"name", "finetune"})
    checkpoint: str | None = stated.pop("checkpoint", None)
    if isinstance(settings, ConvNextSettings) and checkpoint is not None:
        del stated["variant"]  # a file says itself which weights it holds
    return checkpoint, stated


def build_captioner(settings: CaptionerSettings, *, frame_dim: int, captions: Sequence[str], seed: int) -> "Captioner":
    """A captioner with weights drawn from `seed`.

    Args:
        settings: of the recipe.
        frame_dim: width of the frozen frames.
        captions: training captions, from which the vocabulary is made.
        seed: of the initial weights.
    """
    from atrkit.models.captioner import Captioner
    from atrkit.models.dual_encoder import seeded_initialisation
    from atrkit.text.vocabulary import CaptionVocabulary

    words = CaptionVocabulary.from_captions(captions, min_count=settings.min_word_count).words
    with seeded_initialisation(seed):
        return Captioner(
            frame_dim,
            words,
            _build_caption_decoder(settings, len(words)),
            projection_dropout=settings.projection_dropout,
            audio_positions=settings.audio_positions,
            standardise=settings.standardise,
        )


def _build_caption_decoder(settings: CaptionerSettings, vocab_size: int) -> "CaptionDecoder":
    from atrkit.models.gru_decoder import GruDecoder
    from atrkit.models.transformer_decoder import TransformerDecoder

    match settings:
        case TransformerCaptionerSettings():
            return TransformerDecoder(
                vocab_size,
                dim=settings.d_model,
                num_layers=settings.num_layers,
                num_heads=settings.num_heads,
                ff_dim=settings.d_ff,
                dropout=settings.dropout,
                activation=settings.activation,
            )
        case GruCaptionerSettings():
            return GruDecoder(vocab_size, dim=settings.d_model, dropout=settings.dropout)
        case _:
            assert_never(settings)


def build_loss(settings: ContrastiveLossSettings) -> "nn.Module":
    """The loss of a contrastive training."""
    from atrkit.losses import MaxMargin, NtXent

    match settings:
        case NtXentSettings():
            return NtXent(settings.temperature)
        case MaxMarginSettings():
            return MaxMargin(settings.margin)
        case _:
            assert_never(settings)


def build_optimizer_settings(settings: OptimizerSettings) -> "LoopOptimizerSettings":
    """The optimiser as the loop takes it."""
    from atrkit.training.optimisation import OptimizerSettings as LoopOptimizerSettings

    return LoopOptimizerSettings(**settings.model_dump(exclude={"name"}))


def build_ridge_text(settings: RidgeSettings, captions: Sequence[str], labels: Sequence[str]) -> "TextEmbedding":
    """The text embedding under a ridge: a sentence encoder where one is named, else stemmed TF-IDF."""
    from atrkit.models.text_embedding import SentenceEmbedding, StemmedTfIdf

    if settings.sentence_encoder is not None:
        return SentenceEmbedding(settings.sentence_encoder)
    return StemmedTfIdf.fit(captions, labels)
