"""Ranking metrics against a slow oracle that enumerates every order of ties, and against invariances."""

from fractions import Fraction
from itertools import pairwise, permutations
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from atrkit import ScoreMatrix
from atrkit.errors import UsageError
from atrkit.metrics.ranking import (
    average_precisions_at_k,
    evaluate,
    first_ranks,
    found_fractions_at_k,
    hits_at_k,
    tie_bounds,
)
from atrkit.metrics.tie_blocks import audio_to_text_blocks, text_to_audio_blocks

KS = (1, 2, 3, 5, 10)

# ---- the oracle: one query, all orders of its candidates that the scores allow, averaged as fractions


def allowed_orders(scores):
    """Every order of the candidates in which no lower score stands before a higher one."""
    return [
        order
        for order in permutations(range(len(scores)))
        if all(scores[before] >= scores[after] for before, after in pairwise(order))
    ]


def hit(order, relevant, k):
    return Fraction(any(candidate in relevant for candidate in order[:k]))


def found_fraction(order, relevant, k):
    return Fraction(sum(candidate in relevant for candidate in order[:k]), len(relevant))


def average_precision(order, relevant, k):
    ranks = [rank for rank, candidate in enumerate(order, start=1) if candidate in relevant and rank <= k]
    return sum((Fraction(found, rank) for found, rank in enumerate(ranks, start=1)), Fraction(0)) / len(relevant)


def first_rank(order, relevant, k=None):
    return Fraction(min(rank for rank, candidate in enumerate(order, start=1) if candidate in relevant))


def expected(measure, scores, relevant, k=None):
    values = [measure(order, relevant, k) for order in allowed_orders(scores)]
    return float(sum(values) / len(values))


def queries_of(matrix, direction):
    """(scores of all candidates, relevant candidates) of every query, by id and without numpy tricks."""
    clips, owners = list(matrix.clip_ids), list(matrix.clip_of_caption)
    if direction == "text_to_audio":
        return [(matrix.scores_AC[:, c], {clips.index(owner)}) for c, owner in enumerate(owners)]
    captions_of = {clip: {c for c, owner in enumerate(owners) if owner == clip} for clip in clips}
    return [(matrix.scores_AC[a], captions_of[clip]) for a, clip in enumerate(clips) if captions_of[clip]]


# ---- matrices small enough for the oracle, full of ties, with 0 to 4 captions per clip


@st.composite
def tied_matrices(draw, max_captions=6):
    clips = draw(st.integers(1, 5))
    captions = draw(st.integers(1, max_captions))
    levels = st.sampled_from([-np.inf, -1.0, 0.0, 0.5, 1.0, np.inf])
    scores_AC = draw(arrays(np.float64, (clips, captions), elements=levels))
    owners = draw(st.lists(st.integers(0, clips - 1), min_size=captions, max_size=captions))
    return ScoreMatrix(
        scores_AC,
        [f"clip {a}" for a in range(clips)],
        [f"caption {c}" for c in range(captions)],
        [f"clip {a}" for a in owners],
    )


BLOCKS_OF = {"text_to_audio": text_to_audio_blocks, "audio_to_text": audio_to_text_blocks}


@pytest.mark.parametrize("direction", BLOCKS_OF)
@pytest.mark.parametrize(
    ("measure", "oracle"),
    [(hits_at_k, hit), (found_fractions_at_k, found_fraction), (average_precisions_at_k, average_precision)],
)
@settings(max_examples=100, deadline=None)
@given(matrix=tied_matrices(max_captions=5), k=st.integers(1, 7))
def test_value_at_k_is_the_mean_over_all_orders_of_ties(direction, measure, oracle, matrix, k):
    wanted = [expected(oracle, scores, relevant, k) for scores, relevant in queries_of(matrix, direction)]
    assert measure(BLOCKS_OF[direction](matrix), k) == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("direction", BLOCKS_OF)
