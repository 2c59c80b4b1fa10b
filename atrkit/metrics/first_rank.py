"""At which rank the first relevant candidate stands, as a distribution: R@k for every k."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from atrkit.metrics.tie_blocks import TieBlocks

Float64Array = npt.NDArray[np.float64]


def found_within(blocks: TieBlocks, ranks: Sequence[int]) -> Float64Array:
    """Share of queries whose first relevant candidate is within each of several ranks: R@k for every k.

    The same as `recall_at_k`, at a cost that does not grow with k, so that whole histograms of large galleries can be
    made. A query with ties counts by its probability, in every place that the order of ties may give it.

    Args:
        blocks: one direction of a score matrix.
        ranks: 1-based.

    Returns:
        (len(ranks),) in [0, 1].

    Source: PROTOCOL.md, "Ties": `1 - C(t - m, j) / C(t, j)`.

    Example:
        >>> from atrkit import ScoreMatrix
        >>> from atrkit.metrics.tie_blocks import text_to_audio_blocks
        >>> matrix = ScoreMatrix([[.9, .1], [.9, .8]], ["rain", "dog"], ["rain#1", "dog#1"], ["rain", "dog"])
        >>> found_within(text_to_audio_blocks(matrix), [1, 2]).tolist()
        [0.75, 1.0]
    """
    first = blocks.is_first
    better, tied, relevant = blocks.better[first], blocks.tied[first], blocks.relevant[first]
    log_factorials = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, blocks.candidates + 1)))])
    shares = []
    for rank in ranks:
        places = np.clip(rank - better, 0, tied)
        found = np.where(places > tied - relevant, 1.0, 0.0)
        is_open = (places > 0) & (places <= tied - relevant)  # the order of ties decides
        t, m, j = tied[is_open], relevant[is_open], places[is_open]
        log_missed = log_factorials[t - m] - log_factorials[t - m - j] - log_factorials[t] + log_factorials[t - j]
        found[is_open] = -np.expm1(log_missed)
        shares.append(found.mean())
    return np.array(shares)
