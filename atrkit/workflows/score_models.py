"""From a finished run to scores: which model it is, and how its kind scores clips and captions."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, assert_never

import numpy as np
import numpy.typing as npt

from atrkit.recipe.models import (
    CaptionerPart,
    GruCaptionerSettings,
    RidgeSettings,
    TransformerCaptionerSettings,
)
from atrkit.recipe.retrievers import CoAttentionSettings, DualEncoderSettings, ExpertsSettings, HciSettings
from atrkit.recipe.schema import Recipe
from atrkit.scoring.cosine import cosine_scores
from atrkit.store.embeddings import Embeddings
from atrkit.workflows.captioned import CaptionedClips

if TYPE_CHECKING:
    from atrkit.scoring.cross_entropy import CrossEntropyScorer

Precision = Literal["fp32", "fp16", "bf16"]
Float32Array = npt.NDArray[np.float32]
ScoreClips = Callable[[Embeddings], Float32Array]


def scoring_of(recipe: Recipe) -> str:
    """What the scores of a recipe's model are, as results name it.

    "cosine"; "weighted_cosines", of experts; "cross_interaction", a weighted mean of similarities at several levels;
    "co_attention", what a pass of each pair gives; "cross_entropy", minus a captioner's loss.
    """
    match recipe.model:
        case RidgeSettings() | DualEncoderSettings():
            return "cosine"
        case ExpertsSettings():
            return "weighted_cosines"
        case HciSettings(frame_word_weight=0, segment_phrase_weight=0) if not _matches_captions(recipe):
            return "cosine"
        case HciSettings():
            return "cross_interaction"
        case CoAttentionSettings():
            return "co_attention"
        case TransformerCaptionerSettings() | GruCaptionerSettings():
            return "cross_entropy"
        case _:
            assert_never(recipe.model)


def _matches_captions(recipe: Recipe) -> bool:
    return recipe.auxiliary_captions is not None and recipe.auxiliary_captions.matching


def is_captioner(recipe: Recipe) -> bool:
    """Whether the scores are losses of captions, which take long, rather than cosines."""
    return isinstance(recipe.model, CaptionerPart)


def scores_every_pair_by_itself(recipe: Recipe) -> bool:
    """Whether each pair costs a pass of the model, where others embed clips and captions apart."""
    return isinstance(recipe.model, CoAttentionSettings)


def open_scorer(
    recipe: Recipe, folder: Path, clips: CaptionedClips, *, on_progress: Callable[[int], None] | None = None
) -> ScoreClips:
    """Open the run's model and prepare the captions; what comes back scores any clips with them, in one go.

    Args:
        recipe: as the run was trained.
        folder: with the trained model.
        clips: whose captions are to be scored.
        on_progress: told the number of clips of each finished block, by models that are trained by steps to retrieve.

    Returns:
        From embeddings of A clips to (A, C) scores, higher is better: cosines; of a captioner, its losses negated.

    Raises:
        DivergedError: a caption's embedding is not finite; and later, a clip's.
    """
    match recipe.model:
        case RidgeSettings():
            from atrkit.models.ridge_retriever import RidgeRetriever

            ridge = RidgeRetriever.from_pretrained(folder)
            ridge_captions_CD = ridge.embed_captions(clips.all_captions)
            return lambda some: cosine_scores(ridge.embed_clips(some.clip_emb_AD, some.tag_probs_AK), ridge_captions_CD)
        case DualEncoderSettings() | ExpertsSettings() | HciSettings() | CoAttentionSettings():
            from atrkit.models.opening import open_retriever
            from atrkit.scoring.retrieval import score_all_pairs
            from atrkit.workflows.clip_inputs import clip_inputs_of

            model = open_retriever(folder).to(scoring_device())
            captions = model.prepare_captions(clips.all_captions)
            return lambda some: score_all_pairs(
                model,
                clip_inputs_of(model, some),
                captions,
                clip_ids=some.clip_ids,
                caption_ids=clips.caption_ids,
                on_progress=on_progress,
            )
        case TransformerCaptionerSettings() | GruCaptionerSettings():
            from atrkit.models import Ragged

            scorer = open_cross_entropy(folder, clips.all_captions)
            return lambda some: (
                -scorer.losses_of(Ragged.from_rows(some.frames_NF, some.offsets), clip_ids=some.clip_ids)
            )
        case _:
            assert_never(recipe.model)


def open_cross_entropy(folder: Path, captions: Sequence[str], *, precision: Precision = "fp32") -> "CrossEntropyScorer":
    """Open a captioner, on a GPU where there is one, and prepare the captions for it."""
    from atrkit.models import Captioner
    from atrkit.scoring.cross_entropy import CrossEntropyScorer

    captioner = Captioner.from_pretrained(folder).to(scoring_device())
    return CrossEntropyScorer(captioner, captions, precision=precision)


def scoring_device() -> str:
    """Where a captioner computes: a GPU where there is one."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
