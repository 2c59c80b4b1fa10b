"""What the charts of a report are drawn from, and what scaling makes of its scores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from atrkit.metrics.relevance import RelevantPairs, own_pairs
from atrkit.recipe.schema import ColumnScaling
from atrkit.reports.charts.chart import Chart
from atrkit.score_matrix import FloatArray, ScoreMatrix
from atrkit.scoring.scaling import audio_to_text_matrix, scale_columns
from atrkit.store.scores import Calibration
from atrkit.workflows.captioned import CaptionedClips
from atrkit.workflows.evaluate import Evaluated
from atrkit.workflows.report_records import events_of_clips
from atrkit.workflows.score import Scores

_SCALED = {
    "minmax": "min-max scaled",
    "minmax-calib": "calibration-scaled",
    "pmi": "pmi-scaled",
}


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

    @property
    def is_loss(self) -> bool:
        """The scores are negated losses, which are shown as losses."""
        return self.scoring == "cross_entropy"

    @property
    def relevant(self) -> RelevantPairs:
        """Pairs of a caption and a relevant clip."""
        return own_pairs(self.matrix) if self.pairs is None else self.pairs

    @property
    def shown_texts(self) -> Sequence[str]:
        """The captions' texts, or their ids where texts are not known."""
        return self.matrix.caption_ids if self.caption_texts is None else self.caption_texts


@dataclass(frozen=True, eq=False)
class Scaled:
    """Scores after column scaling.

    Args:
        name: of the scaling, as charts call it.
        ranking: what audio-to-text ranks by, higher is better.
        values_AC: (A, C) scaled losses, or scores where the raw ones are no losses; not finite in columns that cannot
            be scaled.
    """

    name: str
    ranking: ScoreMatrix
    values_AC: FloatArray


def scaled_scores(material: ChartMaterial) -> Scaled | str:
    """Scores under the material's column scaling, or under min-max scaling where it has none.

    Returns:
        In words, why they cannot be scaled, where a score is infinite.
    """
    scaling: ColumnScaling = "minmax" if material.column_scaling == "none" else material.column_scaling
    infinite = material.matrix.scores_AC.size - int(np.count_nonzero(np.isfinite(material.matrix.scores_AC)))
    if infinite:
        are = "score is" if infinite == 1 else "scores are"
        return f"{infinite:,} {are} infinite, so that columns cannot be scaled."
    calibration_KC = None if material.calibration is None else material.calibration.loss_KC
    ranking = audio_to_text_matrix(material.matrix, scaling, calibration_KC)
    values_AC = scale_columns(np.negative(material.matrix.scores_AC, dtype=np.float64), scaling, calibration_KC)
    if not material.is_loss:
        values_AC = -values_AC if scaling == "pmi" else 1.0 - values_AC
    return Scaled(_SCALED[scaling], ranking, values_AC)


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
    text_of = {caption.id: caption.text for clip in clips.clips for caption in clip.captions}
    return ChartMaterial(
        name=evaluated.trained.name,
        matrix=scores.matrix,
        scoring=result["scoring"],
        column_scaling=result["column_scaling"],
        result=result,
        caption_texts=[text_of[caption_id] for caption_id in scores.matrix.caption_ids],
        calibration=scores.calibration,
        run_folder=evaluated.trained.folder,
        output_folder=evaluated.folder,
        events_of_clip=events_of_clips(evaluated.dataset.folder),
    )


def short_names(names: Sequence[str]) -> list[str]:
    """Names of runs without the folders that all of them share.

    >>> short_names(["study/mean/seed-1", "study/max/seed-1"]), short_names(["study/mean/seed-1"])
    (['mean/seed-1', 'max/seed-1'], ['seed-1'])
    """
    parts = [name.split("/") for name in names]
    shared = 0
    while all(len(each) > shared + 1 for each in parts) and len({each[shared] for each in parts}) == 1:
        shared += 1
    return ["/".join(each[shared:]) for each in parts]


def names_of(materials: Sequence[ChartMaterial]) -> list[str]:
    """A short name for each; that of a run which is there under several column scalings says which one."""
    names = short_names([material.name for material in materials])
    return [
        f"{name} ({material.column_scaling})" if names.count(name) > 1 else name
        for name, material in zip(names, materials, strict=True)
    ]


def absent(chart_id: str, title: str, *why: str) -> Chart:
    """A chart that cannot be drawn."""
    return Chart(chart_id, title, "", Markup(""), (), why)
