"""At which rank the first relevant candidate stands: counts, chance, and what is drawn of them."""

import itertools
from time import perf_counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atrkit import ScoreMatrix
from atrkit.metrics.ranking import evaluate
from atrkit.metrics.relevance import RelevantPairs, own_pairs
from atrkit.metrics.tie_blocks import audio_to_text_blocks, merge_equal, text_to_audio_blocks
from atrkit.reports.charts.rank_histogram import rank_histogram, rank_histogram_chart
from tests.reports.charts.drawn import WIDTHS, column, drawing, floats, of_class, panels, ranked, reader


def bin_of(name):
    first, _, last = name.replace(",", "").partition("–")
    return int(first), int(last or first)


@pytest.mark.parametrize("candidates", [1, 2, 3, 4, 7, 10, 11, 240, 1045, 5225, 100_000])
def test_bins_follow_each_other_from_the_first_rank_to_the_last(candidates):
    bins = [bin_of(name) for name in rank_histogram("x", ranked([1], candidates)).bin_names]

    assert bins[0][0] == 1 and bins[-1][1] == candidates
    assert all(after[0] == before[1] + 1 for before, after in itertools.pairwise(bins))
    assert bins[0] == (1, 1)


def test_every_query_counts_once_in_the_bin_of_its_rank():
    generator = np.random.default_rng(5)
    ranks = generator.integers(1, 241, size=1_200)
    histogram = rank_histogram("x", ranked(ranks, 240))

    assert histogram.queries == 1_200 and histogram.tied == 0
    for name, count in zip(histogram.bin_names, histogram.counts, strict=True):
        first, last = bin_of(name)
        assert int(count) == sum(first <= rank <= last for rank in ranks.tolist())


@pytest.mark.parametrize(
    ("scores_N", "relevant"), [([2, 2, 1, 2, 0, 2, 2], {0, 1}), ([1, 3, 1, 1, 1], {2}), ([0] * 6, {5})]
)
def test_ties_are_spread_over_the_ranks_that_they_may_have(scores_N, relevant):
    """All orders of all candidates, those kept in which scores do not rise."""
    orders = [
        order
        for order in itertools.permutations(range(len(scores_N)))
        if all(scores_N[a] >= scores_N[b] for a, b in itertools.pairwise(order))
    ]
    firsts = [1 + min(order.index(each) for each in relevant) for order in orders]
    owners = ["own" if n in relevant else "other" for n in range(len(scores_N))]
    captions = [f"c{n}" for n in range(len(scores_N))]
    matrix = ScoreMatrix([scores_N, [0] * len(scores_N)], ["own", "other"], captions, owners)
    pairs = own_pairs(matrix)
    of_own = RelevantPairs(*(each[pairs.clip_P == 0] for each in (pairs.caption_P, pairs.clip_P, pairs.grade_P)))
    histogram = rank_histogram("x", audio_to_text_blocks(matrix, of_own))

    for name, share in zip(histogram.bin_names, histogram.shares, strict=True):
        low, high = bin_of(name)
        assert share == pytest.approx(sum(low <= first <= high for first in firsts) / len(firsts)), name


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1_000), st.integers(2, 12), st.integers(1, 4), st.integers(1, 5))
def test_the_bars_are_the_recalls_and_queries_are_tied_as_in_the_table(seed, clips, each, levels):
    owners = np.repeat(range(clips), each)
    scores_AC = np.random.default_rng(seed).integers(0, levels, (clips, clips * each))
    names = [f"clip {a}" for a in range(clips)]
    matrix = ScoreMatrix(scores_AC, names, [f"c{c}" for c in range(clips * each)], [names[a] for a in owners])
    figures = evaluate(matrix)
    for direction, blocks_of in (("text_to_audio", text_to_audio_blocks), ("audio_to_text", audio_to_text_blocks)):
        histogram = rank_histogram("Text to audio", blocks_of(matrix))
        assert histogram.tied == figures[direction]["tied_queries"]
        for k in (1, 5, 10):
            within = sum(s for s, last in zip(histogram.shares, histogram.last_ranks, strict=True) if last <= k)
            if k in histogram.last_ranks:
                assert within == pytest.approx(figures[direction][f"R@{k}"], abs=1e-8)