@settings(max_examples=100, deadline=None)
@given(matrix=tied_matrices())
def test_first_rank_is_the_mean_over_all_orders_of_ties(direction, matrix):
    wanted = [expected(first_rank, scores, relevant) for scores, relevant in queries_of(matrix, direction)]
    figures = evaluate(matrix)[direction]
    assert first_ranks(BLOCKS_OF[direction](matrix)) == pytest.approx(wanted, abs=1e-12)
    assert figures["MnR"] == pytest.approx(sum(wanted) / len(wanted))
    assert figures["MedR"] == pytest.approx(
        (sorted(wanted)[(len(wanted) - 1) // 2] + sorted(wanted)[len(wanted) // 2]) / 2
    )


@pytest.mark.parametrize("direction", BLOCKS_OF)
@settings(max_examples=100, deadline=None)
@given(matrix=tied_matrices(max_captions=5))
def test_bounds_are_the_best_and_the_worst_order_of_ties(direction, matrix):
    bounds = tie_bounds(BLOCKS_OF[direction](matrix), ks=(2,))
    for figure, oracle, k in [
        ("R@2", hit, 2),
        ("mAP@10", average_precision, 10),
        ("mAP@16", average_precision, 16),
        ("fractional_R@2", found_fraction, 2),
        ("MnR", first_rank, None),
    ]:
        values = [
            [oracle(order, relevant, k) for order in allowed_orders(scores)]
            for scores, relevant in queries_of(matrix, direction)
        ]
        low = float(sum(min(of_query) for of_query in values) / len(values))
        high = float(sum(max(of_query) for of_query in values) / len(values))
        worst, best = (high, low) if figure == "MnR" else (low, high)
        assert bounds["optimistic"][figure] == pytest.approx(best, abs=1e-12)
        assert bounds["pessimistic"][figure] == pytest.approx(worst, abs=1e-12)


@settings(max_examples=100, deadline=None)
@given(matrix=tied_matrices())
def test_tied_queries_are_those_that_the_order_of_ties_can_change(matrix):
    for direction in BLOCKS_OF:
        changeable = sum(
            len({average_precision(order, relevant, k=99) for order in allowed_orders(scores)}) > 1
            for scores, relevant in queries_of(matrix, direction)
        )
        assert evaluate(matrix)[direction]["tied_queries"] == changeable


@settings(max_examples=50, deadline=None)
@given(matrix=tied_matrices(max_captions=8))
def test_chance_is_the_closed_form_of_random_orders(matrix):
    figures = evaluate(matrix, ks=KS)
    clips, captions = len(matrix.clip_ids), len(matrix.caption_ids)
    counts = [matrix.clip_of_caption.count(clip) for clip in sorted(set(matrix.clip_of_caption))]
    for k in KS:
        assert figures["text_to_audio"][f"chance_R@{k}"] == pytest.approx(min(k / clips, 1))
        places = min(k, captions)
        hits = [1 - comb(captions - m, places) / comb(captions, places) for m in counts]
        assert figures["audio_to_text"][f"chance_R@{k}"] == pytest.approx(sum(hits) / len(hits))
    harmonic = sum(1 / rank for rank in range(1, min(10, clips) + 1)) / clips
    assert figures["text_to_audio"]["chance_mAP@10"] == pytest.approx(harmonic)


# ---- invariances


@settings(max_examples=50, deadline=None)
@given(matrix=tied_matrices(max_captions=8), data=st.data())
def test_order_of_clips_and_captions_changes_nothing(matrix, data):
    rows = data.draw(st.permutations(range(len(matrix.clip_ids))))
    columns = data.draw(st.permutations(range(len(matrix.caption_ids))))
    shuffled = ScoreMatrix(
        matrix.scores_AC[rows][:, columns],
        [matrix.clip_ids[a] for a in rows],
        [matrix.caption_ids[c] for c in columns],
        [matrix.clip_of_caption[c] for c in columns],
    )
    for direction, figures in evaluate(matrix, ks=KS).items():
        assert evaluate(shuffled, ks=KS)[direction] == pytest.approx(figures, abs=1e-12)


@settings(max_examples=50, deadline=None)
@given(matrix=tied_matrices(max_captions=8))
def test_increasing_maps_of_the_scores_change_nothing(matrix):
    for mapped_AC in (np.arctan(matrix.scores_AC), 3 * matrix.scores_AC - 7, matrix.scores_AC.astype(np.float32)):
        mapped = ScoreMatrix(mapped_AC, matrix.clip_ids, matrix.caption_ids, matrix.clip_of_caption)
        assert evaluate(mapped, ks=KS) == evaluate(matrix, ks=KS)


@settings(max_examples=50, deadline=None)
@given(matrix=tied_matrices(max_captions=8))
def test_recall_never_falls_as_k_grows(matrix):
    for figures in evaluate(matrix, ks=KS).values():
        recalls = [figures[f"R@{k}"] for k in KS]
        assert all(smaller <= larger + 1e-12 for smaller, larger in pairwise(recalls))
        assert all(0 <= recall <= 1 for recall in recalls)
        assert figures["MnR"] >= 1


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble])
def test_stored_type_changes_no_figure_beyond_its_own_rounding(dtype):
    scores_AC = np.random.default_rng(1).normal(size=(12, 48)).astype(dtype)
    owners = [f"clip {c % 12}" for c in range(48)]
    ids = [f"clip {a}" for a in range(12)], [f"caption {c}" for c in range(48)], owners
    assert evaluate(ScoreMatrix(scores_AC, *ids)) == evaluate(ScoreMatrix(scores_AC.astype(np.float64), *ids))


