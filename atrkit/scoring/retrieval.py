"""Scores of every clip with every caption, by any retrieval model that is trained by steps."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from atrkit.errors import UsageError
from atrkit.models.co_attention_retriever import CoAttentionRetriever
from atrkit.models.distinct import distinct_sequences
from atrkit.models.dual_encoder import DualEncoder
from atrkit.models.experts import ExpertsRetriever
from atrkit.models.interaction import HciRetriever
from atrkit.models.ragged import Ragged
from atrkit.models.retriever import ClipInputs, Retriever, evaluating
from atrkit.scoring.co_attention import score_all_by_co_attention, score_pairs_by_co_attention
from atrkit.scoring.cosine import cosine_scores, cosines_of_pairs, dot_scores, dots_of_pairs
from atrkit.scoring.interaction import hci_scores, hci_scores_of_pairs

Float32Array = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


def score_all_pairs(
    model: Retriever,
    clips: ClipInputs,
    captions: Sequence[str] | Ragged,
    *,
    clip_ids: Sequence[str] | None = None,
    caption_ids: Sequence[str] | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> Float32Array:
    """Score every clip with every caption; captions that are prepared to the same numbers tie to the bit.

    Args:
        model: in any mode; it is evaluated in evaluation mode.
        clips: frames, and generated captions where the model reads them.
        captions: as written, or as `model.prepare_captions` made them.
        clip_ids: for error messages; None: positions.
        caption_ids: for error messages; None: positions.
        on_progress: told the number of clips of each finished block.

    Returns:
        (A, C) float32, higher is better.

    Raises:
        UsageError: a caption without words, a clip without frames, or a model of an unknown kind.
        DivergedError: a clip or caption has no finite embedding; names it.
    """
    if not isinstance(captions, Ragged):
        with evaluating(model):
            captions = model.prepare_captions(captions)
    match model:
        case DualEncoder():
            text_emb_CD = model.embed_captions(captions, ids=caption_ids)
            return cosine_scores(model.embed_clips(clips.frames[0], ids=clip_ids), text_emb_CD, on_progress=on_progress)
        case ExpertsRetriever():
            text_emb_CE = model.embed_captions(captions, ids=caption_ids)
            return dot_scores(model.embed_clips(clips, ids=clip_ids), text_emb_CE, on_progress=on_progress)
        case CoAttentionRetriever():
            return score_all_by_co_attention(
                model, clips, captions, clip_ids=clip_ids, caption_ids=caption_ids, on_progress=on_progress
            )
        case HciRetriever():
            return hci_scores(
                model, clips, captions, clip_ids=clip_ids, caption_ids=caption_ids, on_progress=on_progress
            )
        case _:
            raise UsageError(f"models of kind {model.kind} cannot be scored")


def pair_scorer(
    model: Retriever,
    clips: ClipInputs,
    *,
    clip_ids: Sequence[str] | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> Callable[[IntArray, Sequence[str]], Float32Array]:
    """What scores listed pairs: a function of positions of clips (N,) and N captions as written.

    Args:
        model: as in `score_all_pairs`.
        clips: that the positions refer to.
        clip_ids: for error messages; None: positions.
        on_progress: told the number of pairs of each finished block, by models that take long for a pair.

    Returns:
        The function; its (N,) float32 scores are those of `score_all_pairs`, up to rounding, and equal pairs tie.

    Raises:
        UsageError, DivergedError: as `score_all_pairs`.
    """
    match model:
        case DualEncoder():
            return cosines_of_pairs(model.embed_clips(clips.frames[0], ids=clip_ids), model.embed_captions)
        case ExpertsRetriever():
            return dots_of_pairs(model.embed_clips(clips, ids=clip_ids), model.embed_captions)
        case CoAttentionRetriever():

            def co_attend(clip_N: IntArray, captions: Ragged, caption_N: IntArray) -> Float32Array:
                return score_pairs_by_co_attention(
                    model, clips, captions, clip_N, caption_N, clip_ids=clip_ids, on_progress=on_progress
                )

            return _of_distinct_pairs(model, co_attend)
        case HciRetriever():

            def interact(clip_N: IntArray, captions: Ragged, caption_N: IntArray) -> Float32Array:
                return hci_scores_of_pairs(
                    model, clips, captions, clip_N, caption_N, clip_ids=clip_ids, on_progress=on_progress
                )

            return _of_distinct_pairs(model, interact)
        case _:
            raise UsageError(f"models of kind {model.kind} cannot be scored")


def _of_distinct_pairs(
    model: Retriever, score_prepared: Callable[[IntArray, Ragged, IntArray], Float32Array]
) -> Callable[[IntArray, Sequence[str]], Float32Array]:
    """Prepare captions once, and score each pair of a clip and what is one caption to the model once."""

    def score(clip_index_N: IntArray, captions: Sequence[str]) -> Float32Array:
        texts = sorted(set(captions))
        place_of_text = {text: place for place, text in enumerate(texts)}
        with evaluating(model):
            prepared = model.prepare_captions(texts)
        first_U, place_C = distinct_sequences(prepared)
        caption_N = first_U[place_C[[place_of_text[text] for text in captions]]]
        pair_M, place_N = np.unique(clip_index_N * len(texts) + caption_N, return_inverse=True)
        return score_prepared(pair_M // len(texts), prepared, pair_M % len(texts))[place_N]

    return score
