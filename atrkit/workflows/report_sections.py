"""The parts of a report that belong to one run: from its evaluation and its records to what the page shows."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from markupsafe import Markup

from atrkit.datasets.manifest import Clip
from atrkit.errors import IntegrityError
from atrkit.reports.charts.chart import Chart
from atrkit.reports.page.content import Examples, RunSection, Table
from atrkit.reports.page.tables import perturbation_table_of, recall_table_of
from atrkit.reports.recall_notes import trained_on_note
from atrkit.score_matrix import ScoreMatrix
from atrkit.scoring.scaling import audio_to_text_matrix
from atrkit.workflows.evaluate import Evaluated
from atrkit.workflows.evaluate_perturbations import RESULTS_NAME as PERTURBATION_NAME
from atrkit.workflows.evaluate_recall import RecallEvaluation
from atrkit.workflows.report_examples import audio_to_text_examples, text_to_audio_examples
from atrkit.workflows.report_facts import facts_of, recipe_text
from atrkit.workflows.report_figures import ChartMaterial, material_of_run, run_charts
from atrkit.workflows.score import Scores
from atrkit.workflows.workspace import read_record

_CHARTS_OF_PART = {"hubs": ("hub-captions", "first-place-shares"), "perturbation": ("perturbations",)}
_SCORES = {
    "cosine": "cosine",
    "cross_entropy": "minus the cross-entropy of the caption, in nats per token",
}


@dataclass(frozen=True, eq=False)
class ReportedRun:
    """A run that was evaluated for the page, without its embeddings: those of many runs would fill the memory.

    Args:
        evaluated: the run, dataset and split.
        result: the JSON object of its evaluation.
        scores: of every clip with every caption.
        clips: those that were scored, by id, with their captions as written.
        charts_from: what its charts are drawn from.
    """

    evaluated: Evaluated
    result: dict[str, Any]
    scores: Scores
    clips: dict[str, Clip]
    charts_from: ChartMaterial

    @property
    def name(self) -> str:
        """How tables call it."""
        return self.evaluated.trained.name

    @property
    def anchor(self) -> str:
        """Of its section."""
        return anchor_of(self.name)

    @cached_property
    def ranked(self) -> ScoreMatrix:
        """What audio to text ranks by."""
        calibration = None if self.scores.calibration is None else self.scores.calibration.loss_KC
        return audio_to_text_matrix(self.scores.matrix, self.result["column_scaling"], calibration)

    def key_of(self, clip_id: str) -> str:
        """How the page calls a clip's audio: the same for every run on this dataset."""
        return f"{self.evaluated.dataset.name}/{clip_id}"


def reported_run(evaluated: Evaluated, recall: RecallEvaluation) -> ReportedRun:
    """Keep of an evaluation, with one column scaling, what the page needs."""
    result = recall.results[0]
    material = material_of_run(evaluated, recall.scores, recall.clips, result)
    return ReportedRun(evaluated, result, recall.scores, {clip.id: clip for clip in recall.clips.clips}, material)


def anchor_of(name: str) -> str:
    """An anchor on a page: letters, digits and hyphens, another one for another name.

    >>> anchor_of("pooling/mean/seed-1"), anchor_of("regen / rain")
    ('run-pooling_2Fmean_2Fseed-1', 'run-regen_20_2F_20rain')
    """
    return "run-" + re.sub(r"[^A-Za-z0-9.-]", lambda match: "".join(f"_{byte:02X}" for byte in match[0].encode()), name)


def section_of(run: ReportedRun, examples: int, example_note: str = "") -> RunSection:
    """All that the page says of one run.

    Args:
        run: with its evaluation.
        examples: queries of each kind; 0: none.
        example_note: stands above them, or in their place.
    """
    charts = [_of_run(chart, run.anchor) for chart in run_charts(run.charts_from)]
    placed = {part: [chart for chart in charts if chart.id.endswith(names)] for part, names in _CHARTS_OF_PART.items()}
    elsewhere = [chart for of_part in placed.values() for chart in of_part]
    perturbation, perturbation_note = _perturbation(run)
    shown = _examples(run, examples) if examples else ()
    return RunSection(
        anchor=run.anchor,
        name=run.name,
        facts=facts_of(run.evaluated, run.result),
        recipe=recipe_text(run.evaluated.trained),
        warnings=tuple(trained_on_note(run.result)),
        recall=recall_table_of(run.result),
        charts=tuple(chart for chart in charts if chart not in elsewhere),
        hub_charts=tuple(placed["hubs"]),
        perturbation_charts=tuple(placed["perturbation"]),
        perturbation=perturbation,
        perturbation_note=perturbation_note,
        examples=shown,
        example_note=example_note,
    )


def _of_run(chart: Chart, anchor: str) -> Chart:
    """The chart with ids of its own: several runs are on one page, and their charts are called alike."""

    def of_run(attribute: re.Match[str]) -> str:
        return attribute[0].replace(f"{chart.id}-", f"{anchor}-{chart.id}-")

    svg = re.sub(r'\b(?:id|aria-labelledby|aria-describedby)="[^"]*"', of_run, chart.svg)
    return replace(chart, id=f"{anchor}-{chart.id}", svg=Markup(svg))


def _perturbation(run: ReportedRun) -> tuple[Table | None, str]:
    """What `eval --metric perturbation` found when it was run; nothing is computed here, as it takes long."""
    path = run.evaluated.folder / PERTURBATION_NAME
    about = run.evaluated.about
    command = "atrkit eval --metric perturbation --run {run} --dataset {dataset} --split {split}".format(**about)
    if not path.is_file():
        return None, f"Not computed for this run; make it: {command}"
    try:
        result: Mapping[str, Any] = read_record(path, ("perturbation",))
    except IntegrityError:
        return None, f"{path.name} is damaged; make it again: {command}"
    return perturbation_table_of(result), (
        "How often a clip gives its caption a better score than the same caption with another relation of its events."
    )


def _examples(run: ReportedRun, examples: int) -> tuple[Examples, ...]:
    clips, raw, scaling = run.clips, run.scores.matrix, run.result["column_scaling"]
    key_of = {clip_id: run.key_of(clip_id) for clip_id in clips}
    score_name = f"Score: {_SCORES.get(run.result['scoring'], run.result['scoring'])}, higher is better."
    scaled = "" if scaling == "none" else f" Captions are ranked by {scaling} of each column, not by this score alone."
    return (
        text_to_audio_examples(raw, clips, examples, key_of=key_of, score_name=score_name),
        audio_to_text_examples(raw, run.ranked, clips, examples, key_of=key_of, score_name=score_name + scaled),
    )
