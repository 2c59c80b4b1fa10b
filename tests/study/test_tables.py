"""The study's own arithmetic: what counts as found first, and the interval of a difference."""

import numpy as np

from atrkit.metrics.ranking import evaluate
from atrkit.metrics.tie_blocks import audio_to_text_blocks, text_to_audio_blocks
from atrkit.score_matrix import ScoreMatrix
from tests.study.tables import _difference, _found_first


def test_found_first_is_recall_at_one_query_by_query() -> None:
    rng = np.random.default_rng(0)
    scores_AC = rng.integers(0, 4, (7, 14)).astype(np.float32)  # many ties
    clips = [f"clip{a}" for a in range(7)]
    matrix = ScoreMatrix(scores_AC, clips, [f"caption{c}" for c in range(14)], [clips[c // 2] for c in range(14)])
    figures = evaluate(matrix)
    assert np.isclose(_found_first(text_to_audio_blocks(matrix)).mean(), figures["text_to_audio"]["R@1"])
    assert np.isclose(_found_first(audio_to_text_blocks(matrix)).mean(), figures["audio_to_text"]["R@1"])


def test_a_difference_without_spread_has_an_interval_without_width() -> None:
    assert _difference(np.full((5, 30), 0.5), np.full(30, 5.0)) == "+10.0 [+10.0, +10.0]"


def test_the_interval_is_as_wide_as_seeds_and_clips_together_make_it() -> None:
    """Against the variance of a mean with two crossed random effects, worked out by hand."""
    rng = np.random.default_rng(1)
    seeds, groups = 5, 200
    surplus_SG = rng.normal(0, 0.3, (seeds, 1)) + rng.normal(0, 2, (1, groups)) + np.zeros((seeds, groups))
    low, high = (float(end) for end in _difference(surplus_SG, np.ones(groups)).split("[")[1].rstrip("]").split(", "))
    spread = np.sqrt(surplus_SG.mean(axis=1).var() / seeds + surplus_SG.mean(axis=0).var() / groups)
    assert np.isclose((high - low) / 100, 2 * 1.96 * spread, rtol=0.1)
