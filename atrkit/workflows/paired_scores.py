"""Scores of listed pairs by any trained run: for tests that compare a clip's own caption with a changed one."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import assert_never

import numpy as np
import numpy.typing as npt

from atrkit.errors import UsageError
from atrkit.recipe.models import GruCaptionerSettings, RidgeSettings, TransformerCaptionerSettings
from atrkit.recipe.retrievers import CoAttentionSettings, DualEncoderSettings, ExpertsSettings, HciSettings
from atrkit.recipe.schema import Recipe
from atrkit.scoring.cosine import cosines_of_pairs
from atrkit.workflows.captioned import CaptionedClips
from atrkit.workflows.score_models import Precision, is_captioner, scoring_device

COSINE_TOLERANCE = 1e-6  # cosines of the same words added up in another order differ by up to a tenth of it
PairedScores = Callable[[npt.NDArray[np.int64], Sequence[str]], npt.NDArray[np.float32]]


def paired_scores(
    recipe: Recipe,
    folder: Path,
    clips: CaptionedClips,
    *,
    precision: Precision | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> PairedScores:
    """Open the run's model for scoring pairs.

    Args:
        recipe: as the run was trained.
        folder: with the trained model.
        clips: whose embeddings the pairs refer to.
        precision: of a captioner; None: fp32.
        on_progress: told the number of pairs of each finished block, by models that take long for a pair.

    Returns:
        A function of clip indices (N,) and N captions to N scores, higher is better.

    Raises:
        UsageError: a precision for a model that makes cosines.
    """
    if precision is not None and not is_captioner(recipe):
        raise UsageError(f"--precision is of captioners, and this run is of model {recipe.model.name}: leave it out")
    embeddings = clips.embeddings
    match recipe.model:
        case RidgeSettings():
            from atrkit.models.ridge_retriever import RidgeRetriever

            ridge = RidgeRetriever.from_pretrained(folder)
            audio_emb_AD = ridge.embed_clips(embeddings.clip_emb_AD, embeddings.tag_probs_AK)
            return cosines_of_pairs(audio_emb_AD, ridge.embed_captions)
        case DualEncoderSettings() | ExpertsSettings() | HciSettings() | CoAttentionSettings():
            from atrkit.models.opening import open_retriever
            from atrkit.scoring.retrieval import pair_scorer
            from atrkit.workflows.clip_inputs import clip_inputs_of

            model = open_retriever(folder).to(scoring_device())
            return pair_scorer(
                model, clip_inputs_of(model, embeddings), clip_ids=embeddings.clip_ids, on_progress=on_progress
            )
        case TransformerCaptionerSettings() | GruCaptionerSettings():
            from atrkit.models import Captioner, Ragged
            from atrkit.scoring.cross_entropy import paired_cross_entropy

            captioner = Captioner.from_pretrained(folder).to(scoring_device())
            frames = Ragged.from_rows(embeddings.frames_NF, embeddings.offsets)
            return lambda clip_index_N, captions: (
                -paired_cross_entropy(
                    captioner, frames, clip_index_N, captions, precision=precision or "fp32", on_progress=on_progress
                )
            )
        case _:
            assert_never(recipe.model)
