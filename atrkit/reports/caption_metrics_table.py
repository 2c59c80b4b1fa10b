"""The table of caption metrics: what was written beside the caption that is always a fair guess."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from atrkit.reports.counting import counted
from atrkit.reports.lacks import brief_lacks_view
from atrkit.reports.style import RULED

_LABELS = {
    "bleu_1": "BLEU-1",
    "bleu_2": "BLEU-2",
    "bleu_3": "BLEU-3",
    "bleu_4": "BLEU-4",
    "rouge_l": "ROUGE-L",
    "meteor": "METEOR",
    "cider_d": "CIDEr-D",
    "spice": "SPICE",
    "spider": "SPIDEr",
    "sbert_sim": "SBERT-sim",
    "fer": "fluency errors",
    "fense": "FENSE",
    "spider_fl": "SPIDEr-FL",
    "vocabulary_size": "words used",
    "mean_words": "words/caption",
}
_LOWER_IS_BETTER = ("fer",)
_DESCRIPTIONS = ("vocabulary_size", "mean_words")


def caption_metrics_table(results: Sequence[Mapping[str, Any]]) -> RenderableType:
    """One table for each result: a row for each metric, and a column for the baseline where there is one.

    Args:
        results: objects of `evaluate_captions`; "run", "dataset" and "split" are shown where they are there.

    Returns:
        Something that a rich console prints; reads well in 80 columns and without colour.
    """
    parts: list[RenderableType] = []
    for result in results:
        if parts:
            parts.append(Text())
        parts += [_title(result), _table(result), *(Text(note, overflow="fold") for note in _notes(result))]
        parts += _what_is_missing(result)
    return Group(*parts)


def _title(result: Mapping[str, Any]) -> Text:
    title = Text()
    if "run" in result:
        title.append(f"{result['run']} on {result.get('dataset', '?')}/{result.get('split', '?')}\n", style="bold")
    size = f"{counted(result['clips'], 'clip')}, {counted(result['references'], 'reference')}"
    return title.append(f"{size}; tokenizer: {result['tokenizer']}; metrics in %")


def _table(result: Mapping[str, Any]) -> Table:
    baseline = (result.get("baseline") or {}).get("figures")
    table = Table(box=RULED, show_edge=False, pad_edge=False, header_style="")
    table.add_column("metric", no_wrap=True)
    table.add_column("captioner", justify="right", no_wrap=True)
    if baseline is not None:
        table.add_column("baseline", justify="right", no_wrap=True)
    shown = {name: value for name, value in result["figures"].items() if name not in _DESCRIPTIONS}
    described = {name: value for name, value in result["figures"].items() if name in _DESCRIPTIONS}
    for figures in (shown, described):
        for name, value in figures.items():
            cells = [_value(name, value), *([_value(name, baseline.get(name))] if baseline is not None else [])]
            table.add_row(_label(name), *cells, style="bold" if name in shown else "")
        table.add_section()
    return table


def _label(name: str) -> str:
    return _LABELS.get(name, name) + (" (lower is better)" if name in _LOWER_IS_BETTER else "")


def _value(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    if name == "vocabulary_size":
        return f"{value:,.0f}"
    if name == "mean_words":
        return f"{value:.1f}"
    return f"{100 * value:.1f}"


def _notes(result: Mapping[str, Any]) -> Iterator[str]:
    baseline = result.get("baseline")
    if baseline is not None:
        times = counted(baseline["count"], "time")
        yield ""
        yield f'baseline: "{baseline["caption"]}" for every clip, the most frequent training caption ({times})'
    if result.get("tokenizer_reason") is not None:
        yield ""
        yield "tokenizer: captions are split at spaces; published figures are made with the PTB tokenizer"


def _what_is_missing(result: Mapping[str, Any]) -> list[RenderableType]:
    """Names first, then the commands that bring everything, then what only one of them has."""
    lacks = [
        (_LABELS.get(entry["metric"], entry["metric"]), reason)
        for entry in result["not_computed"]
        for reason in entry["reasons"]
    ]
    of_tokenizer = result.get("tokenizer_reason")
    heading: list[RenderableType] = []
    if lacks:
        heading.append(Text(f"\nnot computed: {', '.join(dict.fromkeys(name for name, _ in lacks))}"))
    if of_tokenizer is not None:
        lacks.append(("tokenizer", of_tokenizer))
    return [*heading, *brief_lacks_view(lacks)]
