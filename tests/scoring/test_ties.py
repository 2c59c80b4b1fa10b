"""Captions that are the same to a model tie to the bit, whichever batch and place they would be computed in."""

import random
from typing import Any

import numpy as np
import pytest

from atrkit.models import (
    AudioTower,
    CoAttentionRetriever,
    DualEncoder,
    ExpertsRetriever,
    HciRetriever,
    Ragged,
    WordTower,
    seeded_initialisation,
)
from atrkit.models.retriever import ClipInputs, Retriever
from atrkit.models.token_towers import WordTokens
from atrkit.scoring.retrieval import pair_scorer, score_all_pairs
from atrkit.text.vocabulary import Vocabulary

_DRAW = random.Random(0)
_WORDS = ["a", "the", "on", "dog", "rain", "falls", "barks", "man", "talks", "car", "wind", "roof", "bird", "sings"]
ONCE = [" ".join(_DRAW.choices(_WORDS, k=_DRAW.randint(3, 12))) for _ in range(100)]
ONCE[10] = ONCE[4]  # so that a caption's place among the distinct ones is not its own
# the same to every model, and not the same text
TWICE = [*ONCE, *(f"{caption.capitalize()}!" for caption in ONCE)]
VOCABULARY = Vocabulary.from_captions(ONCE).words
FRAMES = Ragged.from_sequences([np.random.default_rng(n).normal(size=(5 + n % 4, 8)) for n in range(6)])


def text_tower(pooling: Any) -> WordTower:
    return WordTower(VOCABULARY, 64, word_dim=50, pooling=pooling)


def tokens() -> WordTokens:
    return WordTokens(VOCABULARY, dim=12, context="gru")


MODELS: dict[str, Any] = {
    "dual encoder, lstm": lambda: DualEncoder(AudioTower(8, 64, pooling="mean"), text_tower("lstm_last")),
    "dual encoder, netrvlad": lambda: DualEncoder(AudioTower(8, 64, pooling="mean"), text_tower("netrvlad")),
    "experts": lambda: ExpertsRetriever([8, 8], text_tower("mean"), collaborative=True, expert_dim=32, pooling="mean"),
    "hci": lambda: HciRetriever(8, tokens(), dim=16, segments=2, num_heads=2),
    "co-attention": lambda: CoAttentionRetriever(8, tokens(), dim=16, num_heads=2, ff_dim=16),
}


def made(name: str) -> tuple[Retriever, ClipInputs]:
    with seeded_initialisation(1):
        return MODELS[name]().eval(), ClipInputs((FRAMES,) * (2 if name == "experts" else 1))


@pytest.mark.parametrize("name", MODELS)
def test_equal_captions_tie_among_all_pairs(name: str) -> None:
    model, clips = made(name)
    scores_AC = score_all_pairs(model, clips, TWICE)
    np.testing.assert_array_equal(scores_AC[:, : len(ONCE)], scores_AC[:, len(ONCE) :])
    # and nothing is in another's place
    np.testing.assert_allclose(scores_AC[:, : len(ONCE)], score_all_pairs(model, clips, ONCE), rtol=0, atol=1e-5)
    assert len(np.unique(scores_AC[0])) > 0.9 * len(set(ONCE))


@pytest.mark.parametrize("name", MODELS)
def test_equal_captions_tie_among_listed_pairs(name: str) -> None:
    model, clips = made(name)
    clip_N, caption_N = (index.ravel() for index in np.indices((len(clips), len(TWICE))))
    order_N = np.random.default_rng(0).permutation(len(clip_N))
    scores_AC = np.empty((len(clips), len(TWICE)), np.float32)
    scores_AC[clip_N[order_N], caption_N[order_N]] = pair_scorer(model, clips)(
        clip_N[order_N], [TWICE[c] for c in caption_N[order_N]]
    )
    np.testing.assert_array_equal(scores_AC[:, : len(ONCE)], scores_AC[:, len(ONCE) :])
    np.testing.assert_allclose(scores_AC, score_all_pairs(model, clips, TWICE), rtol=0, atol=1e-5)


def test_equal_captions_get_the_same_vector_and_are_counted_as_given() -> None:
    model, _ = made("dual encoder, lstm")
    assert isinstance(model, DualEncoder)
    emb_CD = model.embed_captions(["rain", "Rain.", "a dog", "rain"])
    np.testing.assert_array_equal(emb_CD[[1, 3]], emb_CD[[0, 0]])
    done: list[int] = []
    model.embed_captions(["rain", "Rain.", "a dog", "rain"], batch_size=1, on_progress=done.append)
    assert done == [3, 4], "of the captions as given"
