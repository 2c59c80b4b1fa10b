"""Score written captions against references, beside the caption that is always a fair guess."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from atrkit.errors import UsageError
from atrkit.metrics.captioning import CaptionFigures, MetricTools, caption_figures, check_metric_names
from atrkit.metrics.captioning.library import aac_metrics_version
from atrkit.reports.counting import counted
from atrkit.text.normalise import normalise_caption
from atrkit.workflows.session import Session


def evaluate_captions(
    session: Session,
    candidates: Mapping[str, str],
    references: Mapping[str, Sequence[str]],
    *,
    metrics: Sequence[str] | None = None,
    baseline_captions: Sequence[str] | None = None,
    tools: MetricTools | None = None,
) -> dict[str, Any]:
    """Compute all caption metrics that run on this machine.

    Args:
        session: told what a reader of the figures should know.
        candidates: the written caption of each clip.
        references: captions by people of the same clips.
        metrics: names of `CAPTION_METRICS`; None: all.
        baseline_captions: captions of the training split; the one that occurs most often (of several the first in the
            alphabet) is scored as the caption of every clip, to show what a captioner must beat.
        tools: where Java, jars and models are; None: as they are found.

    Returns:
        For JSON: "clips", "references", "tokenizer" and, where it is not "ptb", "tokenizer_reason"; "figures" by
        name; "not_computed": metric, and for each reason what is missing, the fix, and both in
        short ("need", "steps", "fetch_mb"); "baseline": caption, count and
        figures, or null; "versions" of aac-metrics and Java, or null for Java.

    Raises:
        UsageError: the clips of candidates and references are not the same, or there is no such metric.
    """
    names = check_metric_names(metrics)
    _require_same_clips(candidates, references)
    clip_ids = sorted(candidates)
    written, of_people = [candidates[clip_id] for clip_id in clip_ids], [references[clip_id] for clip_id in clip_ids]
    common = most_frequent_caption(baseline_captions) if baseline_captions is not None else None
    tools = tools or MetricTools()
    # no bar: the first of the metrics waits for imports, most of the others take a moment, and SPICE takes minutes
    session.say(f"scoring {counted(len(clip_ids), 'caption')} with aac-metrics: seconds, or minutes where SPICE runs")
    scored = caption_figures(written, of_people, metrics=names, tools=tools, on_remark=session.say)
    baseline = None
    if common is not None:
        always = [common[0]] * len(clip_ids)
        guessed = caption_figures(always, of_people, metrics=names, tools=tools)
        baseline = {"caption": common[0], "count": common[1], "figures": guessed.figures}
    java = tools.usable_java
    return {
        "clips": scored.clips,
        "references": sum(map(len, of_people)) - scored.dropped_references,
        "tokenizer": scored.tokenizer,
        "tokenizer_reason": scored.tokenizer_reason.record if scored.tokenizer_reason is not None else None,
        "empty_candidates": scored.empty_candidates,
        "figures": scored.figures,
        "not_computed": _reasons(scored),
        "baseline": baseline,
        "versions": {"aac_metrics": aac_metrics_version(), "java": java.version if java is not None else None},
    }


def most_frequent_caption(captions: Sequence[str]) -> tuple[str, int]:
    """The caption that occurs most often, normalised, and how often; of several the first in the alphabet.

    >>> most_frequent_caption(["Rain falls.", "a dog barks", "rain falls", "A dog barks!"])
    ('a dog barks', 2)

    Raises:
        UsageError: there is no caption with a word in it.
    """
    counts = Counter(normalise_caption(caption) for caption in captions)
    del counts[""]
    if not counts:
        raise UsageError("there is no training caption to take the most frequent one from")
    caption, count = min(counts.items(), key=lambda item: (-item[1], item[0]))
    return caption, count


def _require_same_clips(candidates: Mapping[str, str], references: Mapping[str, Sequence[str]]) -> None:
    for some, others, what in ((candidates, references, "references"), (references, candidates, "written caption")):
        if lacking := sorted(some.keys() - others.keys()):
            raise UsageError(f"{len(lacking)} of {len(some)} clips have no {what}, {lacking[0]!r} the first")


def _reasons(scored: CaptionFigures) -> list[dict[str, Any]]:
    return [{"metric": name, "reasons": [lack.record for lack in lacks]} for name, lacks in scored.not_computed.items()]
