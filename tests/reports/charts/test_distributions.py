"""Scores of pairs and of single captions, before and after scaling, against loops."""

import statistics

import numpy as np
import pytest

from atrkit.reports.charts.caption_columns import QUANTILES, caption_columns, caption_columns_chart
from atrkit.reports.charts.pair_scores import pair_scores, pair_scores_chart
from tests.reports.charts.drawn import WIDTHS, column, drawing, middle, of_class, panels, path_points, reader

CLIPS, CAPTIONS = 24, 72
OWN = np.repeat(np.arange(CLIPS), 3)


def losses(seed=0):
    generator = np.random.default_rng(seed)
    loss_AC = generator.normal(5, 1, size=(CLIPS, CAPTIONS)) + generator.normal(0, 2, size=CAPTIONS)
    loss_AC[OWN, np.arange(CAPTIONS)] -= 2
    return loss_AC


@pytest.mark.parametrize("is_loss", [True, False])
def test_pairs_are_counted_as_a_loop_counts_them(is_loss):
    loss_AC = losses()
    found = pair_scores("loss", loss_AC, np.arange(CAPTIONS), OWN, is_loss=is_loss)
    matching = [loss_AC[a, c] for a in range(CLIPS) for c in range(CAPTIONS) if OWN[c] == a]
    other = [loss_AC[a, c] for a in range(CLIPS) for c in range(CAPTIONS) if OWN[c] != a]
    median = statistics.median(matching)

    assert found.median_matching == pytest.approx(median)
    beyond = sum(value <= median if is_loss else value >= median for value in other) / len(other)
    assert found.other_beyond_median == pytest.approx(beyond)
    for values, counts in ((matching, found.matching), (other, found.other)):
        assert sum(counts) == len(values)
        for low, high, count in zip(found.edges, found.edges[1:-1], counts, strict=False):
            assert count == sum(low <= value < high for value in values)


def test_infinite_scores_are_left_out_and_it_is_said():
    loss_AC = losses()
    loss_AC[:, 5] = np.inf
    found = pair_scores("loss", loss_AC, np.arange(CAPTIONS), OWN, is_loss=True)

    assert found.left_out == CLIPS
    assert sum(found.matching) + sum(found.other) == CLIPS * (CAPTIONS - 1)
    assert pair_scores_chart([found]).notes == (f"loss: {CLIPS} pairs without a finite score are left out.",)


def test_one_clip_has_no_other_pairs():
    assert pair_scores("cosine", np.array([[0.5]]), np.array([0]), np.array([0])) is None


def test_equal_scores_everywhere_are_one_bar():
    found = pair_scores("cosine", np.full((3, 3), 0.5), np.arange(3), np.arange(3))

    assert max(found.matching) == 3 and max(found.other) == 6
    assert pair_scores_chart([found]).svg


@pytest.mark.parametrize("width", WIDTHS)
def test_outlines_have_the_heights_of_the_table(width):
    stages = [pair_scores(name, losses(seed), np.arange(CAPTIONS), OWN) for seed, name in enumerate(("raw", "scaled"))]
    chart = pair_scores_chart(stages)
    shares = [[float(row[index]) for row in chart.table[1:]] for index in (4, 6)]
    for number, panel in enumerate(panels(drawing(chart, width))):
        read = reader(panel, "y")
        other, matching = of_class(panel, "outline")
        for path, expected in ((matching, shares[0]), (other, shares[1])):
            heights = [read(y) for _, y in path_points(path)][1:-1:2]
            assert heights == pytest.approx(expected[30 * number : 30 * number + 30], abs=0.15)


def test_captions_go_from_the_lowest_mean_to_the_highest():
    loss_AC = losses()
    texts = [f"caption {c}" for c in range(CAPTIONS)]
    columns = caption_columns(loss_AC, loss_AC, OWN, texts, is_loss=True)
    order = sorted(range(CAPTIONS), key=lambda c: loss_AC[:, c].mean())

    assert [each.text for each in columns] == [texts[order[place]] for place in (0, 14, 28, 43, 57, 71)]
    for each in columns:
        c = texts.index(each.text)
        ordered = sorted(loss_AC[:, c])
        assert (each.raw[0], each.raw[-1]) == (ordered[0], ordered[-1])
        assert each.raw[QUANTILES.index(0.5)] == pytest.approx(statistics.median(ordered))
        assert each.raw_own == loss_AC[OWN[c], c]
        assert each.better_clips == sum(value < loss_AC[OWN[c], c] for value in ordered)


@pytest.mark.parametrize("width", WIDTHS)
def test_strips_and_crosses_stand_where_the_table_says(width):
    loss_AC = losses()
    low, high = loss_AC.min(axis=0), loss_AC.max(axis=0)
    scaled_AC = (loss_AC - low) / (high - low)
    columns = caption_columns(loss_AC, scaled_AC, OWN, ["x"] * CAPTIONS, is_loss=True)
    chart = caption_columns_chart(columns, score_name="loss", scaled_name="min-max", is_loss=True)
    for name, panel in zip(("raw", "scaled"), panels(drawing(chart, width)), strict=True):
        read = reader(panel, "x")
        rows = [row for row in chart.table[1:] if row[1] == name]
        ends = [(read(float(each.get("x1"))), read(float(each.get("x2")))) for each in of_class(panel, "range")]
        medians = [read(float(each.get("x1"))) for each in of_class(panel, "median")]
        crosses = [read(middle(each)[0]) for each in of_class(panel, "mark")]
        tolerance = 0.03 if name == "raw" else 0.005

        assert ends == [pytest.approx((float(row[2]), float(row[8])), abs=tolerance) for row in rows]
        assert medians == pytest.approx([float(row[5]) for row in rows], abs=tolerance)
        assert crosses == pytest.approx([float(row[9]) for row in rows], abs=tolerance)


def test_a_constant_column_is_not_scaled_and_it_is_said():
    raw_AC, scaled_AC = np.full((3, 2), 1.0), np.full((3, 2), np.inf)
    columns = caption_columns(raw_AC, scaled_AC, np.array([0, 1]), ["a", "b"], is_loss=True)
    chart = caption_columns_chart(columns, score_name="loss", scaled_name="min-max", is_loss=True)

    assert all(each.scaled is None for each in columns)
    assert "2 of these captions score the same with every clip, and cannot be scaled." in chart.notes
    assert column(chart, "scores") == ["raw", "raw"]
    assert "inf" not in str(chart.svg)


def test_the_sentence_says_when_one_column_lies_below_another():
    """Paper 004, table 3: the first caption is better with every clip than the others are with theirs."""
    loss_AC = np.array([[1.7, 8.4, 8.1], [2.1, 7.6, 8.5], [2.0, 8.3, 6.5]])
    columns = caption_columns(loss_AC, loss_AC, np.arange(3), ["C1", "C2", "C3"], is_loss=True)
    caption = caption_columns_chart(columns, score_name="loss", scaled_name="x", is_loss=True).caption

    assert caption.startswith(
        "Before scaling, 95 % of the clips score better with the caption of the lowest mean (median 2)"
    )
    assert caption.endswith("For 3 of the 3 captions no clip scores better than their own.")
