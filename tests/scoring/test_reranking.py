"""Shortlists and merged scores against sorting by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from atrkit.errors import UsageError
from atrkit.scoring.reranking import put_above, shortlist, shortlist_figures

# few values: many ties; among them neighbours in float32, both zeros and infinity
VALUES = st.sampled_from([0.1, np.nextafter(np.float32(0.1), np.float32(1)), 0.0, -0.0, 0.5, -1.0, 1.0, -np.inf, 3e7])
MATRICES = hnp.arrays(np.float32, st.tuples(st.integers(1, 6), st.integers(1, 7)), elements=VALUES.map(float))


def shortlist_by_sorting(scores_AC, k):
    """Each row and each column sorted, cut at k, and what equals the last one added."""
    listed = set()
    clips, captions = scores_AC.shape
    for c in range(captions):
        last = sorted(scores_AC[:, c], reverse=True)[:k][-1]
        listed |= {(a, c) for a in range(clips) if scores_AC[a, c] >= last}
    for a in range(clips):
        last = sorted(scores_AC[a], reverse=True)[:k][-1]
        listed |= {(a, c) for c in range(captions) if scores_AC[a, c] >= last}
    return listed


def places_of(scores_N):
    """Dense ranks: equal for equal scores."""
    return np.unique(scores_N, return_inverse=True)[1]


@settings(max_examples=60, deadline=None)
@given(scores_AC=MATRICES, k=st.integers(1, 8))
def test_a_shortlist_is_what_sorting_gives(scores_AC, k):
    rows, columns = np.nonzero(shortlist(scores_AC, k))
    assert set(zip(rows.tolist(), columns.tolist(), strict=True)) == shortlist_by_sorting(scores_AC, k)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), scores_AC=MATRICES, offset=st.sampled_from([-1e9, -30.0, 0.0, 1e-30, 2.0, 5e8]))
def test_listed_pairs_stand_above_and_the_others_keep_order_and_ties(data, scores_AC, offset):
    is_listed_AC = data.draw(hnp.arrays(np.bool_, scores_AC.shape))
    pairs = int(np.count_nonzero(is_listed_AC))
    drawn = st.floats(-1, 1, width=32).map(lambda score: float(np.float32(score + offset)))
    new_N = np.array(data.draw(st.lists(drawn, min_size=pairs, max_size=pairs)), dtype=np.float32)
    merged_AC = put_above(scores_AC, is_listed_AC, new_N)
    assert merged_AC.dtype == np.float32 and np.isfinite(merged_AC).all()
    np.testing.assert_array_equal(merged_AC[is_listed_AC], new_N)
    others_N = merged_AC[~is_listed_AC]
    np.testing.assert_array_equal(places_of(others_N), places_of(scores_AC[~is_listed_AC]))
    if pairs and len(others_N):
        assert others_N.max() < new_N.min()


def test_neighbouring_scores_of_a_large_matrix_stay_apart():
    """A shift by an offset would lose them: cosines near 0 have more digits than sums near 10."""
    scores_AC = (np.arange(300_000, dtype=np.float32) * np.float32(1e-9)).reshape(500, 600)
    is_listed_AC = np.zeros(scores_AC.shape, dtype=bool)
    is_listed_AC[0, 0] = True
    merged_AC = put_above(scores_AC, is_listed_AC, [-9.0])
    assert (np.diff(merged_AC.ravel()[1:]) > 0).all() and merged_AC.max() == merged_AC[0, 0] == -9
    assert len(np.unique((scores_AC - 10).ravel())) < 1000, "the shift that this stands in for"


def test_figures_of_a_shortlist():
    is_listed_AC = np.array([[1, 0, 0, 0], [0, 0, 1, 1], [1, 0, 0, 0]], dtype=bool)
    figures = shortlist_figures(is_listed_AC, np.array([0, 0, 1, 2]))  # two captions of the first clip
    assert (figures.pairs, figures.share_of_pairs) == (4, 4 / 12)
    assert (figures.mean_clips, figures.mean_captions) == (1.0, 4 / 3)
    assert figures.text_to_audio_recall == 2 / 4, "captions 0 and 2"
    assert figures.audio_to_text_recall == 2 / 3, "clips 0 and 1"


def test_clips_without_captions_are_no_queries():
    figures = shortlist_figures(np.array([[True], [True]]), np.array([1]))
    assert figures.audio_to_text_recall == figures.text_to_audio_recall == 1.0


def test_what_makes_no_list_is_refused():
    with pytest.raises(UsageError, match="k is 1 or more"):
        shortlist(np.zeros((2, 2)), 0)
    with pytest.raises(UsageError, match=r"1 listed pairs, and scores of shape \(2,\)"):
        put_above(np.zeros((1, 1)), np.ones((1, 1), dtype=bool), [1.0, 2.0])
