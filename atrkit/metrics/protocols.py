"""What other code bases compute of the same score matrix, each under the names that it prints.

Published figures were made by these. They are for reading somebody's table beside one's own, and are never mixed with
figures of another protocol. Ground truth is by id here, where that code goes by position (five captions per clip, in
order), and clips without captions stay candidates; where it leaves equal scores to the order in which a sort happens to
put them, the figure is the exact expectation over random orders (our choice). A median rank under ties is that of
expected ranks, rounded afterwards where that code rounds (our choice: the expectation of a rounded median has no closed
form).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, assert_never, get_args

import numpy as np
import numpy.typing as npt

from atrkit.metrics.graded import ndcg_at_k
from atrkit.metrics.ranking import (
    average_precisions_at_k,
    first_ranks,
    fractional_recall_at_k,
    map_at_k,
    mean_rank,
    recall_at_k,
)
from atrkit.metrics.tie_blocks import PairRanks, TieBlocks

Float64Array = npt.NDArray[np.float64]
ProtocolName = Literal["wavcaps", "laion", "dcase23", "mteb", "koepke"]
PROTOCOLS: tuple[ProtocolName, ...] = get_args(ProtocolName)

_CAPTIONS_TAKEN_FOR_GRANTED = 5
_TOP = 10  # of average precision, in all of them


@dataclass(frozen=True)
class ProtocolFigures:
    """One code base's evaluation of a score matrix.

    Args:
        protocol: its name.
        text_to_audio: figures under that code's names; fractions in [0, 1] also where it prints per cent, ranks from 1.
        audio_to_text: likewise; a code base need not have the same figures in both directions.
        why: one line: what makes figures differ from ours.
    """

    protocol: ProtocolName
    text_to_audio: Mapping[str, float]
    audio_to_text: Mapping[str, float]
    why: str


def protocol_figures(protocol: ProtocolName, to_audio: PairRanks, to_text: PairRanks) -> ProtocolFigures:
    """Compute what a code base would.

    Args:
        protocol: which.
        to_audio: each caption's own clip among all clips (`text_to_audio_ranks`).
        to_text: each clip's own captions among all captions (`audio_to_text_ranks`), in the order of storage.

    Source: PROTOCOL.md, "Variants by name"; the functions below name the code that each was read from.

    Example:
        >>> from atrkit import ScoreMatrix
        >>> from atrkit.metrics.tie_blocks import audio_to_text_ranks, text_to_audio_ranks
        >>> captions, owners = [f"rain#{n}" for n in range(5)] + ["dog#1"], ["rain"] * 5 + ["dog"]
        >>> matrix = ScoreMatrix([[1., 1., 1., 1., 1., 0.], [0.] * 6], ["rain", "dog"], captions, owners)
        >>> figures = protocol_figures("koepke", text_to_audio_ranks(matrix), audio_to_text_ranks(matrix))
        >>> figures.audio_to_text["R1"]  # the clip's five captions tie for its first places, so none is at rank 1
        0.0
    """
    to_text_blocks = to_text.blocks
    uneven = int(np.count_nonzero(to_text_blocks.relevant_of_query != _CAPTIONS_TAKEN_FOR_GRANTED))
    divided = "is divided by 5" + (f", also for {uneven:,} clips with more or fewer captions" if uneven else "")
    match protocol:
        case "wavcaps":
            why = f"MedR is rounded down; A2T AP {divided}"
            return ProtocolFigures(protocol, _wavcaps(to_audio.blocks), _wavcaps(to_text_blocks, divisor=5), why)
        case "laion":
            why = f"MedR is rounded down; A2T AP goes by the stored order of captions and {divided}"
            return ProtocolFigures(protocol, _laion_to_audio(to_audio.blocks), _laion_to_text(to_text), why)
        case "dcase23":
            why = "A2T R@k is the fraction of a clip's captions in the top k, not whether any is there"
            return ProtocolFigures(protocol, _dcase23(to_audio.blocks), _dcase23(to_text_blocks), why)
        case "mteb":
            why = "hit_rate is what we call R@k, recall the fraction of what is relevant"
            return ProtocolFigures(protocol, _mteb(to_audio), _mteb(to_text), why)
        case "koepke":
            why = "ties take their mean rank, also those among a clip's own captions; R@k counts such ranks within k"
            return ProtocolFigures(protocol, _koepke(to_audio.blocks), _koepke(to_text_blocks), why)
        case _:
            assert_never(protocol)


def _wavcaps(blocks: TieBlocks, divisor: int | None = None) -> dict[str, float]:
    """`t2a` and `a2t` of XinhaoMei/WavCaps, retrieval/tools/utils.py, and of its predecessor audio-text_retrieval.

    The sum of precisions within the top 10 is divided by 5 in audio to text, whatever the number of captions.
    """
    relevant = blocks.relevant_of_query if divisor else np.ones(blocks.queries)
    precisions = average_precisions_at_k(blocks, _TOP) * relevant / (divisor or 1)
    return {
        **{f"r{k}": recall_at_k(blocks, k) for k in (1, 5, 10, 50)},
        "medr": _floored_median_rank(blocks),
        "meanr": mean_rank(blocks),
        "mAP10": float(np.mean(precisions)),
    }


def _laion_to_audio(blocks: TieBlocks) -> dict[str, float]:
    """`evaluate_clotho_audiocaps` of LAION-AI/CLAP, training/train.py; its names without `text_to_audio_`."""
    return {
        "mean_rank": mean_rank(blocks),
        "median_rank": _floored_median_rank(blocks),
        **{f"R@{k}": recall_at_k(blocks, k) for k in (1, 5, 10)},
        "mAP@10": map_at_k(blocks, _TOP),
    }


def _laion_to_text(ranks: PairRanks) -> dict[str, float]:
    """The same function, audio to text: no ranks are printed."""
    precision = float(np.mean(_unsorted_precisions(ranks)))
    return {"mAP@10": precision, **{f"R@{k}": recall_at_k(ranks.blocks, k) for k in (1, 5, 10)}}


def _unsorted_precisions(ranks: PairRanks) -> Float64Array:
    """AP@10 when a clip's captions are numbered in the order of storage, (queries,).

    The n-th stored caption of those within the top 10 counts n / its rank, where a precision would number them by
    rank; the sum is divided by 5. So a figure of a matrix without ties depends on the order of captions, and can pass
    1. Under ties the expectation is exact: the sum over pairs of a caption and one stored before it, of the chance
    that both are within the top 10, over the former's rank.
    """
    query_P, better_P, tied_P = ranks.query_P, ranks.better_P, ranks.tied_P
    places_P = np.clip(_TOP - better_P, 0, tied_P)
    inside_P, other_inside_P = places_P / tied_P, np.maximum(places_P - 1, 0) / np.maximum(tied_P - 1, 1)
    stored_before_P = np.zeros(len(query_P))
    for back in range(1, int(np.bincount(query_P).max())):
        is_same_query = query_P[back:] == query_P[:-back]
        is_tied = better_P[back:] == better_P[:-back]
        stored_before_P[back:] += is_same_query * np.where(is_tied, other_inside_P[back:], inside_P[:-back])
    inverse_ranks = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, _TOP + 1))])
    first, last = np.minimum(better_P, _TOP), np.minimum(better_P + tied_P, _TOP)
    inverse_rank_P = (inverse_ranks[last] - inverse_ranks[first]) / tied_P
    summed = np.bincount(query_P, weights=inverse_rank_P * (1 + stored_before_P), minlength=ranks.queries)
    return np.asarray(summed / _CAPTIONS_TAKEN_FOR_GRANTED)


def _dcase23(blocks: TieBlocks) -> dict[str, float]:
    """`measure` of xieh97/dcase2023-audio-retrieval, postprocessing/xmodal_retrieval.py (task 6b's baseline)."""
    return {"mAP": map_at_k(blocks, _TOP), **{f"R{k}": fractional_recall_at_k(blocks, k) for k in (1, 5, 10)}}


def _mteb(ranks: PairRanks) -> dict[str, float]:
    """`calculate_retrieval_scores` of embeddings-benchmark/mteb for its tasks on Clotho and AudioCaps.

    Their main figure is hit_rate_at_5. trec_eval computes them there: it breaks ties by name, which is left out here.
    """
    blocks = ranks.blocks
    return {
        **{f"hit_rate_at_{k}": recall_at_k(blocks, k) for k in (1, 5, 10)},
        **{f"recall_at_{k}": fractional_recall_at_k(blocks, k) for k in (1, 5, 10)},
        "map_at_10": map_at_k(blocks, _TOP),
        "ndcg_at_10": ndcg_at_k(ranks, _TOP),
    }


def _koepke(blocks: TieBlocks) -> dict[str, float]:
    """`t2v_metrics`, `v2t_metrics` of akoepke/audio-retrieval-benchmark, ties "averaging" (from collaborative-experts).

    Exactly that code's figures also under ties: a caption's rank is the mean over the places of all that score the
    same, and a clip's rank that of its best caption. R1 wants rank 1 itself; 5.5 is still within R5, as it counts from
    0 there and wants less than 5.
    """
    first = blocks.is_first
    rank = blocks.better[first] + (blocks.tied[first] + 1) / 2
    recalls = {"R1": float(np.mean(rank == 1)), **{f"R{k}": float(np.mean(rank < k + 1)) for k in (5, 10, 50)}}
    geometric = float(np.prod([recalls["R1"], recalls["R5"], recalls["R10"]]) ** (1 / 3))
    ranks = {"MedR": float(np.median(rank)), "MeanR": float(np.mean(rank))}
    return {**recalls, **ranks, "geometric_mean_R1-R5-R10": geometric}


def _floored_median_rank(blocks: TieBlocks) -> float:
    return float(np.floor(np.median(first_ranks(blocks))))
