"""Every figure of a score matrix, whoever made it: both directions, hubs, ties, duplicates, judgements.

`eval` of a run, of a model as it is and of somebody else's scores all come here, so that the same scores give the
same figures.
"""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from atrkit.errors import UsageError
from atrkit.metrics.duplicates import duplicate_captions
from atrkit.metrics.hubness import Hubness, audio_to_text_hubness, text_to_audio_hubness
from atrkit.metrics.protocols import PROTOCOLS, ProtocolName, protocol_figures
from atrkit.metrics.query_values import QueryValues, audio_to_text_values, text_to_audio_values
from atrkit.metrics.ranking import direction_figures, tie_bounds
from atrkit.metrics.relevance import RelevantPairs, judged_pairs, same_text_pairs
from atrkit.metrics.significance import figure_intervals
from atrkit.metrics.tie_blocks import (
    TieBlocks,
    audio_to_text_blocks,
    audio_to_text_ranks,
    text_to_audio_blocks,
    text_to_audio_ranks,
)
from atrkit.score_matrix import ScoreRows
from atrkit.workflows.judged_figures import graded_figures, graded_tie_bounds, graded_values, relevance_record
from atrkit.workflows.judgements import Judgements

Dedup = Literal["none", "text"]


@dataclass(frozen=True)
class FigureOptions:
    """What is to be computed of scores, and by which ground truth.

    Args:
        ks: cut-offs of recall.
        dedup: "text": captions with the same normalised words are relevant to each other's clips.
        qrels: file of judgements, or the name of one beside the manifest; None: each caption's own clip.
        min_grade: from which grade a judged clip counts as relevant; None: the least that the judgements call so.
        protocols: named ways of other code bases, computed beside ours.
        ci: 95 % intervals.
    """

    ks: tuple[int, ...] = (1, 5, 10)
    dedup: Dedup = "none"
    qrels: str | None = None
    min_grade: int | None = None
    protocols: tuple[ProtocolName, ...] = ()
    ci: bool = False

    def __post_init__(self) -> None:
        """Refuse ground truths that contradict each other."""
        if self.min_grade is not None and self.qrels is None:
            raise UsageError("--min-grade is of --qrels: name the judgements, or leave it out")
        if self.qrels is not None and self.dedup != "none":
            raise UsageError("--qrels says what is relevant, and so does --dedup text: say one of the two")
        if self.protocols and (self.qrels is not None or self.dedup != "none"):
            other = "--qrels" if self.qrels is not None else "--dedup text"
            raise UsageError(f"--protocol: other code bases know each caption's own clip alone; leave out {other}")

    def differing(self) -> dict[str, bool]:
        """Which of the options were said, by the name that users know."""
        names = {"ks": "-k", "dedup": "--dedup", "qrels": "--qrels", "min_grade": "--min-grade"}
        names |= {"protocols": "--protocol", "ci": "--ci"}
        return {option: getattr(self, name) != getattr(DEFAULT_FIGURES, name) for name, option in names.items()}

    @property
    def results_name(self) -> str:
        """The file beside the scores that results go to: `results.json` where every figure means what it usually does.

        Other ground truths, cut-offs and protocols have files of their own, so that nobody who reads `results.json`
        later takes their figures for the usual ones. Intervals change none.

        Example:
            >>> FigureOptions(ci=True).results_name, FigureOptions(dedup="text", ks=(1, 50)).results_name
            ('results.json', 'results.dedup-text.k-1-50.json')
            >>> FigureOptions(qrels="judged/dcase 2025.tsv", min_grade=2).results_name
            'results.qrels-dcase_2025.tsv.grade-2.json'
        """
        parts = []
        if self.qrels is not None:
            parts.append("qrels-" + re.sub(r"[^\w.-]", "_", Path(self.qrels).name))
        if self.min_grade is not None:
            parts.append(f"grade-{self.min_grade}")
        if self.dedup != "none":
            parts.append(f"dedup-{self.dedup}")
        if self.ks != DEFAULT_FIGURES.ks:
            parts.append(f"k-{'-'.join(map(str, self.ks))}")
        if self.protocols:
            parts.append(f"protocol-{'-'.join(self.protocols)}")
        return ".".join(["results", *parts, "json"])


