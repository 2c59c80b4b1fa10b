"""Learning curves: what is drawn is what was written down."""

import pytest

from atrkit.reports.charts.learning_curves import MOST_POINTS, LearningCurve, finite, learning_curves_chart
from tests.reports.charts.drawn import (
    WIDTHS,
    all_text,
    column,
    drawing,
    floats,
    middle,
    of_class,
    panels,
    path_points,
    reader,
)


def curve(name="mean", epochs=20, chosen=15, figure=True):
    numbers = range(1, epochs + 1)
    return LearningCurve(
        name,
        tuple(numbers),
        tuple(9 / n + 0.1 for n in numbers),
        tuple(9 / n + 0.01 * n for n in numbers),
        tuple(0.6 - 0.5 / n if figure else None for n in numbers),
        chosen,
    )


@pytest.mark.parametrize("width", WIDTHS)
def test_lines_go_through_the_numbers_of_the_table(width):
    chart = learning_curves_chart([curve()], "mean R@1")
    loss, figure = panels(drawing(chart, width))
    drawn = {}
    for panel, names in ((loss, ("training loss", "validation loss")), (figure, ("mean R@1 (%)",))):
        x, y = reader(panel, "x"), reader(panel, "y")
        for name, path in zip(names, of_class(panel, "curve"), strict=True):
            drawn[name] = [y(place) for _, place in path_points(path)]
            assert [x(place) for place, _ in path_points(path)] == pytest.approx(range(1, 21), abs=0.1)

    for name, values in drawn.items():
        assert values == pytest.approx(floats(column(chart, name)), abs=0.5 if "%" in name else 0.06)
    assert floats(column(chart, "training loss"))[3] == pytest.approx(9 / 4 + 0.1)


@pytest.mark.parametrize("width", WIDTHS)
def test_the_epoch_whose_weights_were_kept_is_marked_on_the_validation_lines(width):
    chart = learning_curves_chart([curve(chosen=15)], "mean R@1")
    for panel in panels(drawing(chart, width)):
        marks = of_class(panel, "mark")
        assert [reader(panel, "x")(middle(mark)[0]) for mark in marks] == pytest.approx([15], abs=0.1)
        assert "epoch 15 kept" in all_text(panel)
    assert [row[1] for row in chart.table[1:] if row[-1] == "kept"] == ["15"]


def test_a_single_run_has_its_lines_named_where_they_are():
    assert {"training", "validation"} <= set(all_text(drawing(learning_curves_chart([curve()], None), "narrow")))


def test_several_runs_differ_in_dashes_and_markers_too():
    runs = [curve(name, figure=False) for name in ("mean", "max", "lstm")]
    svg = drawing(learning_curves_chart(runs, None), "wide")
    thick = [path for path in of_class(svg, "curve") if float(path.get("stroke-width")) > 1]

    assert len({path.get("stroke-dasharray") for path in thick}) == 3
    assert len({path.get("stroke") for path in thick}) == 3
    assert {"mean", "max", "lstm"} <= set(all_text(svg))


def test_one_epoch_is_a_mark():
    chart = learning_curves_chart([curve(epochs=1, chosen=1)], "mean R@1")

    assert all(of_class(panel, "mark") for panel in panels(drawing(chart, "narrow")))
    assert "Of 1 epoch, number 1 was kept." in chart.caption


def test_a_constant_loss_is_drawn():
    flat = LearningCurve("flat", (1, 2, 3), (0.5,) * 3, (0.5,) * 3, (0.0,) * 3)
    loss, _ = panels(drawing(learning_curves_chart([flat], "mean R@1"), "wide"))

    assert [reader(loss, "y")(y) for _, y in path_points(of_class(loss, "curve")[0])] == pytest.approx(
        [0.5] * 3, abs=0.01
    )


def test_a_very_long_training_is_thinned_and_it_is_said():
    chart = learning_curves_chart([curve(epochs=20_000, chosen=13_001)], None)
    points = len(path_points(of_class(drawing(chart, "wide"), "curve")[0]))

    assert points == len(chart.table) - 1 <= MOST_POINTS + 2
    assert {"1", "20000", "13001"} <= set(column(chart, "epoch"))
    assert f"{points} of 20000 epochs are drawn" in chart.notes[0]


def test_the_seventh_run_is_left_out_and_it_is_said():
    chart = learning_curves_chart([curve(f"run {n}") for n in range(8)], None)

    assert "2 more runs are not drawn" in chart.notes[0]
    assert {row[0] for row in chart.table[1:]} == {f"run {n}" for n in range(6)}


def test_epochs_without_a_validation_have_no_point():
    gaps = LearningCurve("gaps", (1, 2, 3), (3.0, 2.0, 1.0), (2.5, None, 1.5), (None, None, None))
    chart = learning_curves_chart([gaps], None)
    paths = of_class(drawing(chart, "wide"), "curve")

    assert [len(path_points(path)) for path in paths] == [3, 2]
    assert column(chart, "validation loss")[1] == ""


@pytest.mark.parametrize(("value", "kept"), [(1, 1.0), (0.5, 0.5), (float("nan"), None), (float("inf"), None)])
def test_only_finite_numbers_are_drawn(value, kept):
    assert finite(value) == kept


@pytest.mark.parametrize("value", [None, "0.5", True, [1.0]])
def test_what_is_no_number_is_not_drawn(value):
    assert finite(value) is None


def test_the_sentence_names_the_best_epochs():
    chart = learning_curves_chart(
        [LearningCurve("a", (1, 2, 3), (3, 2, 1), (3.0, 1.25, 2.0), (0.1, 0.2, 0.4), 3)], "R@1"
    )

    assert chart.caption == (
        "Validation R@1 is highest after epoch 3: 40.0 %. Validation loss is lowest after epoch 2: 1.250. "
        "Of 3 epochs, number 3 was kept."
    )
    assert chart.caption in str(chart.svg)
