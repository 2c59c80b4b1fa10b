"""What judgements of several or graded clips add to the figures of text to audio, and what they do not cover."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from atrkit.metrics import graded
from atrkit.metrics.graded import ndcg_at_k
from atrkit.metrics.query_values import QueryValues
from atrkit.metrics.ranking import MAP_CUTOFF, first_ranks
from atrkit.metrics.relevance import JudgedPairs, RelevantPairs
from atrkit.metrics.tie_blocks import PairRanks
from atrkit.score_matrix import ScoreRows
from atrkit.workflows.judgements import Judgements

UNJUDGED_CUTOFF = 10


def graded_figures(ranks: PairRanks, ks: Sequence[int]) -> dict[str, float]:
    """nDCG@k at the cut-offs of recall and at 10, over all captions with a grade above 0, and what chance gives.

    Which grade counts as relevant elsewhere makes no difference to nDCG.

    Args:
        ranks: of every judged clip, whatever its grade.
        ks: cut-offs.
    """
    ranks = ranks.select(ranks.grade_P > 0)
    by_chance = graded.chance(ranks)
    return {
        **{f"nDCG@{k}": ndcg_at_k(ranks, k) for k in _cutoffs(ks)},
        **{f"chance_nDCG@{k}": ndcg_at_k(by_chance, k) for k in _cutoffs(ks)},
        "nDCG_queries": ranks.queries,
    }


def graded_values(scores: ScoreRows, pairs: RelevantPairs, ranks: PairRanks, ks: Sequence[int]) -> QueryValues:
    """nDCG@k of every caption with a grade above 0; captions of one clip move together.

    Args:
        scores: that were ranked.
        pairs: every judged clip of each caption, whatever its grade.
        ranks: of these pairs.
        ks: cut-offs.
    """
    is_kept_P = ranks.grade_P > 0
    captions, ranks = np.unique(pairs.caption_P[is_kept_P]), ranks.select(is_kept_P)
    return QueryValues(
        tuple(scores.caption_ids[caption] for caption in captions),
        scores.clip_index_of_caption_C[captions],
        scores.clip_ids,
        {f"nDCG@{k}": graded.ndcgs_at_k(ranks, k) for k in _cutoffs(ks)},
        first_ranks(ranks.blocks),
    )


def graded_tie_bounds(ranks: PairRanks, ks: Sequence[int]) -> dict[str, dict[str, float]]:
    """The same when ties fall out for, and against, the highest grades."""
    ranks = ranks.select(ranks.grade_P > 0)
    bounds = {"optimistic": graded.optimistic(ranks), "pessimistic": graded.pessimistic(ranks)}
    return {name: {f"nDCG@{k}": ndcg_at_k(bound, k) for k in _cutoffs(ks)} for name, bound in bounds.items()}


def relevance_record(judged: JudgedPairs, judgements: Judgements, least_grade: int, ranks: PairRanks) -> dict[str, Any]:
    """What "relevance" holds in results: whose judgements, how many, and what they do not cover.

    Args:
        judged: by `judged_pairs`.
        judgements: that they are of.
        least_grade: from which a clip counts as relevant.
        ranks: of every judged clip, whatever its grade.
    """
    return {
        "name": judgements.name,
        "queries": len(np.unique(judged.pairs.caption_P)),
        "judgements": len(judged.all_judged.caption_P),
        "relevant": len(judged.pairs.caption_P),
        "least_grade": least_grade,
        "highest_grade": judgements.highest_grade,
        "graded": judgements.is_graded,
        "unknown_queries": judged.unknown_captions,
        "queries_without_relevant": judged.without_relevant,
        "judgements_of_unknown_clips": judged.unknown_clips,
        f"unjudged_in_top_{UNJUDGED_CUTOFF}": unjudged_share(ranks, UNJUDGED_CUTOFF),
    }


def unjudged_share(ranks: PairRanks, k: int) -> float:
    """Share of the first k places that hold a clip which nobody judged, expected over the order of ties.

    Such a clip counts as not relevant, so a system that finds what no judged system found is underrated.

    Args:
        ranks: of every judged clip, whatever its grade.
        k: places of each query.
    """
    judged_P = np.clip(k - ranks.better_P, 0, ranks.tied_P) / ranks.tied_P
    return 1.0 - float(judged_P.sum()) / (ranks.queries * min(k, ranks.candidates))


def _cutoffs(ks: Sequence[int]) -> list[int]:
    return sorted({*ks, MAP_CUTOFF})
