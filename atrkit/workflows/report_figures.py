"""The charts of `atrkit report`: numbers of a run, gathered from its records and scores, and drawn."""

from collections.abc import Sequence

from atrkit.reports.charts.chart import Chart
from atrkit.workflows.report_material import ChartMaterial, material_of_run, scaled_scores
from atrkit.workflows.report_retrieval_charts import (
    query_values,
    rank_histograms,
    recall_by_events,
    recall_by_length,
    tie_blocks,
)
from atrkit.workflows.report_run_charts import learning_curves, perturbations, recall_of_runs
from atrkit.workflows.report_scaling_charts import hub_charts, scores_before_and_after

__all__ = ["ChartMaterial", "comparison_charts", "material_of_run", "run_charts"]


def run_charts(material: ChartMaterial) -> list[Chart]:
    """All charts of one run; a chart that cannot be drawn is there with an empty `svg` and notes that say why.

    Args:
        material: of the run.

    Returns:
        Learning curves, rank histogram, recall by length of caption and by number of events, scores of matching and
        other pairs, of single captions with all clips, hub captions, shares of first places, perturbation accuracies.

    Raises:
        UsageError: the column scaling compares with training clips, and there is no calibration.
    """
    scaled = scaled_scores(material)
    blocks = tie_blocks(material, scaled)
    values = query_values(material, blocks)
    return [
        learning_curves([material]),
        rank_histograms(blocks),
        recall_by_length(material, values),
        recall_by_events(material, values),
        *scores_before_and_after(material, scaled),
        *hub_charts(material, scaled),
        perturbations([material]),
    ]


def comparison_charts(materials: Sequence[ChartMaterial]) -> list[Chart]:
    """What shows several runs in one chart: learning curves, recall with intervals, perturbation accuracies."""
    return [learning_curves(materials), recall_of_runs(materials), perturbations(materials)]