def test_the_chart_says_the_recall_of_the_table_and_how_many_are_tied():
    """Two clips and three captions: the first caption's scores are tied, so R@1 is (0.5 + 1 + 0) / 3."""
    matrix = ScoreMatrix([[1, 1, 0], [1, 0, 1]], ["a", "b"], ["1", "2", "3"], ["a", "a", "a"])
    chart = rank_histogram_chart([rank_histogram("Text to audio", text_to_audio_blocks(matrix))])

    assert "Text to audio: 50.0 % of 3 queries find a relevant candidate first" in chart.caption
    assert floats(column(chart, "queries")) == [1.5, 1.5] and floats(column(chart, "share (%)")) == [50, 50]
    assert chart.notes[0].startswith("Ties: 1 of 3 text-to-audio queries")


def test_a_gallery_of_equal_scores_takes_no_loop_over_its_places():
    queries, candidates = 2_000, 50_000
    of_all = np.full(queries, candidates)
    blocks = merge_equal(np.arange(queries), np.zeros(queries, dtype=int), of_all, queries, queries, candidates)
    started = perf_counter()
    histogram = rank_histogram("x", blocks)

    assert histogram.shares == pytest.approx(histogram.chance) and sum(histogram.shares) == pytest.approx(1)
    assert perf_counter() - started < 5


def test_chance_is_that_of_all_orders():
    """Counted over every order of five candidates, two of them relevant for one query, one for the other."""
    orders = list(itertools.permutations(range(5)))
    expected = np.zeros(3)
    for relevant in ({0}, {0, 1}):
        for order in orders:
            first = 1 + min(order.index(each) for each in relevant)
            expected[{1: 0, 2: 1, 3: 1, 4: 2, 5: 2}[first]] += 1 / len(orders) / 2
    blocks = merge_equal(np.array([0, 1, 1]), np.array([0, 0, 1]), np.ones(3, dtype=int), 2, 2, 5)
    histogram = rank_histogram("x", blocks)

    assert histogram.bin_names == ["1", "2–3", "4–5"]
    assert histogram.chance == pytest.approx(expected)


def test_chance_adds_up_to_all_queries_in_a_pool_of_fifty_thousand():
    assert sum(rank_histogram("x", ranked([1], 50_000, relevant=5)).chance) == pytest.approx(1)


@pytest.mark.parametrize("width", WIDTHS)
def test_bars_and_ticks_stand_where_the_table_says(width):
    generator = np.random.default_rng(1)
    histograms = [
        rank_histogram("Text to audio", ranked(generator.integers(1, 50, size=300), 240)),
        rank_histogram("Audio to text", ranked(generator.integers(1, 9, size=60), 1_200, relevant=5)),
    ]
    chart = rank_histogram_chart(histograms)
    shares, chances = floats(column(chart, "share (%)")), floats(column(chart, "random order (%)"))
    drawn_shares, drawn_chances = [], []
    for panel in panels(drawing(chart, width)):
        read = reader(panel, "x")
        for bar in of_class(panel, "bar"):
            drawn_shares.append(read(float(bar.get("x")) + float(bar.get("width"))))
            assert read(float(bar.get("x"))) == pytest.approx(0, abs=0.02)
        drawn_chances += [read(float(tick.get("x1"))) for tick in of_class(panel, "chance")]

    assert drawn_shares == pytest.approx(shares, abs=0.05)
    assert drawn_chances == pytest.approx(chances, abs=0.05)
    assert sum(floats(column(chart, "queries"))) == 360


def test_the_sentence_says_the_table():
    chart = rank_histogram_chart([rank_histogram("Text to audio", ranked([1, 1, 1, 2, 11, 40, 40, 40], 100))])

    assert chart.caption == (
        "Text to audio: 37.5 % of 8 queries find a relevant candidate first, and 50.0 % (4) none among the first ten."
    )