def test_scores_that_differ_only_beyond_float32_are_no_tie():
    scores_AC = np.array([[0.5, 0.0], [0.5 - 1e-12, 1.0]])
    matrix = ScoreMatrix(scores_AC, ["a", "b"], ["a#1", "b#1"], ["a", "b"])
    assert evaluate(matrix)["text_to_audio"]["R@1"] == 1


def test_scores_that_differ_only_beyond_float64_are_a_tie():
    scores_AC = np.array([[1, 0], [1, 1]], dtype=np.longdouble)
    scores_AC[0, 0] += np.finfo(np.float64).eps / 4
    matrix = ScoreMatrix(scores_AC, ["a", "b"], ["a#1", "b#1"], ["a", "b"])
    assert evaluate(matrix)["text_to_audio"]["R@1"] == 0.75


# ---- shapes that occur


def test_clips_with_four_five_one_and_no_captions():
    captions_of_clip = {"four": 4, "five": 5, "one": 1, "distractor": 0}
    owners = [clip for clip, count in captions_of_clip.items() for _ in range(count)]
    scores_AC = np.array([[float(owner == clip) for owner in owners] for clip in captions_of_clip])
    scores_AC[3] = 2  # the clip without captions outranks every other one
    matrix = ScoreMatrix(scores_AC, list(captions_of_clip), [f"c{i}" for i in range(10)], owners)
    figures = evaluate(matrix)
    to_audio, to_text = figures["text_to_audio"], figures["audio_to_text"]
    assert (to_audio["queries"], to_audio["candidates"], to_audio["skipped_queries"]) == (10, 4, 0)
    assert (to_text["queries"], to_text["candidates"], to_text["skipped_queries"]) == (3, 10, 1)
    assert (to_audio["R@1"], to_audio["MedR"]) == (0, 2)
    assert (to_text["R@1"], to_text["MnR"]) == (1, 1)


def test_ground_truth_is_by_id_when_captions_of_clips_are_interleaved():
    scores_AC = np.array([[1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 1.0]])
    by_id = ScoreMatrix(scores_AC, ["a", "b"], ["1", "2", "3", "4"], ["a", "b", "a", "b"])
    by_position = ScoreMatrix(scores_AC, ["a", "b"], ["1", "2", "3", "4"], ["a", "a", "b", "b"])
    assert evaluate(by_id)["text_to_audio"]["R@1"] == 1
    assert evaluate(by_position)["text_to_audio"]["R@1"] == 0.5


def test_one_clip_and_one_caption():
    figures = evaluate(ScoreMatrix([[0.0]], ["a"], ["a#1"], ["a"]))
    assert figures["text_to_audio"]["R@1"] == figures["audio_to_text"]["chance_R@1"] == 1


def test_figures_are_plain_numbers_under_the_names_of_the_json_contract():
    figures = evaluate(ScoreMatrix([[0.0]], ["a"], ["a#1"], ["a"]))["text_to_audio"]
    contract = ["R@1", "R@5", "R@10", "mAP@10", "MedR", "MnR", "queries", "candidates", "chance_R@1", "tied_queries"]
    assert [name for name in figures if name in contract] == contract
    assert {type(value) for value in figures.values()} == {int, float}


@pytest.mark.parametrize("k", [0, -1, 2.5, 1.0, True, "1"])
def test_a_cut_off_that_is_no_positive_whole_number_is_refused(k):
    with pytest.raises(UsageError, match="no positive whole number"):
        evaluate(ScoreMatrix([[0.0]], ["a"], ["a#1"], ["a"]), ks=(k,))
