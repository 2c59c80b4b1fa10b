"""Twin order: can a scorer tell "A then B" from "B then A"?

Recall can look fine while order is lost, because most wrong candidates differ in their events too (METHODS.md). Twin
clips hold the same events in the opposite order, and so do their captions: preferring the own caption over the
twin's takes order and nothing else.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from atrkit.errors import UsageError
from atrkit.metrics.bootstrap import ratio_interval
from atrkit.score_matrix import ScoreMatrix

Float64Array = npt.NDArray[np.float64]

FORWARD, REVERSED = "a_then_b", "b_then_a"
_BLOCK = 500


@dataclass(frozen=True)
class TwinOrder:
    """How often a clip prefers its own caption to that of its reversed twin.

    Args:
        accuracy: hits / n, in [0, 1]; a scorer deaf to order has 0.5.
        ci_low: lower end of the 95 % interval.
        ci_high: upper end.
        p: two-sided, against 0.5.
        n: comparisons, two for each pair of captions.
        groups: twin groups that were compared.
        incomplete_groups: groups left out because one of the two clips is no row of the score matrix.
        unpaired_captions: captions left out because the twin has fewer.
    """

    accuracy: float
    ci_low: float
    ci_high: float
    p: float
    n: int
    groups: int
    incomplete_groups: int
    unpaired_captions: int


def twin_order(
    matrix: ScoreMatrix,
    group_of_clip: Mapping[str, str],
    relation_of_clip: Mapping[str, str],
    generator: np.random.Generator,
    *,
    resamples: int = 10_000,
) -> TwinOrder | None:
    """Compare caption k of each clip with caption k of its reversed twin, on its own clip.

    A hit if the own caption scores higher; equal scores count one half, so that a bag of words gets exactly 0.5. The
    interval is a bootstrap over groups, because the captions of a group move together; p flips the sign of each
    group's surplus of hits at random.

    Args:
        matrix: higher is better.
        group_of_clip: twin group of each clip that has one; clips that are no row are ignored.
        relation_of_clip: "a_then_b", "b_then_a" or another relation, which takes no part.
        generator: of the resamples.
        resamples: of the bootstrap, and of the sign flips.

    Returns:
        The figure, or None when there is nothing to compare.

    Raises:
        UsageError: two clips of a group have the same relation.

    Source: METHODS.md, "synthetic", column "order"; interval and test are our choice.
    """
    pairs, incomplete_groups = _pairs_of_groups(matrix, group_of_clip, relation_of_clip)
    captions_of_clip = _captions_in_id_order(matrix)
    hits, comparisons, unpaired = [], [], 0
    for forward, backward in pairs:
        captions, twin_captions = captions_of_clip[forward], captions_of_clip[backward]
        count = min(len(captions), len(twin_captions))
        unpaired += abs(len(captions) - len(twin_captions))
        if count:
            hits.append(
                _hits(matrix.scores_AC[forward], captions[:count], twin_captions[:count])
                + _hits(matrix.scores_AC[backward], twin_captions[:count], captions[:count])
            )
            comparisons.append(2 * count)
    if not hits:
        return None
    hits_G, comparisons_G = np.array(hits), np.array(comparisons)
    ci_low, ci_high = ratio_interval(hits_G, comparisons_G, generator, resamples=resamples)
    return TwinOrder(
        accuracy=float(hits_G.sum() / comparisons_G.sum()),
        ci_low=ci_low,
        ci_high=ci_high,
        p=_sign_flip_p(hits_G - comparisons_G / 2, generator, resamples),
        n=int(comparisons_G.sum()),
        groups=len(hits),
        incomplete_groups=incomplete_groups,
        unpaired_captions=unpaired,
    )


def _pairs_of_groups(
    matrix: ScoreMatrix, group_of_clip: Mapping[str, str], relation_of_clip: Mapping[str, str]
) -> tuple[list[tuple[int, int]], int]:
    """Rows of the two clips of every complete group, by group id, and how many groups are incomplete."""
    row_of_relation: dict[str, dict[str, int]] = defaultdict(dict)
    for row, clip_id in enumerate(matrix.clip_ids):
        relation = relation_of_clip.get(clip_id)
        if clip_id in group_of_clip and relation in (FORWARD, REVERSED):
            rows = row_of_relation[group_of_clip[clip_id]]
            if relation in rows:
                raise UsageError(
                    f"twin group {group_of_clip[clip_id]!r} has two clips with relation {relation}, the second is "
                    f"{clip_id!r}: a group needs one of each"
                )
            rows[relation] = row
    complete = [rows for _, rows in sorted(row_of_relation.items()) if len(rows) == 2]
    return [(rows[FORWARD], rows[REVERSED]) for rows in complete], len(row_of_relation) - len(complete)


def _captions_in_id_order(matrix: ScoreMatrix) -> dict[int, list[int]]:
    """Columns of each row's captions, so that caption k does not depend on the order of columns."""
    captions_of_clip: dict[int, list[int]] = defaultdict(list)
    ids = matrix.caption_ids
    for caption in sorted(range(len(ids)), key=lambda c: (len(ids[c]), ids[c])):  # #10 comes after #9
        captions_of_clip[int(matrix.clip_index_of_caption_C[caption])].append(caption)
    return captions_of_clip


def _hits(scores_C: npt.NDArray[np.floating], own: list[int], twins: list[int]) -> float:
    own_scores, twin_scores = scores_C[own], scores_C[twins]
    return float(np.sum(own_scores > twin_scores) + 0.5 * np.sum(own_scores == twin_scores))


def _sign_flip_p(surplus_G: Float64Array, generator: np.random.Generator, resamples: int) -> float:
    """Two-sided p of the total surplus when each group could as well have had the opposite one.

    Surpluses are multiples of one half, so sums are exact and equal ones count as extreme, as they must.
    """
    observed = abs(surplus_G.sum())
    as_extreme = 0
    for size in _block_sizes(resamples):
        signs = 1 - 2 * generator.integers(2, size=(size, len(surplus_G)))
        as_extreme += int(np.count_nonzero(np.abs(signs @ surplus_G) >= observed))
    return (1 + as_extreme) / (1 + resamples)


def _block_sizes(resamples: int) -> Iterator[int]:
    for start in range(0, resamples, _BLOCK):
        yield min(_BLOCK, resamples - start)
