"""From texts, sounds and what is not wanted to one direction that windows are compared with."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from atrkit.errors import DivergedError, UsageError

Float32Array = npt.NDArray[np.float32]

PUSH_AWAY = 0.5  # how much of what is not wanted is taken off
_LEAST_NORM = 1e-3  # of unit vectors that cancel each other, nothing but rounding is left below


def combined_query(
    texts_QD: Sequence[npt.ArrayLike] = (),
    sounds: Sequence[npt.ArrayLike] = (),
    unwanted_ND: Sequence[npt.ArrayLike] = (),
) -> Float32Array:
    """One query of norm 1 for everything that was said.

    Each text and each sound counts alike: so most clips with both came up when a text of one event was joined with a
    sound of another (embedded data set, weights of the sound from 0.3 to 1.5). Half of each unwanted text is
    subtracted. In the same place that took the share of clips with the unwanted event among the best ten from 11 to
    3 %, and that of the wanted event stayed; projecting out left 6 %, and subtracting all of it cost one of two models
    a wanted event in twelve. A sum of directions is a direction: exact and approximate search need nothing else.

    Args:
        texts_QD: embeddings of texts, (D,) each, of norm 1.
        sounds: for each sound the (W, D) vectors of its windows, of norm 1; a sound is the mean of them, so that a long
            one counts no more than a short one.
        unwanted_ND: embeddings of texts that are pushed away.

    Returns:
        (D,) of norm 1.

    Raises:
        UsageError: neither text nor sound, or they cancel each other.
        DivergedError: an embedding is not finite.

    Source: our choice.

    Example:
        >>> rain, dog = [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]
        >>> [f"{value:.2f}" for value in combined_query([rain], unwanted_ND=[dog])]
        ['0.89', '-0.45', '0.00']
        >>> [f"{value:.2f}" for value in combined_query([rain], [[dog, dog]])]
        ['0.71', '0.71', '0.00']
    """
    if not len(texts_QD) and not len(sounds):
        raise UsageError("say what is to be found: a text, or a sound with --like FILE")
    wanted = [np.asarray(text_D, dtype=np.float64) for text_D in texts_QD]
    wanted += [_on_the_sphere(np.asarray(windows_WD, dtype=np.float64).mean(axis=0)) for windows_WD in sounds]
    # its own length first: an unwanted text weighs the same beside one wanted thing and beside two
    query_D = _on_the_sphere(np.sum(wanted, axis=0))
    for unwanted_D in unwanted_ND:
        query_D = query_D - PUSH_AWAY * np.asarray(unwanted_D, dtype=np.float64)
    return _on_the_sphere(query_D).astype(np.float32)


def _on_the_sphere(sum_D: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    norm = np.linalg.norm(sum_D)
    if not np.isfinite(norm):
        raise DivergedError("the embedding of the query is not finite: the model cannot be used for it")
    if norm < _LEAST_NORM:
        raise UsageError("what is wanted and what is not cancel each other: leave something out")
    return sum_D / norm