DEFAULT_FIGURES = FigureOptions()


def retrieval_figures(
    raw: ScoreRows,
    scaled: ScoreRows | None = None,
    *,
    caption_texts: Sequence[str] | None,
    options: FigureOptions = DEFAULT_FIGURES,
    judgements: Judgements | None = None,
) -> dict[str, Any]:
    """What results hold of a score matrix.

    Scaling a column does not change the order of clips in it: text-to-audio is ranked by the raw scores.

    Args:
        raw: as they were made, higher is better.
        scaled: what audio-to-text ranks by where columns are scaled; None: the raw scores.
        caption_texts: in the order of the captions; None: not known.
        options: what is asked.
        judgements: that `options.qrels` names; they are of clips for captions, so "audio_to_text" is None with them.

    Returns:
        "text_to_audio" and "audio_to_text" ("audio_to_text_raw" where columns are scaled), "hubness",
        "duplicate_captions" where texts are known, "protocols" where asked for, "relevance" with judgements.

    Raises:
        UsageError: the captions' texts are needed and not known, or no judged caption has a relevant clip here.
    """
    assert (judgements is None) == (options.qrels is None)
    hubness = {"hubness": {name: asdict(hubness) for name, hubness in _hubness(raw, scaled).items()}}
    if judgements is not None:
        judgements = judgements.fitting(raw.caption_ids, raw.clip_ids)
        return {**_by_judgements(raw, judgements, options), **hubness}
    pairs = None if options.dedup == "none" else same_text_pairs(raw, _required(caption_texts))
    to_text = raw if scaled is None else scaled
    figures: dict[str, Any] = {
        "text_to_audio": _text_to_audio(raw, pairs, options),
        "audio_to_text": _audio_to_text(to_text, pairs, options),
    }
    if scaled is not None:
        figures["audio_to_text_raw"] = _audio_to_text(raw, pairs, options)
    if options.dedup != "none":
        figures["dedup"] = options.dedup
    figures |= hubness
    if caption_texts is not None:
        duplicates = duplicate_captions(raw, caption_texts)
        if options.dedup == "text":
            duplicates = replace(duplicates, ceiling_text_to_audio_R1=1.0)
        figures["duplicate_captions"] = asdict(duplicates)
    if options.protocols:
        ranks = text_to_audio_ranks(raw), audio_to_text_ranks(to_text)
        figures["protocols"] = [asdict(protocol_figures(protocol, *ranks)) for protocol in options.protocols]
    return figures


def _hubness(raw: ScoreRows, scaled: ScoreRows | None) -> dict[str, Hubness]:
    hubs = {"text_to_audio": text_to_audio_hubness(raw), "audio_to_text": audio_to_text_hubness(scaled or raw)}
    return hubs if scaled is None else {**hubs, "audio_to_text_raw": audio_to_text_hubness(raw)}


def _by_judgements(raw: ScoreRows, judgements: Judgements, options: FigureOptions) -> dict[str, Any]:
    """Text to audio over the judged captions."""
    least_grade = options.min_grade or judgements.least_grade
    judged = judged_pairs(raw, judgements.grades, least_grade)
    ranks = text_to_audio_ranks(raw, judged.all_judged)
    figures = _text_to_audio(raw, judged.pairs, options)
    if judgements.is_graded:
        figures |= graded_figures(ranks, options.ks)
        if options.ci:
            figures["ci"] |= graded_intervals_of(graded_values(raw, judged.all_judged, ranks, options.ks))
        of_grades = graded_tie_bounds(ranks, options.ks)
        if figures["tied_queries"] or of_grades["optimistic"] != of_grades["pessimistic"]:
            bounds = tie_bounds(text_to_audio_blocks(raw, judged.pairs), options.ks)
            figures["tie_bounds"] = {name: {**bound, **of_grades[name]} for name, bound in bounds.items()}
    record = relevance_record(judged, judgements, least_grade, ranks)
    return {"text_to_audio": figures, "audio_to_text": None, "relevance": record}


