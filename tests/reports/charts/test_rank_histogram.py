"""At which rank the first relevant candidate stands: counts, chance, and what is drawn of them."""

import itertools

import numpy as np
import pytest

from atrkit.reports.charts.rank_histogram import rank_histogram, rank_histogram_chart
from tests.reports.charts.drawn import WIDTHS, column, drawing, floats, of_class, panels, reader


def bin_of(name):
    first, _, last = name.replace(",", "").partition("–")
    return int(first), int(last or first)


@pytest.mark.parametrize("candidates", [1, 2, 3, 4, 7, 10, 11, 240, 1045, 5225, 100_000])
def test_bins_follow_each_other_from_the_first_rank_to_the_last(candidates):
    bins = [bin_of(name) for name in rank_histogram("x", [1], [1], candidates).bin_names]

    assert bins[0][0] == 1 and bins[-1][1] == candidates
    assert all(after[0] == before[1] + 1 for before, after in itertools.pairwise(bins))
    assert bins[0] == (1, 1)


def test_every_query_counts_once_in_the_bin_of_its_rank():
    generator = np.random.default_rng(5)
    ranks = generator.integers(1, 241, size=1_200)
    histogram = rank_histogram("x", ranks, np.ones(1_200, dtype=int), 240)

    assert histogram.queries == 1_200
    for name, count in zip(histogram.bin_names, histogram.counts, strict=True):
        first, last = bin_of(name)
        assert count == sum(first <= rank <= last for rank in ranks.tolist())


def test_a_rank_between_two_counts_at_the_higher_one_and_is_said():
    histogram = rank_histogram("x", [1.0, 1.5, 3.5], [1, 1, 1], 6)

    assert dict(zip(histogram.bin_names, histogram.counts, strict=True)) == {"1": 1, "2–3": 1, "4–5": 1, "6": 0}
    assert histogram.between == 2
    assert "2 queries tied" in rank_histogram_chart([histogram]).notes[0]


def test_chance_is_that_of_all_orders():
    """Counted over every order of five candidates, two of them relevant for one query, one for the other."""
    orders = list(itertools.permutations(range(5)))
    expected = np.zeros(3)
    for relevant in ({0}, {0, 1}):
        for order in orders:
            first = 1 + min(order.index(each) for each in relevant)
            expected[{1: 0, 2: 1, 3: 1, 4: 2, 5: 2}[first]] += 1 / len(orders) / 2
    histogram = rank_histogram("x", [1, 1], [1, 2], 5)

    assert histogram.bin_names == ["1", "2–3", "4–5"]
    assert histogram.chance == pytest.approx(expected)


def test_chance_adds_up_to_all_queries_in_a_pool_of_fifty_thousand():
    assert sum(rank_histogram("x", [1], [5], 50_000).chance) == pytest.approx(1)


@pytest.mark.parametrize("width", WIDTHS)
def test_bars_and_ticks_stand_where_the_table_says(width):
    generator = np.random.default_rng(1)
    histograms = [
        rank_histogram("Text to audio", generator.integers(1, 50, size=300), np.ones(300), 240),
        rank_histogram("Audio to text", generator.integers(1, 9, size=60), np.full(60, 5), 1_200),
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
    chart = rank_histogram_chart([rank_histogram("Text to audio", [1, 1, 1, 2, 11, 40, 40, 40], [1] * 8, 100)])

    assert chart.caption == (
        "Text to audio: 37.5 % of 8 queries find a relevant candidate first, and 50.0 % (4) none among the first ten."
    )
