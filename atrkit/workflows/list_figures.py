"""Figures of ranked lists: text to audio alone, as far as the lists tell them."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from atrkit.errors import UsageError
from atrkit.exchange.foreign import ForeignScores, RankedLists
from atrkit.exchange.list_scores import ListEnds, known_figures, list_ends, open_blocks, scores_of_lists
from atrkit.metrics.duplicates import duplicate_captions
from atrkit.metrics.query_values import text_to_audio_values
from atrkit.metrics.ranking import direction_figures, tie_bounds
from atrkit.metrics.relevance import RelevantPairs, judged_pairs, own_pairs, same_text_pairs
from atrkit.metrics.tie_blocks import PairRanks, text_to_audio_ranks
from atrkit.score_matrix import BlockedScores
from atrkit.workflows.judged_figures import graded_figures, graded_tie_bounds, graded_values, relevance_record
from atrkit.workflows.judgements import Judgements
from atrkit.workflows.retrieval_figures import FigureOptions, graded_intervals_of, intervals_of


def list_figures(foreign: ForeignScores, options: FigureOptions, judgements: Judgements | None) -> dict[str, Any]:
    """What results hold of lists of the best clips; a figure that depends on clips below them is None.

    Args:
        foreign: lists, in the ids of the truth.
        options: what is asked.
        judgements: that `options.qrels` names.

    Returns:
        As `retrieval_figures`, with None for "audio_to_text" and "hubness", and "listed": how many clips each caption
        lists at least and at most, how many relevant clips are not listed, and how many lists end with several clips of
        one score, which may have been cut there ("cut_in_ties").

    Raises:
        UsageError: an option needs every score, or texts that are not known.
    """
    assert isinstance(foreign.scores, RankedLists)
    if options.protocols:
        raise UsageError("--protocol needs every score, and these are lists of the best clips: leave it out")
    lists = _Lists(foreign.scores, foreign)
    if judgements is not None:
        judgements = judgements.fitting(lists.scores.caption_ids, lists.scores.clip_ids)
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
    """Relevant clips in the rankings, and where the list of each query ends."""

    ranks: PairRanks
    ends: ListEnds

    def figures(self, figures_of: Callable[[PairRanks], dict[str, Any]]) -> dict[str, Any]:
        """Those that the lists tell; None in the place of others."""
        return known_figures(self.ranks, self.ends, figures_of)


@dataclass(frozen=True, eq=False)
class _Lists:
    """Ranked lists of somebody else's."""

    ranked: RankedLists
    foreign: ForeignScores

    @cached_property
    def scores(self) -> BlockedScores:
        return scores_of_lists(self.ranked, self.foreign.clip_ids, self.foreign.clip_of_caption)

    def place(self, pairs: RelevantPairs) -> _Placed:
        ends = list_ends(self.scores, open_blocks(self.ranked), np.unique(pairs.caption_P))
        return _Placed(text_to_audio_ranks(self.scores, pairs), ends)

    def counts(self, placed: _Placed) -> dict[str, int]:
        ranks, listed_Q = placed.ranks, placed.ends.listed_Q
        return {
            "least": int(listed_Q.min()),
            "most": int(listed_Q.max()),
            "relevant": len(ranks.query_P),
            "relevant_not_listed": int(np.count_nonzero(ranks.better_P == listed_Q[ranks.query_P])),
            "cut_in_ties": placed.ends.open_queries,
        }


def _direction(lists: _Lists, pairs: RelevantPairs, options: FigureOptions) -> dict[str, Any]:
    def figures_of(ranks: PairRanks) -> dict[str, Any]:
        figures = direction_figures(ranks.blocks, options.ks)
        figures["tie_bounds"] = tie_bounds(ranks.blocks, options.ks)
        values = text_to_audio_values(lists.scores, pairs, options.ks, blocks=ranks.blocks) if options.ci else None
        return figures | intervals_of(values)

    figures = lists.place(pairs).figures(figures_of)
    if figures["tied_queries"] == 0:
        del figures["tie_bounds"]
    if options.ci:
        known = (name for name, interval in figures["ci"].items() if None not in (interval, figures[name]))
        figures["ci"] = {name: figures["ci"][name] for name in known}
    return figures


def _by_judgements(lists: _Lists, judgements: Judgements, options: FigureOptions) -> dict[str, Any]:
    least_grade = options.min_grade or judgements.least_grade
    judged = judged_pairs(lists.scores, judgements.grades, least_grade)
    figures = _direction(lists, judged.pairs, options)
    if judgements.is_graded:
        pairs = judged.all_judged.of_at_least(1)
        graded = lists.place(pairs)
        figures |= graded.figures(lambda ranks: graded_figures(ranks, options.ks))
        if options.ci:
            intervals = graded.figures(
                lambda ranks: graded_intervals_of(graded_values(lists.scores, pairs, ranks, options.ks))
            )
            figures["ci"] |= {name: interval for name, interval in intervals.items() if interval is not None}
        bounds = graded.figures(lambda ranks: graded_tie_bounds(ranks, options.ks))
        for name, bound in figures.get("tie_bounds", {}).items():
            bound.update(bounds[name])
    return {
        "text_to_audio": figures,
        "relevance": lists.place(judged.all_judged).figures(
            lambda ranks: relevance_record(judged, judgements, least_grade, ranks)
        ),
        "listed": lists.counts(lists.place(judged.pairs)),
    }
