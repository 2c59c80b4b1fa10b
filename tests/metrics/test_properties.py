"""Exact maps of the scores, and random orders of ties where there are too many to enumerate; more in test_ranking."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from atrkit import ScoreMatrix
from atrkit.metrics.ranking import average_precisions_at_k, evaluate, first_ranks, found_fractions_at_k, hits_at_k
from atrkit.metrics.tie_blocks import audio_to_text_blocks, text_to_audio_blocks

KS = (1, 3, 10)


@st.composite
def whole_numbered(draw):
    """Scores that are whole numbers, so that increasing maps of them are exact."""
    clips, captions = draw(st.integers(1, 6)), draw(st.integers(1, 12))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    scores_AC = rng.integers(-4, 5, size=(clips, captions)).astype(float)
    owners = [f"clip {a}" for a in rng.integers(0, clips, size=captions)]
    return ScoreMatrix(scores_AC, [f"clip {a}" for a in range(clips)], [f"c{c}" for c in range(captions)], owners)


def with_scores(matrix, scores_AC):
    return ScoreMatrix(scores_AC, matrix.clip_ids, matrix.caption_ids, matrix.clip_of_caption)


@settings(max_examples=30, deadline=None)
@given(whole_numbered(), st.integers(1, 7), st.integers(-5, 5))
def test_strictly_increasing_maps_change_nothing(matrix, slope, shift):
    scores_AC = matrix.scores_AC
    for mapped_AC in (slope * scores_AC + shift, scores_AC**3, 2.0**scores_AC, np.sinh(scores_AC).astype(np.float32)):
        assert evaluate(with_scores(matrix, mapped_AC), KS) == evaluate(matrix, KS)


@settings(max_examples=30, deadline=None)
@given(whole_numbered(), st.integers(0, 2**32 - 1))
def test_scaling_columns_changes_nothing_in_text_to_audio(matrix, seed):
    rng = np.random.default_rng(seed)
    captions = len(matrix.caption_ids)
    scaled_AC = matrix.scores_AC * rng.integers(1, 9, size=captions) + rng.integers(-9, 9, size=captions)
    assert evaluate(with_scores(matrix, scaled_AC), KS)["text_to_audio"] == evaluate(matrix, KS)["text_to_audio"]


def test_figures_are_the_mean_over_random_orders_of_ties():
    """A tied matrix as large as a small test set, against sorts with random ties: 300 orders of each query."""
    rng = np.random.default_rng(0)
    clips, owners = 12, np.repeat(np.arange(12), [5, 4, 6, 5, 1, 5, 5, 9, 5, 5, 5, 5])
    scores_AC = rng.integers(0, 4, size=(clips, len(owners))) + (owners == np.arange(clips)[:, None])
    ids = [str(a) for a in range(clips)], [f"c{c}" for c in range(len(owners))], [str(a) for a in owners]
    matrix = ScoreMatrix(scores_AC.astype(float), *ids)
    queries = {
        text_to_audio_blocks: [(scores_AC[:, c], np.arange(clips) == owner) for c, owner in enumerate(owners)],
        audio_to_text_blocks: [(scores_AC[a], owners == a) for a in range(clips)],
    }
    for blocks_of, of_direction in queries.items():
        blocks = blocks_of(matrix)
        exact = {
            "hit": hits_at_k(blocks, 3),
            "fraction": found_fractions_at_k(blocks, 10),
            "precision": average_precisions_at_k(blocks, 10),
            "rank": first_ranks(blocks),
        }
        for query, (scores, is_relevant) in enumerate(of_direction):
            order_RN = np.lexsort((rng.random((300, len(scores))), np.broadcast_to(-scores, (300, len(scores)))))
            found_RN = is_relevant[order_RN]
            precision_RN = np.cumsum(found_RN, axis=1) / np.arange(1, len(scores) + 1) * found_RN
            drawn = {
                "hit": found_RN[:, :3].any(axis=1),
                "fraction": found_RN[:, :10].sum(axis=1) / is_relevant.sum(),
                "precision": precision_RN[:, :10].sum(axis=1) / is_relevant.sum(),
                "rank": found_RN.argmax(axis=1) + 1,
            }
            for name, values in drawn.items():
                error = 5.5 * values.std() / np.sqrt(len(values)) + 1e-12
                assert abs(values.mean() - exact[name][query]) <= error, (blocks_of.__name__, name, query)