def _text_to_audio(scores: ScoreRows, pairs: RelevantPairs | None, options: FigureOptions) -> dict[str, Any]:
    blocks = text_to_audio_blocks(scores, pairs)
    values = text_to_audio_values(scores, pairs, options.ks, blocks=blocks) if options.ci else None
    return {**_direction(blocks, options), **intervals_of(values)}


def _audio_to_text(scores: ScoreRows, pairs: RelevantPairs | None, options: FigureOptions) -> dict[str, Any]:
    blocks = audio_to_text_blocks(scores, pairs)
    values = audio_to_text_values(scores, pairs, options.ks, blocks=blocks) if options.ci else None
    return {**_direction(blocks, options), **intervals_of(values)}


def intervals_of(values: QueryValues | None) -> dict[str, Any]:
    """Entries of a direction: "ci", the 95 % interval of each figure, the same whoever computes it, and "ci_clips".

    One clip drawn again and again is always the same: it has no interval, and None stands in the place of each.
    Nothing without values.
    """
    if values is None:
        return {}
    intervals = figure_intervals(values, np.random.default_rng(0))
    ci = {name: None if interval is None else list(interval) for name, interval in intervals.items()}
    return {"ci": ci, "ci_clips": len(np.unique(values.clip_Q))}


def graded_intervals_of(values: QueryValues) -> dict[str, list[float] | None]:
    """95 % interval of each nDCG@k."""
    intervals: dict[str, list[float] | None] = intervals_of(values)["ci"]
    return {name: intervals[name] for name in values.values}


def _direction(blocks: TieBlocks, options: FigureOptions) -> dict[str, Any]:
    """Figures of one direction, with those that ties could make at best and at worst where there are any."""
    figures = direction_figures(blocks, options.ks)
    return {**figures, "tie_bounds": tie_bounds(blocks, options.ks)} if figures["tied_queries"] else figures


def _required(caption_texts: Sequence[str] | None) -> Sequence[str]:
    if caption_texts is None:
        raise UsageError("--dedup text compares the words of captions, and these scores come without: name --truth")
    return caption_texts


def parse_cutoffs(wanted: str) -> tuple[int, ...]:
    """Cut-offs of recall, each once, the lowest first.

    Raises:
        UsageError: one of them is no positive whole number.

    Example:
        >>> parse_cutoffs("10,1,5")
        (1, 5, 10)
    """
    words = [word.strip() for word in wanted.split(",")]
    if not all(word.isdecimal() and int(word) for word in words):
        raise UsageError(f"-k {wanted}: cut-offs are positive whole numbers with commas between them, as 1,5,10")
    return tuple(sorted({int(word) for word in words}))


def parse_names(wanted: Sequence[str], there_are: Sequence[str], option: str) -> list[Any]:
    """Names that an option lists, each once, in the order in which they are said; `a,b` counts as two.

    Raises:
        UsageError: lists those there are.

    Example:
        >>> parse_names(["qrels, trec", "trec"], ["trec", "qrels", "ranks"], "--format")
        ['qrels', 'trec']
    """
    names = [name.strip() for words in wanted for name in words.split(",")]
    for name in names:
        if name not in there_are:
            raise UsageError(f"{option} {name!r}: there are {', '.join(there_are)}")
    return list(dict.fromkeys(names))


def parse_protocols(wanted: Sequence[str]) -> tuple[ProtocolName, ...]:
    """Protocols by name, each once and in our order; `a,b` counts as two, `all` as every one.

    Raises:
        UsageError: lists those there are.

    Example:
        >>> parse_protocols(["mteb,laion", "laion"])
        ('laion', 'mteb')
    """
    names = parse_names(wanted, (*PROTOCOLS, "all"), "--protocol")
    return tuple(protocol for protocol in PROTOCOLS if protocol in names or "all" in names)
