"""The charts of `atrkit report`: numbers of a run, gathered from its records and scores, and drawn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atrkit.metrics.relevance import RelevantPairs
from atrkit.recipe.schema import ColumnScaling
from atrkit.reports.charts.chart import Chart
from atrkit.score_matrix import ScoreMatrix
from atrkit.store.scores import Calibration
from atrkit.workflows.captioned import CaptionedClips
from atrkit.workflows.evaluate import Evaluated
from atrkit.workflows.score import Scores


@dataclass(frozen=True, eq=False)
class ChartMaterial:
    """What the charts of one run, or of scores made elsewhere, are drawn from.

    Args:
        name: how the page calls it.
        matrix: raw scores, higher is better.
        scoring: as results name it: "cosine", "cross_entropy", ...
        column_scaling: that audio-to-text of the page's tables ranks by.
        result: the JSON object of `atrkit eval --metric recall` with this column scaling.
        caption_texts: as written, in the order of the matrix' captions; None: not known.
        calibration: losses of training clips, which some scalings compare with.
        run_folder: with metrics.jsonl and finished.json; None: scores made elsewhere.
        output_folder: where perturbation_results.json would lie; None: scores made elsewhere.
        events_of_clip: clip id -> number of sound events; None: the dataset does not know it.
        pairs: what is relevant; None: each caption's own clip.
    """

    name: str
    matrix: ScoreMatrix
    scoring: str
    column_scaling: ColumnScaling
    result: Mapping[str, Any]
    caption_texts: Sequence[str] | None = None
    calibration: Calibration | None = None
    run_folder: Path | None = None
    output_folder: Path | None = None
    events_of_clip: Mapping[str, int] | None = None
    pairs: RelevantPairs | None = None


def material_of_run(
    evaluated: Evaluated, scores: Scores, clips: CaptionedClips, result: Mapping[str, Any]
) -> ChartMaterial:
    """What charts need of a run that was evaluated.

    Args:
        evaluated: the run, dataset and split.
        scores: of the split, as `make_scores` gives them.
        clips: that were scored.
        result: the JSON object of its evaluation, with the column scaling that the page shows.
    """
    raise NotImplementedError


def run_charts(material: ChartMaterial) -> list[Chart]:
    """All charts of one run; a chart that cannot be drawn is there with an empty `svg` and notes that say why."""
    raise NotImplementedError


def comparison_charts(materials: Sequence[ChartMaterial]) -> list[Chart]:
    """What shows several runs in one chart: learning curves, recall with intervals, perturbation accuracies."""
    raise NotImplementedError
