"""From a finished run to scores: which model it is, and how its kind scores clips and captions."""

from pathlib import Path
from typing import assert_never

from atrkit.recipe.models import (
    CaptionerPart,
    DualEncoderSettings,
    GruCaptionerSettings,
    RidgeSettings,
    TransformerCaptionerSettings,
)
from atrkit.recipe.schema import Recipe
from atrkit.score_matrix import ScoreMatrix
from atrkit.scoring.cosine import cosine_scores
from atrkit.workflows.captioned import CaptionedClips


def scoring_of(recipe: Recipe) -> str:
    """What the scores of a recipe's model are: its own kind where the recipe leaves it open."""
    return "cross_entropy" if isinstance(recipe.model, CaptionerPart) else "cosine"


def score_run(recipe: Recipe, folder: Path, clips: CaptionedClips) -> ScoreMatrix:
    """Open the run's model and score every pair.

    Args:
        recipe: as the run was trained.
        folder: with the trained model.
        clips: A clips with their captions.

    Returns:
        Cosines of all clips and captions.

    Raises:
        DivergedError: an embedding or a score is not finite.
    """
    embeddings = clips.embeddings
    match recipe.model:
        case RidgeSettings():
            from atrkit.models.ridge_retriever import RidgeRetriever

            ridge = RidgeRetriever.from_pretrained(folder)
            scores_AC = cosine_scores(
                ridge.embed_clips(embeddings.clip_emb_AD, embeddings.tag_probs_AK),
                ridge.embed_captions(clips.all_captions),
            )
        case DualEncoderSettings():
            from atrkit.models import Ragged
            from atrkit.models.dual_encoder import DualEncoder

            model = DualEncoder.from_pretrained(folder)
            frames = Ragged.from_rows(embeddings.frames_NF, embeddings.offsets)
            scores_AC = cosine_scores(
                model.embed_clips(frames, ids=embeddings.clip_ids),
                model.embed_captions(clips.all_captions, ids=clips.caption_ids),
            )
        case TransformerCaptionerSettings() | GruCaptionerSettings():
            raise NotImplementedError
        case _:
            assert_never(recipe.model)
    return ScoreMatrix(scores_AC, embeddings.clip_ids, clips.caption_ids, clips.clip_of_caption)
