"""Charts that show one run or several: learning curves, recall with intervals, perturbation accuracies."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from atrkit.reports.charts.chart import Chart
from atrkit.reports.charts.intervals import Estimate, perturbation_chart, recall_intervals_chart
from atrkit.reports.charts.learning_curves import learning_curves_chart
from atrkit.reports.directions import CAPITALISED
from atrkit.workflows.report_material import ChartMaterial, absent, names_of
from atrkit.workflows.report_records import (
    epoch_records,
    figure_of,
    finished_record,
    learning_curve,
    perturbation_estimates,
)

_FIGURE_NAMES = {"mean_R@1": "mean R@1", "fense": "FENSE", "text_to_audio.R@1": "text-to-audio R@1"}


def learning_curves(materials: Sequence[ChartMaterial]) -> Chart:
    """Losses and the validation figure after each epoch of every run that has records."""
    names = names_of(materials)
    records, notes = list[tuple[str, list[dict[str, Any]], dict[str, Any]]](), list[str]()
    for name, material in zip(names, materials, strict=True):
        if material.run_folder is None:
            found: list[dict[str, Any]] | str = "These scores were made elsewhere: how is not known."
        else:
            found = epoch_records(material.run_folder)
        if isinstance(found, str):
            notes.append(found if len(materials) == 1 else f"{name}: {found}")
        else:
            assert material.run_folder is not None
            records.append((name, found, finished_record(material.run_folder)))
    if not records:
        return absent("learning-curves", "Learning curves", *notes)
    figure = figure_of([found for _, found, _ in records], [finished.get("keep_best") for *_, finished in records])
    curves = [learning_curve(name, found, finished, figure) for name, found, finished in records]
    chart = learning_curves_chart(curves, None if figure is None else _FIGURE_NAMES.get(figure, figure))
    return replace(chart, notes=(*chart.notes, *notes))


def recall_of_runs(materials: Sequence[ChartMaterial]) -> Chart:
    """R@k of every run with its interval, where the runs were evaluated on one pool."""
    chart_id, title = "recall-intervals", "Recall of all runs"
    if len({material.matrix.pool_id for material in materials}) > 1:
        return absent(chart_id, title, "The runs were evaluated on different pools, whose figures do not compare.")
    directions = {}
    for entry, direction in CAPITALISED.items():
        results = [material.result.get(entry) for material in materials]
        if all(results):
            directions[direction] = _recalls([result for result in results if result])
    names = names_of(materials)
    return recall_intervals_chart(names, directions)


def _recalls(results: Sequence[Mapping[str, Any]]) -> dict[str, list[Estimate]]:
    """R@k -> an estimate for each run, of the cut-offs that all of them have."""
    figures = [name for name in results[0] if name.startswith("R@") and all(name in result for result in results)]
    return {
        figure: [_estimate(series, result, figure) for series, result in enumerate(results)]
        for figure in sorted(figures, key=lambda name: int(name[2:]))
        if all(result[figure] is not None for result in results)
    }


def _estimate(series: int, result: Mapping[str, Any], figure: str) -> Estimate:
    ends = result.get("ci", {}).get(figure)
    return Estimate(series, result[figure], None if ends is None else (ends[0], ends[1]))


def perturbations(materials: Sequence[ChartMaterial]) -> Chart:
    """Perturbation accuracies of every run that has them, with the command that makes those of the others."""
    names = names_of(materials)
    tests, notes = dict[str, list[Estimate]](), list[str]()
    for series, material in enumerate(materials):
        found = None if material.output_folder is None else perturbation_estimates(material.output_folder, series)
        for test, estimate in (found or {}).items():
            tests.setdefault(test, []).append(estimate)
        of_run = f"{names[series]}: " if len(materials) > 1 else ""
        if material.output_folder is None:
            notes.append(f"{of_run}scores made elsewhere say nothing of changed captions.")
        elif found is None:
            notes.append(f"{of_run}not made yet: atrkit eval --run {material.name} --metric perturbation")
        elif not found:
            notes.append(f"{of_run}no caption has a word that the tests change.")
    if not tests:
        return absent("perturbations", "Own caption preferred to a changed one", *notes)
    chart = perturbation_chart(names, tests)
    return replace(chart, notes=(*chart.notes, *notes))
