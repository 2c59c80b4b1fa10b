"""Recall and perturbation accuracies with their intervals."""

import pytest

from atrkit.reports.charts.intervals import Estimate, perturbation_chart, recall_intervals_chart
from tests.reports.charts.drawn import WIDTHS, all_text, column, drawing, floats, middle, of_class, panels, reader

RUNS = ["mean/seed-1", "max/seed-1", "lstm/seed-1"]


def recalls(runs=3, with_intervals=True):
    return {
        direction: {
            f"R@{k}": [
                Estimate(
                    n,
                    value := 0.2 + 0.05 * n + 0.06 * k + shift,
                    (value - 0.03, value + 0.04) if with_intervals else None,
                )
                for n in range(runs)
            ]
            for k in (1, 5, 10)
        }
        for direction, shift in (("Text to audio", 0.0), ("Audio to text", -0.1))
    }


TESTS = {
    "replace before_after": [Estimate(0, 0.973, (0.95, 0.99), "n 294")],
    "invert sup": [Estimate(0, 0.5, (0.46, 0.54), "n 270")],
}


@pytest.mark.parametrize("runs", [3, 6, 8])
@pytest.mark.parametrize("width", WIDTHS)
def test_dots_and_whiskers_stand_where_the_table_says(width, runs):
    chart = recall_intervals_chart([f"run {n}" for n in range(runs)], recalls(runs))
    dots, ends = [], []
    for panel in panels(drawing(chart, width)):
        read = reader(panel, "x")
        dots += [read(middle(mark)[0]) for mark in of_class(panel, "mark")]
        ends += [(read(float(each.get("x1"))), read(float(each.get("x2")))) for each in of_class(panel, "whisker")]

    assert dots == pytest.approx(floats(column(chart, "%")), abs=0.1)
    for (low, high), cell in zip(ends, column(chart, "95 % interval"), strict=True):
        assert (low, high) == pytest.approx([float(end) for end in cell.split(" to ")], abs=0.1)
    assert len(chart.table) - 1 == len(dots) == runs * 3 * 2


def test_runs_have_marks_of_different_shapes_and_colours():
    chart = recall_intervals_chart([f"run {n}" for n in range(6)], recalls(6))
    marks = of_class(panels(drawing(chart, "wide"))[0], "mark")[:6]
    colours = {mark.get("stroke") if mark.get("fill") == "var(--paper)" else mark.get("fill") for mark in marks}

    assert colours == {f"var(--series-{n})" for n in range(1, 7)}
    assert len({(mark.tag, mark.get("width"), mark.get("r"), len(mark.get("d") or "")) for mark in marks}) == 6


def test_more_runs_than_marks_are_numbered():
    texts = all_text(drawing(recall_intervals_chart([f"run {n}" for n in range(8)], recalls(8)), "narrow"))

    assert {f"run {n}" for n in range(8)} <= set(texts)
    assert all(texts.count(str(n)) == 1 + 6 for n in range(1, 9))  # in the key, and for each figure and direction


def test_missing_intervals_are_said():
    chart = recall_intervals_chart(RUNS, recalls(with_intervals=False))

    assert "18 of 18 figures have no interval: atrkit eval --ci computes them." in chart.notes
    assert of_class(drawing(chart, "wide"), "whisker") == []


def test_the_sentence_names_the_best_and_the_worst_run():
    assert recall_intervals_chart(RUNS, recalls()).caption == (
        "Text to audio: lstm/seed-1 has the highest R@1, 36.0 %, mean/seed-1 the lowest, 26.0 %. "
        "Audio to text: lstm/seed-1 has the highest R@1, 26.0 %, mean/seed-1 the lowest, 16.0 %."
    )


@pytest.mark.parametrize("width", WIDTHS)
def test_chance_stands_at_one_half(width):
    (panel,) = panels(drawing(perturbation_chart(["mean"], TESTS), width))
    read = reader(panel, "x")

    assert [read(float(each.get("x1"))) for each in of_class(panel, "chance")] == pytest.approx([50], abs=0.1)
    assert "chance" in all_text(panel)
    assert {"97.3 %", "n 294", "invert sup"} <= set(all_text(panel))


def test_accuracies_that_may_be_chance_are_counted():
    assert perturbation_chart(["mean"], TESTS).caption == (
        "From 50.0 %, invert sup, to 97.3 %, replace before_after; chance is 50 %. "
        "1 of 2 tests cannot be told from chance."
    )


def test_a_run_without_one_of_the_tests_is_no_gap_in_the_others():
    tests = {"replace seq2sup": [Estimate(1, 0.8, (0.7, 0.9), "n 5")]}
    chart = perturbation_chart(["mean", "max"], tests)

    assert chart.table[1][1] == "max"
    (mark,) = of_class(panels(drawing(chart, "wide"))[0], "mark")
    assert mark.get("fill") == "var(--series-2)"
