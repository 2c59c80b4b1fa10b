"""Cosine scores against a loop over pairs, and the vectors that have no cosine."""

import math

import numpy as np
import pytest

from atrkit import ScoreMatrix
from atrkit.errors import DivergedError, UsageError
from atrkit.scoring import cosine_scores, count_zero_embeddings
from atrkit.scoring.cosine import dot_scores


def cosine(a, b):
    dot = math.fsum(x * y for x, y in zip(a, b, strict=True))
    return dot / math.sqrt(math.fsum(x * x for x in a)) / math.sqrt(math.fsum(y * y for y in b))


@pytest.fixture
def embeddings():
    generator = np.random.default_rng(0)
    return generator.normal(size=(7, 16)).astype(np.float32), generator.normal(size=(11, 16)).astype(np.float32)


def test_every_pair_equals_the_textbook_formula(embeddings):
    audio_AD, text_CD = embeddings
    scores_AC = cosine_scores(audio_AD, text_CD)
    assert scores_AC.dtype == np.float32
    wanted = [[cosine(a.tolist(), t.tolist()) for t in text_CD] for a in audio_AD]
    np.testing.assert_allclose(scores_AC, wanted, atol=6e-8)


@pytest.mark.parametrize("block_clips", [1, 2, 7, 100])
def test_blocks_change_nothing_and_are_reported(embeddings, block_clips):
    finished = []
    scores_AC = cosine_scores(*embeddings, block_clips=block_clips, on_progress=finished.append)
    np.testing.assert_array_equal(scores_AC, cosine_scores(*embeddings))
    assert sum(finished) == 7
    assert max(finished) <= block_clips


def test_order_of_captions_changes_no_bit():
    generator = np.random.default_rng(0)
    audio_AD, text_CD = generator.normal(size=(7, 100)), generator.normal(size=(13, 100))
    order = generator.permutation(13)
    np.testing.assert_array_equal(cosine_scores(audio_AD, text_CD[order]), cosine_scores(audio_AD, text_CD)[:, order])


def test_length_of_vectors_does_not_matter(embeddings):
    audio_AD, text_CD = embeddings
    np.testing.assert_array_equal(cosine_scores(8 * audio_AD, text_CD / 4), cosine_scores(audio_AD, text_CD))


@pytest.mark.parametrize("size", [1e-300, 1e-160, 1e160, 1e300])
def test_tiny_and_huge_vectors_still_have_a_direction(size):
    assert cosine_scores(np.array([[3.0, 4.0]]) * size, [[1.0, 0.0]])[0, 0] == np.float32(0.6)


def test_equal_vectors_score_at_most_one(embeddings):
    assert cosine_scores(embeddings[0], embeddings[0]).max() == 1.0


def test_zero_vectors_score_zero_and_are_counted(embeddings):
    audio_AD, text_CD = embeddings[0].copy(), embeddings[1].copy()
    audio_AD[2] = 0
    text_CD[[0, 5]] = 0
    scores_AC = cosine_scores(audio_AD, text_CD)
    assert not scores_AC[2].any()
    assert not scores_AC[:, [0, 5]].any()
    assert np.count_nonzero(scores_AC) == 6 * 9
    assert (count_zero_embeddings(audio_AD), count_zero_embeddings(text_CD)) == (1, 2)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_broken_vector_is_not_mistaken_for_a_zero_one(embeddings, bad):
    audio_AD = embeddings[0].copy()
    audio_AD[3, 1] = bad
    scores_AC = cosine_scores(audio_AD, embeddings[1])
    captions = [f"c{i}" for i in range(11)]
    with pytest.raises(DivergedError, match=r"11 of 77 scores are NaN, the first at .*'clip 3'"):
        ScoreMatrix(scores_AC, [f"clip {a}" for a in range(7)], captions, ["clip 0"] * 11)


@pytest.mark.parametrize("shape", [(11, 15), (11,), (11, 16, 1)])
def test_dimensions_must_agree(embeddings, shape):
    with pytest.raises(UsageError, match="same dimension"):
        cosine_scores(embeddings[0], np.ones(shape))


def test_dot_products_keep_the_length_of_vectors(embeddings):
    audio_AD, text_CD = embeddings
    scores_AC = dot_scores(audio_AD, text_CD, block_clips=3)
    wanted = [[math.fsum(float(x) * float(y) for x, y in zip(a, t, strict=True)) for t in text_CD] for a in audio_AD]
    assert scores_AC.dtype == np.float32
    np.testing.assert_array_equal(scores_AC, np.array(wanted).astype(np.float32))
    np.testing.assert_array_equal(dot_scores(2 * audio_AD, text_CD / 4), scores_AC / 2)
    with pytest.raises(UsageError, match="same dimension"):
        dot_scores(audio_AD, text_CD[:, :3])


@pytest.mark.parametrize("scores", [cosine_scores, dot_scores])
@pytest.mark.parametrize("captions", [1, 3, 10, 37])
def test_equal_embeddings_tie_to_the_bit_wherever_they_stand(scores, captions):
    """Nearly orthogonal vectors show the last bits of the sums, which depend on a column's place in the product."""
    draw = np.random.default_rng(captions)
    half_AD, half_CD = draw.normal(size=(9, 300)), draw.normal(size=(captions, 300))
    audio_AD = np.concatenate([half_AD, half_AD], axis=1)
    once_CD = np.concatenate([half_CD, -half_CD], axis=1) + 1e-9 * draw.normal(size=(captions, 600))
    twice_CD = np.concatenate([once_CD, once_CD[::-1], once_CD[:2]])
    scores_AC = scores(audio_AD, twice_CD)
    np.testing.assert_array_equal(scores_AC[:, captions : 2 * captions], scores_AC[:, :captions][:, ::-1])
    np.testing.assert_array_equal(scores_AC[:, 2 * captions :], scores_AC[:, :2][:, : len(scores_AC.T) - 2 * captions])
    wanted_AC = audio_AD @ twice_CD.T
    if scores is cosine_scores:
        wanted_AC /= np.linalg.norm(audio_AD, axis=1)[:, None] * np.linalg.norm(twice_CD, axis=1)
    np.testing.assert_allclose(scores_AC, wanted_AC, rtol=0, atol=1e-12)
    assert len(np.unique(scores_AC)) == 9 * captions
