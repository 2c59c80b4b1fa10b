"""The parts of a report that belong to one run: from its evaluation and its records to what the page shows."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy.typing as npt
from markupsafe import Markup

from atrkit.datasets.manifest import Clip, Dataset
from atrkit.errors import IntegrityError
from atrkit.reports.charts.chart import Chart
from atrkit.reports.page.content import Examples, Fact, RunSection, Table
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
from atrkit.workflows.trained_run import TrainedRun
from atrkit.workflows.workspace import read_record

_CHARTS_OF_PART = {"hubs": ("hub-captions", "first-place-shares"), "perturbation": ("perturbations",)}
_SCORES = {
    "cosine": "cosine",
    "cross_entropy": "minus the cross-entropy of the caption, in nats per token",
}


@dataclass(frozen=True, eq=False)
class Reported:
    """What was evaluated for the page, without embeddings: those of many runs would fill the memory.

    Args:
        name: how tables call it.
        result: the JSON object of its evaluation, with one column scaling.
        matrix: scores of every clip with every caption, as they were made.
        loss_KC: losses of calibration clips, for scalings that compare with such.
        clips: those that were scored, by id, with their captions as written.
        dataset: where their audio is; None: not known.
        facts: what was run.
        charts_from: what its charts are drawn from.
        trained: the run; None: scores made elsewhere.
    """

    name: str
    result: dict[str, Any]
    matrix: ScoreMatrix
    loss_KC: npt.NDArray[Any] | None
    clips: dict[str, Clip]
    dataset: Dataset | None
    facts: tuple[Fact, ...]
    charts_from: ChartMaterial
    trained: TrainedRun | None

    @property
    def anchor(self) -> str:
        """Of its section."""
        return anchor_of(self.name)

    @cached_property
    def ranked(self) -> ScoreMatrix:
        """What audio to text ranks by."""
        return audio_to_text_matrix(self.matrix, self.result["column_scaling"], self.loss_KC)

    def key_of(self, clip_id: str) -> str:
        """How the page calls a clip's audio: the same for every run on this dataset."""
        return f"{self.result['dataset']}/{clip_id}"


def reported_run(evaluated: Evaluated, recall: RecallEvaluation) -> Reported:
    """Keep of an evaluation, with one column scaling, what the page needs."""
    result, scores = recall.results[0], recall.scores
    return Reported(
        name=evaluated.trained.name,
        result=result,
        matrix=scores.matrix,
        loss_KC=None if scores.calibration is None else scores.calibration.loss_KC,
        clips={clip.id: clip for clip in recall.clips.clips},
        dataset=evaluated.dataset,
        facts=facts_of(evaluated, result),
        charts_from=material_of_run(evaluated, scores, recall.clips, result),
        trained=evaluated.trained,
    )


def anchor_of(name: str) -> str:
    """An anchor on a page: letters, digits and hyphens, another one for another name.

    >>> anchor_of("pooling/mean/seed-1"), anchor_of("regen / rain")
    ('run-pooling_2Fmean_2Fseed-1', 'run-regen_20_2F_20rain')
    """
    return "run-" + re.sub(r"[^A-Za-z0-9.-]", lambda match: "".join(f"_{byte:02X}" for byte in match[0].encode()), name)


def section_of(run: Reported, examples: int, example_note: str = "") -> RunSection:
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
        facts=run.facts,
        recipe="" if run.trained is None else recipe_text(run.trained),
        warnings=tuple(trained_on_note(run.result)),
        recall=recall_table_of(run.result),
        charts=tuple(chart for chart in charts if chart not in elsewhere),
        hub_charts=tuple(placed["hubs"]),
        # their numbers stand in the table below
        perturbation_charts=tuple(replace(chart, table=()) for chart in placed["perturbation"]),
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


def _perturbation(run: Reported) -> tuple[Table | None, str]:
    """What `eval --metric perturbation` found when it was run; nothing is computed here, as it takes long."""
    if run.charts_from.output_folder is None:
        return None, "Not computed: that needs a model, which scores captions that were changed."
    path = run.charts_from.output_folder / PERTURBATION_NAME
    command = "atrkit eval --metric perturbation --run {run} --dataset {dataset} --split {split}".format(**run.result)
    if not path.is_file():
        return None, f"Not computed for this run; make it: {command}"
    try:
        result: Mapping[str, Any] = read_record(path, ("perturbation",))
    except IntegrityError:
        return None, f"{path.name} is damaged; make it again: {command}"
    return perturbation_table_of(result), (
        "How often a clip gives its caption a better score than the same caption with another relation of its events."
    )


def _examples(run: Reported, examples: int) -> tuple[Examples, ...]:
    clips, raw, scaling = run.clips, run.matrix, run.result["column_scaling"]
    key_of = {clip_id: run.key_of(clip_id) for clip_id in clips}
    score_name = f"Score: {_SCORES.get(run.result['scoring'], run.result['scoring'])}, higher is better."
    scaled = "" if scaling == "none" else f" Captions are ranked by {scaling} of each column, not by this score alone."
    return (
        text_to_audio_examples(raw, clips, examples, key_of=key_of, score_name=score_name),
        audio_to_text_examples(raw, run.ranked, clips, examples, key_of=key_of, score_name=score_name + scaled),
    )
