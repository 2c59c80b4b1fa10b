"""What the charts read from disk: learning curves, perturbation accuracies, how many events a clip has."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from atrkit.reports.charts.intervals import Estimate
from atrkit.reports.charts.learning_curves import LearningCurve, finite
from atrkit.workflows.evaluate_perturbations import RESULTS_NAME as PERTURBATION_NAME
from atrkit.workflows.workspace import FINISHED_NAME

METRICS_NAME = "metrics.jsonl"  # as training.loop, which imports torch
EVENTS_NAME = "events.jsonl"  # as datasets.synthetic.dataset, which imports what renders

_FIGURES = ("mean_R@1", "fense", "text_to_audio.R@1")  # where the figure that chose the epoch is a loss

Records = Sequence[Mapping[str, Any]]


def epoch_records(run_folder: Path) -> list[dict[str, Any]] | str:
    """One record per epoch, or in words why there is none."""
    path = run_folder / METRICS_NAME
    if not path.is_file():
        return "The run has no metrics.jsonl: its model was fitted in closed form, or the file was removed."
    try:
        records = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        return f"{path} cannot be read: {error}"
    usable = [each for each in records if isinstance(each, dict) and isinstance(each.get("epoch"), int)]
    if not usable or len(usable) < len(records):
        return f"{path} does not hold a record with an epoch in every line."
    return usable


def finished_record(run_folder: Path) -> dict[str, Any]:
    """What the training said at its end; empty where it says nothing that can be read."""
    try:
        record = json.loads((run_folder / FINISHED_NAME).read_bytes())
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def figure_of(records_of_runs: Sequence[Records], kept_by: Sequence[object]) -> str | None:
    """The validation figure to draw: that most runs have, first one that chose an epoch; None: there is none."""
    names = dict.fromkeys([*(each for each in kept_by if isinstance(each, str) and each != "val_loss"), *_FIGURES])
    runs_with = {name: sum(finite(records[-1].get(name)) is not None for records in records_of_runs) for name in names}
    best = max(runs_with, key=lambda name: runs_with[name])
    return best if runs_with[best] else None


def learning_curve(name: str, records: Records, finished: Mapping[str, Any], figure: str | None) -> LearningCurve:
    """Records in the order of their epochs; values that are no finite numbers are left out."""
    ordered = sorted(records, key=lambda record: record["epoch"])
    best = finished.get("best_epoch")
    columns = ("train_loss", "val_loss", figure)
    train, val, figures = (
        tuple(None if column is None else finite(record.get(column)) for record in ordered) for column in columns
    )
    epochs = tuple(record["epoch"] for record in ordered)
    return LearningCurve(name, epochs, train, val, figures, best if isinstance(best, int) else None)


def perturbation_estimates(output_folder: Path, series: int) -> dict[str, Estimate] | None:
    """Accuracy of each test that compared any caption; None where none was made, or the file cannot be read."""
    try:
        tests = json.loads((output_folder / PERTURBATION_NAME).read_bytes())["perturbation"]["tests"]
        return {
            f"{test['kind']} {test['set_name']}": Estimate(
                series, test["accuracy"], (test["ci_low"], test["ci_high"]), f"n {test['n']:,}"
            )
            for test in tests
            if test["n"]
        }
    except (OSError, ValueError, KeyError, TypeError):
        return None


def events_of_clips(dataset_folder: Path) -> dict[str, int] | None:
    """Clip id -> number of sound events; None where the dataset does not know it."""
    path = dataset_folder / EVENTS_NAME
    if not path.is_file():
        return None
    records = (json.loads(line) for line in path.read_text().splitlines())
    return {record["id"]: len(record["events"]) for record in records}
