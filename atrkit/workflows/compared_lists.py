"""Ranked lists of the best clips in a comparison: what they tell, and what depends on clips that are not listed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from atrkit.exchange.list_scores import list_ends, unlisted_first, unlisted_last
from atrkit.metrics.query_values import QueryValues, text_to_audio_values
from atrkit.metrics.relevance import RelevantPairs, own_pairs
from atrkit.metrics.significance import Difference, measured_figures
from atrkit.metrics.tie_blocks import PairRanks, text_to_audio_ranks
from atrkit.score_matrix import ScoreRows
from atrkit.workflows.compared_system import Member


@dataclass(frozen=True, eq=False)
class MemberValues:
    """Values of queries; of lists, with the clips that are not listed where they are best and where they are worst.

    Args:
        best: the highest that the values can be.
        worst: the lowest; where every pair has a score, the same object.
        cut_in_ties: lists that end with several clips of one score, which may have been cut there.
    """

    best: QueryValues
    worst: QueryValues
    cut_in_ties: int = 0

    @classmethod
    def of(cls, values: QueryValues) -> "MemberValues":
        """Every pair has a score."""
        return cls(values, values)

    @property
    def is_known(self) -> bool:
        """Whether every pair has a score."""
        return self.best is self.worst

    def known(self, names: Sequence[str]) -> set[str]:
        """Figures that are the same wherever the unlisted clips stand."""
        if self.is_known:
            return set(names)
        best, worst = measured_figures(self.best), measured_figures(self.worst)
        return {name for name in names if best[name] == worst[name]}


ValuesOf = Callable[[ScoreRows, RelevantPairs, PairRanks, Sequence[int]], QueryValues]


def text_to_audio_values_of(
    scores: ScoreRows, pairs: RelevantPairs, ranks: PairRanks, ks: Sequence[int]
) -> QueryValues:
    """`text_to_audio_values` of pairs whose ranks are at hand."""
    return text_to_audio_values(scores, pairs, ks, blocks=ranks.blocks)


def member_values(member: Member, pairs: RelevantPairs | None, values_of: ValuesOf, ks: Sequence[int]) -> MemberValues:
    """Text-to-audio values of one run or file.

    Args:
        member: of the comparison.
        pairs: what is relevant; None: each caption's own clip.
        values_of: makes values from ranks.
        ks: cut-offs.
    """
    scores = member.scores
    pairs = own_pairs(scores) if pairs is None else pairs
    ranks = text_to_audio_ranks(scores, pairs)
    if member.open_of is None:
        return MemberValues.of(values_of(scores, pairs, ranks, ks))
    ends = list_ends(scores, member.open_of, np.unique(pairs.caption_P))
    best, worst = (values_of(scores, pairs, placed(ranks, ends), ks) for placed in (unlisted_first, unlisted_last))
    return MemberValues(best, worst, ends.open_queries)


def agreed(lowest: Mapping[str, Difference], highest: Mapping[str, Difference]) -> dict[str, Difference | None]:
    """Differences that are the same wherever unlisted clips stand; an interval that is not has None in its place.

    A median of all ranks can be known while that of a resample is not: the interval is then invented.

    Args:
        lowest: with the compared system at its worst and the one it is compared with at its best.
        highest: the other way round.

    Example:
        >>> low, high = Difference(2.0, (1.0, 3.0), None), Difference(2.0, (1.0, 7.0), None)
        >>> agreed({"MedR": low}, {"MedR": high})["MedR"].ci is None
        True
    """
    return {name: _agreed(one, highest[name]) for name, one in lowest.items()}


def _agreed(one: Difference, other: Difference) -> Difference | None:
    if one.difference != other.difference:
        return None
    ci = one.ci if one.ci == other.ci else None
    return Difference(one.difference, ci, *((one.p, one.p_holm) if one.p == other.p else (None, None)))
