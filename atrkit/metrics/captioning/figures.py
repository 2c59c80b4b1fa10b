"""Caption metrics: figures of written captions against references, and what could not be computed and why."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from atrkit.errors import UsageError
from atrkit.metrics.captioning.catalogue import NEED_TWO_CLIPS, Lack
from atrkit.metrics.captioning.compute import PARTS_OF, Parts, PartScores
from atrkit.metrics.captioning.library import import_aac_metrics
from atrkit.metrics.captioning.tokens import Tokenised, TokenizerName, tokenise
from atrkit.metrics.captioning.tools import MetricTools, check_metric_names

_ONE_CLIP = Lack(
    "CIDEr-D weighs words by the number of clips that have them, and there is one clip", "score two clips or more"
)


@dataclass(frozen=True)
class CaptionFigures:
    """What is known of a set of captions.

    Args:
        figures: by name, in the order of `CAPTION_METRICS`; higher is better, but for "fer" (the share of captions
            with an error of fluency) and the two that only describe ("vocabulary_size", "mean_words").
        not_computed: by name, what each lacks and what mends it.
        clips: how many were scored.
        tokenizer: what all of these figures were made with.
        tokenizer_reason: why it is not the PTB tokenizer; None where it is.
        dropped_references: references without a word.
        empty_candidates: captions without a word; they are scored, and badly.
    """

    figures: dict[str, float]
    not_computed: dict[str, tuple[Lack, ...]]
    clips: int
    tokenizer: TokenizerName
    tokenizer_reason: Lack | None
    dropped_references: int
    empty_candidates: int


def caption_figures(
    candidates: Sequence[str],
    references: Sequence[Sequence[str]],
    *,
    metrics: Sequence[str] | None = None,
    tools: MetricTools | None = None,
    on_remark: Callable[[str], None] | None = None,
) -> CaptionFigures:
    """Score written captions against references with aac-metrics.

    Some metrics need Java, jars or models that no Python package installs. What cannot run is listed with what is
    missing, and nothing is fetched: `atrkit download metrics` does that.

    Args:
        candidates: one caption for each clip.
        references: captions by people for each clip, in the same order; their number may differ.
        metrics: names of `CAPTION_METRICS`; None: all.
        tools: where Java, jars and models are, and models that are loaded already; None: as they are found.
        on_remark: told what else a reader of the figures should know.

    Returns:
        The figures, as aac-metrics computes them (SPIDEr and SPIDEr-FL are put together here, so that SPICE runs
        once), and what was not computed.

    Raises:
        UsageError: no such metric, no clip, numbers that do not fit, or a clip without a reference.

    Sources: BLEU, ROUGE-L, METEOR, CIDEr-D, SPICE and SPIDEr as in coco-caption; FENSE, Zhou et al. 2022, and
    SPIDEr-FL, DCASE 2023 task 6a. What is said of a metric that fails is our choice.
    """
    names = check_metric_names(metrics)
    _check(candidates, references)
    tools = tools or MetricTools()
    import_aac_metrics()
    captions = tokenise(candidates, references, tools.usable_java, tools.cache, tools.lack_of_ptb)
    for line in _remarks(captions, len(candidates)):
        (on_remark or _ignore)(line)
    if empty := [position for position, texts in enumerate(captions.references) if not texts]:
        raise UsageError(f"clip {empty[0] + 1} of {len(candidates)} has no reference with a word in it")
    parts = Parts(captions, tools)
    figures: dict[str, float] = {}
    not_computed: dict[str, tuple[Lack, ...]] = {}
    for name in names:
        match _figure(name, parts, tools, len(candidates)):
            case float(value):
                figures[name] = value
            case lacks:
                not_computed[name] = lacks
    return CaptionFigures(
        figures,
        not_computed,
        len(candidates),
        captions.tokenizer,
        captions.reason,
        captions.dropped_references,
        captions.candidates.count(""),
    )


def _figure(name: str, parts: Parts, tools: MetricTools, clips: int) -> float | tuple[Lack, ...]:
    one_clip = (_ONE_CLIP,) if clips == 1 and name in NEED_TWO_CLIPS else ()
    if lacks := (*one_clip, *tools.lacks(name)):
        return lacks
    scores = [parts.scores(part) for part in PARTS_OF.get(name, (name,))]
    if failures := tuple(part for part in scores if isinstance(part, Lack)):
        return failures
    value = parts.figure(name, [part for part in scores if isinstance(part, PartScores)])
    if not math.isfinite(value):
        return (Lack(f"{name} came out as no number ({value})", "look at captions without words, or report it"),)
    return value


def _check(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> None:
    if not candidates:
        raise UsageError("there is no caption to score")
    if len(candidates) != len(references):
        raise UsageError(f"{len(candidates)} captions and references of {len(references)} clips do not fit")
    if any(isinstance(texts, str) for texts in references):
        raise UsageError("the references of a clip are a list of captions, not one caption")


def _remarks(captions: Tokenised, clips: int) -> list[str]:
    lines = []
    if captions.reason is not None:
        lines.append(
            "captions are split at spaces, not by the PTB tokenizer, so that figures compare only with others made "
            f"so: {captions.reason.what}"
        )
    if captions.dropped_references:
        lines.append(f"{captions.dropped_references} references without a word are left out")
    if empty := captions.candidates.count(""):
        lines.append(f"{empty} of {clips} captions have no word; they are scored as they are")
    return lines


def _ignore(*_: object) -> None:
    """Nobody listens."""
