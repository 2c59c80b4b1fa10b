"""Weights of a fusion, chosen on clips that are not those it is tested on."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from atrkit.metrics.ranking import MAP_CUTOFF, map_at_k
from atrkit.metrics.tie_blocks import audio_to_text_blocks, text_to_audio_blocks
from atrkit.score_matrix import ScoreMatrix
from atrkit.scoring.fusion import standardised_scores, weighted_sum

CHOSEN_BY = f"mean mAP@{MAP_CUTOFF} of both directions"
_PARTS = {2: 20, 3: 10}  # the weight of one part is 1 / parts
_PARTS_OF_MANY = 5


@dataclass(frozen=True)
class FittedWeights:
    """What was chosen, and what it was chosen over.

    Args:
        weights: one for each matrix, not negative, with sum 1.
        value: of `CHOSEN_BY` with them, in [0, 1].
        equal: with equal weights.
        alone: of each matrix by itself.
        tried: how many mixtures were compared.
    """

    weights: tuple[float, ...]
    value: float
    equal: float
    alone: tuple[float, ...]
    tried: int


def fit_weights(matrices: Sequence[ScoreMatrix], on_tried: Callable[[int], object] = lambda _: None) -> FittedWeights:
    """Choose the weights of `fuse_scores` by trying all mixtures on a grid; the same matrices give the same weights.

    Steps are 0.05 with two matrices, 0.1 with three and 0.2 with more; equal weights are always among them. Of equally
    good mixtures the most even one is taken. mAP@10 rather than R@1 chooses: on a small split R@1 moves in steps of one
    query.

    Args:
        matrices: two or more, of the same clips and captions, which are not those of the test.
        on_tried: called with 1 after each mixture.

    Raises:
        UsageError, DivergedError: as `fuse_scores`.

    Source: our choice; no paper fuses scores.

    Example:
        >>> import numpy as np
        >>> ids = ["rain", "dog", "bell"]
        >>> right, wrong = (ScoreMatrix(sign * np.eye(3), ids, ["r", "d", "b"], ids) for sign in (1, -1))
        >>> fit_weights([right, wrong]).weights
        (0.55, 0.45)
    """
    scores = standardised_scores(matrices)
    even = (1 / len(matrices),) * len(matrices)
    value_of: dict[tuple[float, ...], float] = {}
    for weights in mixtures(len(matrices)):
        value_of[weights] = mean_average_precision(weighted_sum(matrices[0], scores, weights))
        on_tried(1)

    def goodness(weights: tuple[float, ...]) -> tuple[float, float, tuple[float, ...]]:
        return value_of[weights], -sum((weight - even[0]) ** 2 for weight in weights), weights

    best = max(value_of, key=goodness)
    alone = [tuple(float(k == other) for other in range(len(matrices))) for k in range(len(matrices))]
    return FittedWeights(
        best, value_of[best], value_of[even], tuple(value_of[weights] for weights in alone), len(value_of)
    )


def mixtures(count: int) -> list[tuple[float, ...]]:
    """All weights of `count` matrices that are tried: with sum 1, and equal weights once.

    >>> len(mixtures(2)), len(mixtures(3)), mixtures(2)[:2]
    (21, 67, [(0.0, 1.0), (0.05, 0.95)])
    """
    parts = _PARTS.get(count, _PARTS_OF_MANY)
    grid = [tuple(part / parts for part in split) for split in _splits(parts, count)]
    return list(dict.fromkeys([*grid, (1 / count,) * count]))


def mean_average_precision(matrix: ScoreMatrix) -> float:
    """mAP@10, mean of both directions, in [0, 1]."""
    blocks = (text_to_audio_blocks(matrix), audio_to_text_blocks(matrix))
    return sum(map_at_k(each, MAP_CUTOFF) for each in blocks) / 2


def _splits(parts: int, count: int) -> Iterator[tuple[int, ...]]:
    if count == 1:
        yield (parts,)
        return
    for first in range(parts + 1):
        for rest in _splits(parts - first, count - 1):
            yield (first, *rest)
