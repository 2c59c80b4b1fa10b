"""How sure a figure is, and a difference between two systems: clips are drawn again, captions move with their clip.

Five captions of one clip share its recording: drawn by themselves they would make every interval look narrower than
it is. So whole clips are drawn, with replacement, and systems that are compared are seen on the same draws.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from atrkit.errors import UsageError
from atrkit.metrics.bootstrap import RESAMPLES, drawn_counts, percentile_interval
from atrkit.metrics.query_values import QueryValues
from atrkit.metrics.randomisation import FLIPS, holm_adjusted, randomisation_p
from atrkit.score_matrix import IntArray

Float64Array = npt.NDArray[np.float64]
Interval = tuple[float, float]

MEDIAN_RANK = "MedR"
MEAN_RANK = "MnR"


def figure_intervals(
    values: QueryValues, generator: np.random.Generator, *, resamples: int = RESAMPLES
) -> dict[str, Interval | None]:
    """95 % interval of every figure of one direction.

    The same generator gives the same intervals, whatever the order of clips and captions. The gallery is as it is:
    drawn are the queries, by the clips that they belong to.

    Args:
        values: of every query.
        generator: of the resamples.
        resamples: how many.

    Returns:
        Figure -> (low, high) for every one in `values`, for MedR and MnR; None where all queries belong to one clip,
        which says nothing about others.

    Source: PROTOCOL.md, "Confidence".

    Example:
        >>> from atrkit import ScoreMatrix
        >>> from atrkit.metrics.query_values import text_to_audio_values
        >>> matrix = ScoreMatrix([[.9, .8], [.2, .3]], ["rain", "dog"], ["rain#1", "dog#1"], ["rain", "dog"])
        >>> figure_intervals(text_to_audio_values(matrix), np.random.default_rng(0))["R@1"]
        (0.0, 1.0)
    """
    (figures,) = resampled_figures([values], generator, resamples=resamples)
    has_several = len(np.unique(values.clip_Q)) > 1
    return {name: percentile_interval(values_R) if has_several else None for name, values_R in figures.items()}


def resampled_figures(
    systems: Sequence[QueryValues], generator: np.random.Generator, *, resamples: int = RESAMPLES
) -> list[dict[str, Float64Array]]:
    """What each system's figures are on the same resamples of clips.

    Args:
        systems: of the same queries; their order may differ.
        generator: of the resamples.
        resamples: how many.

    Returns:
        For each system figure -> (resamples,): means of its values, MedR as numpy's median of the drawn ranks, MnR.

    Raises:
        UsageError: the systems have other queries.
    """
    by_clip = [_ByClip(each) for each in systems]
    _refuse_other_queries(by_clip)
    first = by_clip[0]
    blocks = drawn_counts(
        len(first.clip_ids), generator, resamples=resamples, cells_per_resample=len(first.order_Q) + len(first.clip_ids)
    )
    parts: list[list[dict[str, Float64Array]]] = [[] for _ in systems]
    for counts_RA in blocks:
        for system, part in zip(by_clip, parts, strict=True):
            part.append(system.figures_of(counts_RA))
    return [{name: np.concatenate([block[name] for block in part]) for name in part[0]} for part in parts]


def measured_figures(values: QueryValues) -> dict[str, float]:
    """The figures that values of queries make: their means, MedR and MnR.

    Example:
        >>> ranks = np.array([1.0, 4.0])
        >>> measured_figures(QueryValues(("a", "b"), np.array([0, 1]), ("a", "b"), {"R@1": ranks == 1}, ranks))
        {'R@1': 0.5, 'MedR': 2.5, 'MnR': 2.5}
    """
    means = {name: float(np.mean(values_Q)) for name, values_Q in values.values.items()}
    ranks = values.first_rank_Q
    return {**means, MEDIAN_RANK: float(np.median(ranks)), MEAN_RANK: float(np.mean(ranks))}


@dataclass(frozen=True)
class Difference:
    """A system minus the one it is compared with.

    Args:
        difference: fractions, or ranks for MedR.
        ci: its 95 % interval, on the same resamples of clips; None where all queries belong to one clip, and where it
            is not known.
        p: two-sided, by randomisation; None for MedR, which is no mean over queries.
        p_holm: the same where several systems are compared with one; None for one system, and where p is.
    """

    difference: float
    ci: Interval | None
    p: float | None
    p_holm: float | None = field(default=None)


def compare_systems(
    systems: Sequence[Sequence[QueryValues]],
    generator: np.random.Generator,
    *,
    figures: Sequence[str] = ("R@1", "R@5", "R@10", "mAP@10", MEDIAN_RANK),
    resamples: int = RESAMPLES,
    flips: int = FLIPS,
) -> list[dict[str, Difference]]:
    """Every system against the first, query by query.

    A system with several seeds is what they give on average: values of a query are averaged, and so are medians of
    ranks. Clips are what is taken as chance; how much one training differs from the next is not.

    Args:
        systems: for each its members, one per seed; all of the same queries.
        generator: of resamples and of flips.
        figures: to compare.
        resamples: of clips.
        flips: of signs.

    Returns:
        For each system but the first: figure -> difference to the first.

    Raises:
        UsageError: the systems have other queries.

    Source: PROTOCOL.md, "Confidence"; the test, and Holm's correction over the systems for each figure, are our
        choice.
    """
    sizes = [len(members) for members in systems]
    every = [member for members in systems for member in members]
    resampled = _averaged(resampled_figures(every, generator, resamples=resamples), sizes, figures)
    by_clip = [_ByClip(each) for each in every]
    measured = _averaged([each.figures for each in by_clip], sizes, figures)
    tested = [name for name in figures if name != MEDIAN_RANK]
    sums = _averaged([each.sums_of for each in by_clip], sizes, tested)
    p_SF, holm_SF = _tested(sums, tested, generator, flips)
    has_several = len(by_clip[0].clip_ids) > 1
    compared = []
    for s, (figures_s, resampled_s) in enumerate(zip(measured[1:], resampled[1:], strict=True)):
        of_system = {}
        for name in figures:
            difference = float(figures_s[name] - measured[0][name])
            ci = percentile_interval(resampled_s[name] - resampled[0][name]) if has_several else None
            p, p_holm = None, None
            if name in tested:
                f = tested.index(name)
                p, p_holm = float(p_SF[s, f]), float(holm_SF[s, f]) if len(systems) > 2 else None
            of_system[name] = Difference(difference, ci, p, p_holm)
        compared.append(of_system)
    return compared


def _tested(
    sums: Sequence[dict[str, Float64Array]], names: Sequence[str], generator: np.random.Generator, flips: int
) -> tuple[Float64Array, Float64Array]:
    """p of every system but the first for every figure, (S, F), and the same corrected over the systems."""
    differences_AF = [np.asarray(system[name] - sums[0][name]) for system in sums[1:] for name in names]
    if not differences_AF:
        return np.empty((len(sums) - 1, 0)), np.empty((len(sums) - 1, 0))
    p_SF = randomisation_p(np.array(differences_AF).T, generator, flips=flips).reshape(len(sums) - 1, len(names))
    return p_SF, np.column_stack([holm_adjusted(p_S) for p_S in p_SF.T])


def _averaged(
    of_members: Sequence[dict[str, Float64Array]], sizes: Sequence[int], names: Sequence[str]
) -> list[dict[str, Float64Array]]:
    """The mean over the members of each system."""
    ends = np.cumsum(sizes).tolist()
    return [
        {name: np.mean([member[name] for member in of_members[end - size : end]], axis=0) for name in names}
        for end, size in zip(ends, sizes, strict=True)
    ]


class _ByClip:
    """Values of queries in an order of their own, by ids: sums come out the same to the last bit.

    Args:
        values: in any order.
    """

    def __init__(self, values: QueryValues) -> None:
        clip_of_Q = [values.clip_ids[clip] for clip in values.clip_Q.tolist()]
        self.order_Q = np.array(
            sorted(range(len(clip_of_Q)), key=lambda q: (clip_of_Q[q], values.query_ids[q])), dtype=np.int64
        )
        self.query_ids = [values.query_ids[q] for q in self.order_Q]
        of_query = [clip_of_Q[q] for q in self.order_Q]
        number_of = {clip_id: number for number, clip_id in enumerate(dict.fromkeys(of_query))}
        self.clip_ids = tuple(number_of)
        self.clip_of_query = tuple(of_query)
        self.clip_Q: IntArray = np.array([number_of[clip_id] for clip_id in of_query], dtype=np.int64)
        self.rank_Q = values.first_rank_Q[self.order_Q]
        self.values = {name: values_Q[self.order_Q] for name, values_Q in values.values.items()}
        self.values[MEAN_RANK] = self.rank_Q

    @cached_property
    def queries_A(self) -> IntArray:
        """Queries of each clip."""
        return np.bincount(self.clip_Q)

    @cached_property
    def sums_of(self) -> dict[str, Float64Array]:
        """Figure -> (A,) sum over the queries of each clip."""
        return {
            name: np.bincount(self.clip_Q, weights=values_Q).astype(np.float64, copy=False)
            for name, values_Q in self.values.items()
        }

    @cached_property
    def figures(self) -> dict[str, Float64Array]:
        """Figure -> what it is without resampling."""
        means = {name: np.asarray(np.mean(values_Q)) for name, values_Q in self.values.items()}
        return {**means, MEDIAN_RANK: np.asarray(np.median(self.rank_Q))}

    def figures_of(self, counts_RA: IntArray) -> dict[str, Float64Array]:
        """Figure -> (R,) of a block of resamples."""
        names = list(self.sums_of)
        sums_AF = np.column_stack([*self.sums_of.values(), self.queries_A])
        sums_RF = counts_RA.astype(np.float64) @ sums_AF
        means_FR = (sums_RF[:, :-1] / sums_RF[:, -1:]).T
        return {**dict(zip(names, means_FR, strict=True)), MEDIAN_RANK: self._median_ranks(counts_RA)}

    @cached_property
    def _by_rank_Q(self) -> IntArray:
        return np.argsort(self.rank_Q, kind="stable")

    def _median_ranks(self, counts_RA: IntArray) -> Float64Array:
        """The middle one of all drawn ranks, or the mean of the middle two, as numpy's median."""
        counts_RQ = counts_RA[:, self.clip_Q[self._by_rank_Q]]
        drawn_R = counts_RQ.sum(axis=1)
        drawn_before_R = np.cumsum(drawn_R) - drawn_R
        # one rising line of counts through all resamples, so that one search finds every middle
        rising = np.cumsum(counts_RQ)
        first_R = np.arange(len(counts_RA)) * len(self.rank_Q)
        ranks_Q = self.rank_Q[self._by_rank_Q]
        lower, upper = (
            ranks_Q[np.searchsorted(rising, drawn_before_R + middle_R, side="right") - first_R]
            for middle_R in ((drawn_R - 1) // 2, drawn_R // 2)
        )
        return np.asarray((lower + upper) / 2)


def _refuse_other_queries(systems: Sequence[_ByClip]) -> None:
    first = systems[0]
    for other in systems[1:]:
        if other.query_ids != first.query_ids or other.clip_of_query != first.clip_of_query:
            differing = sorted(set(first.query_ids) ^ set(other.query_ids))
            which = f"; the first that only one of them has is {differing[0]!r}" if differing else ""
            raise UsageError(f"systems are compared query by query, and these have other queries or clips{which}")
