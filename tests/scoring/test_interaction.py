"""Scores of all and of listed pairs by hierarchical interaction: the weighted mean of what training compares."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from atrkit.errors import DivergedError, UsageError
from atrkit.models import HciRetriever, Ragged, seeded_initialisation
from atrkit.models.retriever import ClipInputs, Padded
from atrkit.models.token_towers import WordTokens
from atrkit.scoring import interaction as scoring
from atrkit.scoring.retrieval import pair_scorer, score_all_pairs
from atrkit.text.vocabulary import Vocabulary

CAPTIONS = [
    "a dog barks",
    "rain falls on a tin roof while a dog barks",
    "wind",
    "a bell rings then rain falls",
    "A dog barks!",
    "rain rings",
]
GENERATED = ["a dog", "rain falls on a roof", "wind rings", "a bell", "wind"]
LENGTHS = [3, 6, 1, 6, 3]
FRAME_DIM = 6
Array = npt.NDArray[Any]

MODELS: dict[str, dict[str, Any]] = {
    "words_alone": {},
    "words_in_context": {"context": "gru"},
    "no_words": {"frame_word_weight": 0.0},
    "no_phrases": {"segment_phrase_weight": 0.0, "context": "gru"},
    "neither": {"frame_word_weight": 0.0, "segment_phrase_weight": 0.0},
    "generated": {"caption_interaction": True, "caption_matching": True, "context": "gru", "sentence": "aggregated"},
}
every_model = pytest.mark.parametrize("arguments", MODELS.values(), ids=MODELS)


def model_of(context: Any = "none", **arguments: Any) -> HciRetriever:
    with seeded_initialisation(1):
        text = WordTokens(Vocabulary.from_captions(CAPTIONS).words, dim=5, dropout=0.3, context=context)
        return HciRetriever(FRAME_DIM, text, dim=8, segments=3, num_heads=2, dropout=0.3, **arguments).train()


def frames_of(lengths: list[int] = LENGTHS, seed: int = 1) -> list[Array]:
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(length, FRAME_DIM)).astype(np.float32) for length in lengths]


def clips_of(model: HciRetriever, frames: list[Array] | None = None) -> ClipInputs:
    frames = frames or frames_of()
    captions = model.prepare_auxiliary(GENERATED[: len(frames)]) if model.reads_generated else None
    return ClipInputs((Ragged.from_sequences(frames),), captions)


def expected(model: HciRetriever) -> Array:
    """Every pair as training sees it, one by one: sum of weight x similarity over the sum of weights."""
    clips, captions = clips_of(model), model.prepare_captions(CAPTIONS)
    scores_AC = np.empty((len(LENGTHS), len(CAPTIONS)))
    model.eval()
    for a in range(len(LENGTHS)):
        for c in range(len(CAPTIONS)):
            texts = Padded(*captions.gather(torch.tensor([c])))
            terms = model.similarity_terms(clips.gather(torch.tensor([a])), texts)
            weighted = sum(term.weight * term.similarity_BB.item() for term in terms)
            scores_AC[a, c] = weighted / sum(term.weight for term in terms)
    model.train()
    return scores_AC


@every_model
@pytest.mark.parametrize("batch", [1, 3, 64])
def test_all_pairs_score_as_in_training(arguments: dict[str, Any], batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of(**arguments)
    monkeypatch.setattr(scoring, "_BATCH", batch)
    scores_AC = score_all_pairs(model, clips_of(model), CAPTIONS)
    assert scores_AC.dtype == np.float32 and model.training
    np.testing.assert_allclose(scores_AC, expected(model), rtol=0, atol=1e-5)


@every_model
@pytest.mark.parametrize("pairs_at_once", [1, 4, 128])
def test_listed_pairs_score_as_among_all(
    arguments: dict[str, Any], pairs_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = model_of(**arguments)
    monkeypatch.setattr(scoring, "_PAIRS_AT_ONCE", pairs_at_once)
    rng = np.random.default_rng(5)
    clip_N, caption_N = rng.integers(0, len(LENGTHS), 12), rng.integers(0, len(CAPTIONS), 12)
    score = pair_scorer(model, clips_of(model))
    scores_N = score(clip_N, [CAPTIONS[c] for c in caption_N])
    assert scores_N.dtype == np.float32 and model.training
    np.testing.assert_allclose(scores_N, expected(model)[clip_N, caption_N], rtol=0, atol=1e-5)


def test_listed_pairs_embed_each_caption_and_clip_once_per_block(monkeypatch: pytest.MonkeyPatch) -> None:
    model, embedded = model_of(context="gru"), {"clips": 0, "captions": 0}
    clip_vectors, caption_vectors = model.clip_vectors, model.caption_vectors

    def count_clips(clips: Any) -> Any:
        embedded["clips"] += len(clips.frames[0].lengths_B)
        return clip_vectors(clips)

    def count_captions(texts: Any) -> Any:
        embedded["captions"] += len(texts.lengths_B)
        return caption_vectors(texts)

    monkeypatch.setattr(model, "clip_vectors", count_clips)
    monkeypatch.setattr(model, "caption_vectors", count_captions)
    monkeypatch.setattr(scoring, "_PAIRS_AT_ONCE", 4)
    clip_N, caption_N = (index.ravel() for index in np.indices((len(LENGTHS), len(CAPTIONS))))
    score = pair_scorer(model, clips_of(model))
    score(clip_N, [CAPTIONS[c] for c in caption_N])
    assert embedded == {"clips": 5, "captions": 5}, "30 pairs of five clips and, as two are alike, five captions"
    embedded.update(clips=0, captions=0)
    monkeypatch.setattr(scoring, "BLOCK_FRAMES", 9)  # 1 + 3 + 3, then 6, then 6
    monkeypatch.setattr(scoring, "BLOCK_WORDS", 6)
    score(clip_N, [CAPTIONS[c] for c in caption_N])
    assert embedded == {"clips": 5, "captions": 15}


@every_model
def test_captions_that_are_read_alike_tie_exactly(arguments: dict[str, Any]) -> None:
    model = model_of(**arguments)
    scores_AC = score_all_pairs(model, clips_of(model), CAPTIONS)
    np.testing.assert_array_equal(scores_AC[:, 0], scores_AC[:, 4])  # "a dog barks" and "A dog barks!"
    assert len({tuple(column) for column in scores_AC.T}) == 5


@every_model
def test_the_order_of_clips_and_captions_changes_nothing(arguments: dict[str, Any]) -> None:
    model = model_of(**arguments)
    scores_AC = score_all_pairs(model, clips_of(model), CAPTIONS)
    prepared = model.prepare_auxiliary(GENERATED[::-1]) if model.reads_generated else None
    turned = ClipInputs((Ragged.from_sequences(frames_of()[::-1]),), prepared)
    np.testing.assert_allclose(score_all_pairs(model, turned, CAPTIONS[::-1])[::-1, ::-1], scores_AC, rtol=0, atol=1e-6)


def test_frames_of_a_store_are_read_as_they_lie_in_float16() -> None:
    model = model_of()
    stored = [frames.astype(np.float16) for frames in frames_of()]
    wanted_AC = score_all_pairs(model, clips_of(model, [f.astype(np.float32) for f in stored]), CAPTIONS)
    np.testing.assert_array_equal(score_all_pairs(model, clips_of(model, stored), CAPTIONS), wanted_AC)


def test_progress_counts_clips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "_BATCH", 2)
    done: list[int] = []
    model = model_of()
    score_all_pairs(model, clips_of(model), CAPTIONS, on_progress=done.append)
    assert done == [2, 2, 1]


def test_what_is_not_finite_is_named() -> None:
    model, frames = model_of(), frames_of()
    frames[3][2, 1] = np.nan
    with pytest.raises(DivergedError, match=r"clip 'd\.wav' has an embedding that is not finite"):
        score_all_pairs(model, clips_of(model, frames), CAPTIONS, clip_ids=[f"{name}.wav" for name in "abcde"])
    score = pair_scorer(model, clips_of(model, frames))
    assert np.isfinite(score(np.array([0, 1]), CAPTIONS[:2])).all()
    with pytest.raises(DivergedError, match=r"clip 3 \(counted from 0\)"):
        score(np.array([0, 3]), CAPTIONS[:2])


def test_a_caption_that_is_not_finite_is_named() -> None:
    model = model_of()
    bell = model.prepare_captions(["bell"]).values
    with torch.no_grad():
        model.text.embedding.weight[bell] = torch.inf
    with pytest.raises(DivergedError, match="caption 'c3' has an embedding that is not finite"):
        score_all_pairs(model, clips_of(model), CAPTIONS, caption_ids=[f"c{n}" for n in range(6)])


def test_nothing_to_compare_is_named() -> None:
    model = model_of()
    with pytest.raises(UsageError, match=r"clip 1 .* length is 0"):
        score_all_pairs(model, clips_of(model, frames_of([2, 0, 1])), CAPTIONS)
    with pytest.raises(UsageError, match=r"'\.\.\.' has no words"):
        score_all_pairs(model, clips_of(model), ["rain", "..."])
