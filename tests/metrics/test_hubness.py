"""Distinct items at rank 1, with ties at their expectation over random orders."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from atrkit import ScoreMatrix
from atrkit.metrics.hubness import Hubness, audio_to_text_hubness, text_to_audio_hubness
from atrkit.score_matrix import BlockedScores


def matrix_of(scores_AC, owners=None):
    clips, captions = np.shape(scores_AC)
    owners = range(captions) if owners is None else owners
    clip_ids, caption_ids = [f"clip {a}" for a in range(clips)], [f"caption {c}" for c in range(captions)]
    return ScoreMatrix(scores_AC, clip_ids, caption_ids, [f"clip {a % clips}" for a in owners])


def expected_distinct(rows):
    """Mean number of distinct first places over every way of breaking the ties at the top of each row."""
    winners = [[item for item, score in enumerate(row) if score == max(row)] for row in rows]
    choices = list(product(*winners))
    return sum(len(set(choice)) for choice in choices) / len(choices)


def test_one_caption_that_takes_every_first_place():
    matrix = matrix_of([[3.0, 0.0, 2.0], [4.0, 1.0, 0.0], [5.0, 0.0, 1.0]])
    assert audio_to_text_hubness(matrix) == Hubness(1.0, queries=3, candidates=3)
    assert text_to_audio_hubness(matrix) == Hubness(3.0, queries=3, candidates=3)


def test_a_perfect_scorer_has_every_item_first_once():
    assert audio_to_text_hubness(matrix_of(np.eye(5))).distinct_at_rank_1 == 5
    assert text_to_audio_hubness(matrix_of(np.eye(5))).distinct_at_rank_1 == 5


def test_everything_tied_is_like_drawing_at_random():
    matrix = matrix_of(np.zeros((4, 20)))
    assert audio_to_text_hubness(matrix).distinct_at_rank_1 == pytest.approx(20 * (1 - (19 / 20) ** 4))
    assert text_to_audio_hubness(matrix).distinct_at_rank_1 == pytest.approx(4 * (1 - (3 / 4) ** 20))


def test_clips_without_captions_ask_for_none():
    matrix = matrix_of([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]], owners=[0, 0])
    assert audio_to_text_hubness(matrix) == Hubness(1.0, queries=1, candidates=2)
    assert text_to_audio_hubness(matrix).candidates == 3


@settings(max_examples=50, deadline=None)
@given(arrays(np.float64, (4, 4), elements=st.sampled_from([-np.inf, 0.0, 1.0])))
def test_expectation_equals_every_way_of_breaking_ties(scores_AC):
    matrix = matrix_of(scores_AC)
    assert audio_to_text_hubness(matrix).distinct_at_rank_1 == pytest.approx(expected_distinct(scores_AC))
    assert text_to_audio_hubness(matrix).distinct_at_rank_1 == pytest.approx(expected_distinct(scores_AC.T))


@pytest.mark.parametrize(("scores_AC", "passes"), [(np.arange(12.0).reshape(4, 3), 1), (np.full((4, 3), -np.inf), 2)])
def test_scores_are_read_once_and_again_only_for_ties(scores_AC, passes):
    matrix, read = matrix_of(scores_AC), []

    def read_rows(start, stop):
        read.append(start)
        return scores_AC[start:stop]

    blocked = BlockedScores(read_rows, matrix.clip_ids, matrix.caption_ids, matrix.clip_of_caption)
    assert text_to_audio_hubness(blocked).distinct_at_rank_1 == pytest.approx(expected_distinct(scores_AC.T.tolist()))
    assert read == [0] * passes
