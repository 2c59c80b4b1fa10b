"""Which figures systems have in common where some of them are ranked lists of the best clips."""

from collections.abc import Sequence

import numpy as np

from atrkit.errors import UsageError
from atrkit.exchange.list_scores import known_figures
from atrkit.metrics.ranking import figures_of
from atrkit.metrics.relevance import RelevantPairs, own_pairs
from atrkit.metrics.tie_blocks import text_to_audio_ranks
from atrkit.score_matrix import IntArray, ScoreRows
from atrkit.workflows.compared_system import Member


def figures_known_of(
    members: Sequence[tuple[Member, RelevantPairs | None]], figures: Sequence[str], ks: Sequence[int]
) -> tuple[str, ...]:
    """Text-to-audio figures that do not depend on clips below any of the lists.

    Args:
        members: with the pairs that are relevant.
        figures: that are wanted.
        ks: cut-offs of recall.

    Raises:
        UsageError: there is none; names a list.
    """
    known = set(figures)
    for member, pairs in members:
        if member.is_list:
            of_list = _known(member.scores, own_pairs(member.scores) if pairs is None else pairs, ks)
            known &= of_list
            if not known:
                raise UsageError(
                    f"{member.name} lists too few clips for any of {', '.join(figures)}: nothing to compare"
                )
    return tuple(name for name in figures if name in known)


def _known(scores: ScoreRows, pairs: RelevantPairs, ks: Sequence[int]) -> set[str]:
    listed_Q = _listed(scores)[np.unique(pairs.caption_P)]
    found = known_figures(text_to_audio_ranks(scores, pairs), listed_Q, lambda ranks: figures_of(ranks.blocks, ks))
    return {name for name, value in found.items() if value is not None}


def _listed(scores: ScoreRows) -> IntArray:
    """How many clips each caption lists, (C,)."""
    listed_C = np.zeros(len(scores.caption_ids), dtype=np.int64)
    for block in scores.row_blocks():
        listed_C += np.count_nonzero(block > -np.inf, axis=0)
    return listed_C
