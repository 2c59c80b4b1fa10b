"""Figures of ranked lists: text to audio alone, as far as the lists tell them."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from atrkit.errors import UsageError
from atrkit.exchange.foreign import ForeignScores, RankedLists
from atrkit.exchange.list_scores import known_figures, scores_of_lists
from atrkit.metrics.duplicates import duplicate_captions
from atrkit.metrics.query_values import text_to_audio_values
from atrkit.metrics.ranking import direction_figures, tie_bounds
from atrkit.metrics.relevance import RelevantPairs, judged_pairs, own_pairs, same_text_pairs
from atrkit.metrics.tie_blocks import PairRanks, text_to_audio_ranks
from atrkit.score_matrix import BlockedScores, IntArray
from atrkit.workflows.judged_figures import graded_figures, graded_tie_bounds, relevance_record
from atrkit.workflows.judgements import Judgements
from atrkit.workflows.retrieval_figures import FigureOptions, intervals_of


def list_figures(foreign: ForeignScores, options: FigureOptions, judgements: Judgements | None) -> dict[str, Any]:
    """What results hold of lists of the best clips; a figure that depends on clips below them is None.

    Args:
        foreign: lists, in the ids of the truth.
        options: what is asked.
        judgements: that `options.qrels` names.

    Returns:
        As `retrieval_figures`, with None for "audio_to_text" and "hubness", and "listed": how many clips each caption
        lists at least and at most, and how many relevant clips are not listed.

    Raises:
        UsageError: an option needs every score, or texts that are not known.
    """
    assert isinstance(foreign.scores, RankedLists)
    if options.protocols:
        raise UsageError("--protocol needs every score, and these are lists of the best clips: leave it out")
    lists = _Lists(foreign.scores, foreign)
    if judgements is not None:
        return {**_by_judgements(lists, judgements, options), "audio_to_text": None, "hubness": None}
    texts = [foreign.texts[caption] for caption in lists.scores.caption_ids if caption in foreign.texts]
    are_known = len(texts) == len(lists.scores.caption_ids)
    more: dict[str, Any] = {}
    if options.dedup == "text":
        if not are_known:
            raise UsageError("--dedup text compares the words of captions, and they are not known: name --truth")
        pairs, more["dedup"] = same_text_pairs(lists.scores, texts), options.dedup
    else:
        pairs = own_pairs(lists.scores)
    if are_known:
        duplicates = duplicate_captions(lists.scores, texts)
        if options.dedup == "text":
            duplicates = replace(duplicates, ceiling_text_to_audio_R1=1.0)
        more["duplicate_captions"] = asdict(duplicates)
    figures = _direction(lists, pairs, options)
    return {
        "text_to_audio": figures,
        "audio_to_text": None,
        "hubness": None,
        "listed": lists.counts(lists.place(pairs)),
        **more,
    }


@dataclass(frozen=True, eq=False)
class _Placed:
    """Relevant clips in the rankings, and how many clips each query lists."""

    ranks: PairRanks
    listed_Q: IntArray

    def figures(self, figures_of: Callable[[PairRanks], dict[str, Any]]) -> dict[str, Any]:
        """Those that the lists tell; None in the place of others."""
        return known_figures(self.ranks, self.listed_Q, figures_of)


@dataclass(frozen=True, eq=False)
class _Lists:
    """Ranked lists of somebody else's."""

    ranked: RankedLists
    foreign: ForeignScores

    @cached_property
    def scores(self) -> BlockedScores:
        return scores_of_lists(self.ranked, self.foreign.clip_ids, self.foreign.clip_of_caption)

    @cached_property
    def listed_C(self) -> IntArray:
        return np.array([len(self.ranked.lists[caption].clip_ids) for caption in self.scores.caption_ids])

    def place(self, pairs: RelevantPairs) -> _Placed:
        return _Placed(text_to_audio_ranks(self.scores, pairs), self.listed_C[np.unique(pairs.caption_P)])

    def counts(self, placed: _Placed) -> dict[str, int]:
        ranks, listed_Q = placed.ranks, placed.listed_Q
        return {
            "least": int(listed_Q.min()),
            "most": int(listed_Q.max()),
            "relevant": len(ranks.query_P),
            "relevant_not_listed": int(np.count_nonzero(ranks.better_P == listed_Q[ranks.query_P])),
        }


def _direction(lists: _Lists, pairs: RelevantPairs, options: FigureOptions) -> dict[str, Any]:
    def figures_of(ranks: PairRanks) -> dict[str, Any]:
        figures = direction_figures(ranks.blocks, options.ks)
        if figures["tied_queries"]:
            figures["tie_bounds"] = tie_bounds(ranks.blocks, options.ks)
        values = text_to_audio_values(lists.scores, pairs, options.ks, blocks=ranks.blocks) if options.ci else None
        return figures | intervals_of(values)

    figures = lists.place(pairs).figures(figures_of)
    if options.ci:
        figures["ci"] = {name: interval for name, interval in figures["ci"].items() if interval is not None}
    return figures


def _by_judgements(lists: _Lists, judgements: Judgements, options: FigureOptions) -> dict[str, Any]:
    least_grade = options.min_grade or judgements.least_grade
    judged = judged_pairs(lists.scores, judgements.grades, least_grade)
    figures = _direction(lists, judged.pairs, options)
    placed = lists.place(judged.all_judged)
    if judgements.is_graded:
        figures |= placed.figures(lambda ranks: graded_figures(ranks, options.ks))
        bounds = placed.figures(lambda ranks: graded_tie_bounds(ranks, options.ks))
        for name, bound in figures.get("tie_bounds", {}).items():
            bound.update(bounds[name])
    return {
        "text_to_audio": figures,
        "relevance": placed.figures(lambda ranks: relevance_record(judged, judgements, least_grade, ranks)),
        "listed": lists.counts(lists.place(judged.pairs)),
    }
