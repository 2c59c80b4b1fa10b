"""Perturbation accuracy: does a clip prefer its own caption to the same caption with another relation?

Recall can look fine while relations are lost, because most wrong candidates differ in their events too. A perturbed
caption has the same events: preferring the original takes the relation, its direction, or an ear for how people put
things (a caption that nobody would write like that is unlikely with any clip).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from atrkit.errors import DivergedError
from atrkit.metrics.bootstrap import ratio_interval
from atrkit.score_matrix import IntArray
from atrkit.text.perturb import PERTURBATION_SETS, Kind, Perturbation

Float64Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PerturbationAccuracy:
    """How often the original caption wins in one test.

    Args:
        kind: "replace" or "invert".
        set_name: the set of words.
        accuracy: hits / n, in [0, 1]; a scorer deaf to the relation has 0.5. None when n is 0.
        ci_low: lower end of the 95 % interval; None when n is 0.
        ci_high: upper end.
        n: captions compared.
        clips: clips that they belong to.
        ties: captions among n that score exactly as their perturbed form.
    """

    kind: Kind
    set_name: str
    accuracy: float | None
    ci_low: float | None
    ci_high: float | None
    n: int
    clips: int
    ties: int


def hits_of(original_scores_N: npt.ArrayLike, perturbed_scores_N: npt.ArrayLike) -> Float64Array:
    """1 where the original scores higher than the perturbed caption, 1/2 where they are equal, 0 elsewhere.

    Args:
        original_scores_N: (N,) higher is better; a captioner's are its negated losses.
        perturbed_scores_N: (N,) on the same clips.

    Returns:
        (N,).

    Source: PROTOCOL.md, "Perturbation accuracy".

    Example:
        >>> hits_of([-1.0, -2.0, -3.0], [-2.0, -1.0, -3.0]).tolist()
        [1.0, 0.0, 0.5]
    """
    original, perturbed = np.asarray(original_scores_N), np.asarray(perturbed_scores_N)
    return np.where(original > perturbed, 1.0, np.where(original == perturbed, 0.5, 0.0))


def perturbation_accuracies(
    perturbations: Sequence[Perturbation],
    original_scores_N: npt.ArrayLike,
    perturbed_scores_N: npt.ArrayLike,
    *,
    caption_ids: Sequence[str],
    clip_of_caption: Sequence[str],
    generator: np.random.Generator,
    resamples: int = 10_000,
) -> list[PerturbationAccuracy]:
    """Accuracy of each of the six tests.

    Args:
        perturbations: N of them, of any tests in any order.
        original_scores_N: (N,) score of each original with its own clip, higher is better.
        perturbed_scores_N: (N,) score of each perturbed caption with the same clip.
        caption_ids: of the captions that `Perturbation.index` counts.
        clip_of_caption: id of the clip of each of these captions.
        generator: of the intervals; each test has a stream of its own, so that none depends on another's captions.
        resamples: of each interval, which is a bootstrap over clips.

    Returns:
        One for each of `PERTURBATION_SETS`, in that order; n is 0 where no caption was perturbed.

    Raises:
        DivergedError: a score is NaN; names the first caption.

    Source: paper 004, section 5 and table 5; PROTOCOL.md, "Perturbation accuracy"; the interval is our choice.
    """
    original, perturbed = np.asarray(original_scores_N), np.asarray(perturbed_scores_N)
    _refuse_nan(perturbations, original, perturbed, caption_ids)
    hits_N, is_tie_N = hits_of(original, perturbed), original == perturbed
    accuracies = []
    for (kind, set_name), stream in zip(PERTURBATION_SETS, generator.spawn(len(PERTURBATION_SETS)), strict=True):
        members = [n for n, each in enumerate(perturbations) if (each.kind, each.set_name) == (kind, set_name)]
        if not members:
            accuracies.append(PerturbationAccuracy(kind, set_name, None, None, None, n=0, clips=0, ties=0))
            continue
        group_M = _numbered([clip_of_caption[perturbations[n].index] for n in members])
        hits_G, comparisons_G = np.bincount(group_M, weights=hits_N[members]), np.bincount(group_M)
        accuracies.append(
            PerturbationAccuracy(
                kind,
                set_name,
                float(hits_G.sum() / len(members)),
                *ratio_interval(hits_G, comparisons_G, stream, resamples=resamples),
                n=len(members),
                clips=len(hits_G),
                ties=int(np.count_nonzero(is_tie_N[members])),
            )
        )
    return accuracies


def _numbered(ids: Sequence[str]) -> IntArray:
    """Numbers from 0 in the order of the ids, so that the interval does not depend on the order of captions."""
    number_of_id = {each: number for number, each in enumerate(sorted(set(ids)))}
    return np.array([number_of_id[each] for each in ids], dtype=np.int64)


def _refuse_nan(
    perturbations: Sequence[Perturbation],
    original_N: npt.NDArray[np.floating],
    perturbed_N: npt.NDArray[np.floating],
    caption_ids: Sequence[str],
) -> None:
    broken = np.flatnonzero(np.isnan(original_N) | np.isnan(perturbed_N))
    if len(broken):
        first = perturbations[broken[0]]
        raise DivergedError(
            f"{len(broken)} of {len(perturbations)} perturbed captions or their originals have the score NaN, the "
            f"first is caption {caption_ids[first.index]!r}: no accuracy; the model that made them has diverged"
        )
