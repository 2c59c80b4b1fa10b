"""Charts of what column scaling does: scores before and after, hub captions."""

from dataclasses import replace

import numpy as np

from atrkit.reports.charts.caption_columns import caption_columns, caption_columns_chart
from atrkit.reports.charts.chart import Chart
from atrkit.reports.charts.hubs import first_place_shares_chart, first_places, hub_captions_chart
from atrkit.reports.charts.pair_scores import pair_scores, pair_scores_chart
from atrkit.workflows.report_material import ChartMaterial, Scaled, absent

_NOT_RANKED_BY = "Audio-to-text figures of this run rank by raw scores; what scaling would change is shown beside them."


def scores_before_and_after(material: ChartMaterial, scaled: Scaled | str) -> list[Chart]:
    """Scores of matching and other pairs, and of a handful of captions with all clips."""
    pairs, is_loss = material.relevant, material.is_loss
    raw_AC = -material.matrix.scores_AC if is_loss else material.matrix.scores_AC
    name = "loss" if is_loss else material.scoring.replace("_", " ")
    stages = [(f"raw {name}", raw_AC)]
    if isinstance(scaled, Scaled):
        stages.append((f"{name}, {scaled.name}", scaled.values_AC))
    found = [
        pair_scores(stage, values_AC, pairs.caption_P, pairs.clip_P, is_loss=is_loss) for stage, values_AC in stages
    ]
    drawn = [each for each in found if each is not None]
    charts = [
        pair_scores_chart(drawn)
        if drawn
        else absent("pair-scores", "Scores of matching and of other pairs", "There are no other pairs to compare with.")
    ]
    columns_id, columns_title = "caption-columns", "What single captions score with all clips"
    if not isinstance(scaled, Scaled):
        return [*charts, absent(columns_id, columns_title, scaled)]
    if len(material.matrix.clip_ids) == 1:
        return [*charts, absent(columns_id, columns_title, "There is one clip only.")]
    columns = caption_columns(
        raw_AC, scaled.values_AC, material.matrix.clip_index_of_caption_C, material.shown_texts, is_loss=is_loss
    )
    unit = "loss (nats per token)" if is_loss else name
    return [*charts, caption_columns_chart(columns, score_name=unit, scaled_name=scaled.name, is_loss=is_loss)]


def hub_charts(material: ChartMaterial, scaled: Scaled | str) -> list[Chart]:
    """Captions that are first for many clips, and how few of them take all first places."""
    clip_A = None if material.pairs is None else np.unique(material.pairs.clip_P)
    stages = [first_places("raw scores", material.matrix, clip_A)]
    notes = [scaled] if isinstance(scaled, str) else []
    if isinstance(scaled, Scaled):
        stages.append(first_places(f"{scaled.name} scores", scaled.ranking, clip_A))
        notes = [_NOT_RANKED_BY] if material.column_scaling == "none" else []
    charts = [hub_captions_chart(stages, material.shown_texts), first_place_shares_chart(stages)]
    return [replace(chart, notes=(*chart.notes, *notes)) for chart in charts]
