"""Cosine similarity of every clip with every caption."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from atrkit.errors import UsageError

Float64Array = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


def cosine_scores(
    audio_emb_AD: npt.ArrayLike,
    text_emb_CD: npt.ArrayLike,
    *,
    block_clips: int = 512,
    on_progress: Callable[[int], None] | None = None,
) -> Float32Array:
    """Cosine of every audio embedding with every text embedding.

    Products are summed in float64 and rounded to float32 once. The last bits of a matrix product depend on where a
    vector stands in it, so that in float32 a clip scored alone and among others gets unequal scores; after rounding
    from float64 that happens to about one score in a million. Equal text embeddings are multiplied once: they tie.

    Args:
        audio_emb_AD: (A, D), any float type.
        text_emb_CD: (C, D).
        block_clips: rows computed at a time; bounds the float64 memory.
        on_progress: told the number of clips of each finished block.

    Returns:
        (A, C) float32 in [-1, 1], higher is better. A vector of zeros has no direction and scores 0 with everything
        (`count_zero_embeddings` says how many there are); NaN and infinite vectors give NaN, which a `ScoreMatrix`
        refuses by id.

    Raises:
        UsageError: the two sides do not have the same dimension.

    Example:
        >>> cosine_scores([[3.0, 0.0], [0.0, 0.0]], [[1.0, 0.0], [0.0, 2.0]]).tolist()
        [[1.0, 0.0], [0.0, 0.0]]
    """
    return _products(audio_emb_AD, text_emb_CD, directions, (-1.0, 1.0), block_clips, on_progress)


def dot_scores(
    audio_emb_AD: npt.ArrayLike,
    text_emb_CD: npt.ArrayLike,
    *,
    block_clips: int = 512,
    on_progress: Callable[[int], None] | None = None,
) -> Float32Array:
    """Dot product of every audio embedding with every text embedding, whatever their lengths.

    For models whose embeddings carry weights in their lengths. Summed in float64 as `cosine_scores`, which also says
    what the arguments are.

    Returns:
        (A, C) float32, higher is better; NaN and infinite vectors give NaN.

    Raises:
        UsageError: the two sides do not have the same dimension.

    Example:
        >>> dot_scores([[3.0, 0.0], [0.0, 0.0]], [[1.0, 0.0], [0.0, 2.0]]).tolist()
        [[3.0, 0.0], [0.0, 0.0]]
    """
    return _products(audio_emb_AD, text_emb_CD, _as_they_are, None, block_clips, on_progress)


def _products(
    audio_emb_AD: npt.ArrayLike,
    text_emb_CD: npt.ArrayLike,
    prepare: Callable[[npt.ArrayLike], Float64Array],
    bounds: tuple[float, float] | None,
    block_clips: int,
    on_progress: Callable[[int], None] | None,
) -> Float32Array:
    audio = np.asarray(audio_emb_AD)
    text = np.asarray(text_emb_CD)
    if audio.ndim != 2 or text.ndim != 2 or audio.shape[1] != text.shape[1]:
        raise UsageError(
            f"audio embeddings have shape {audio.shape} and text embeddings {text.shape}: "
            "both must be (items, dimension) with the same dimension"
        )
    first_U, place_C = _distinct_rows(text)
    text_DU = prepare(text[first_U]).T
    scores_AC = np.empty((len(audio), len(text)), dtype=np.float32)
    for start in range(0, len(audio), block_clips):
        block = slice(start, start + block_clips)
        product_BU = prepare(audio[block]) @ text_DU
        scores_AC[block] = (product_BU if bounds is None else np.clip(product_BU, *bounds))[:, place_C]
        if on_progress:
            on_progress(len(product_BU))
    return scores_AC


def _distinct_rows(emb_ND: npt.NDArray[Any]) -> tuple[IntArray, IntArray]:
    """Positions of rows that differ from all before them, and for each row its place among those."""
    place_of: dict[bytes, int] = {}
    place_N = np.array([place_of.setdefault(row.tobytes(), len(place_of)) for row in emb_ND], dtype=np.int64)
    return np.unique(place_N, return_index=True)[1], place_N


def _as_they_are(emb_ND: npt.ArrayLike) -> Float64Array:
    return np.asarray(emb_ND, dtype=np.float64)


def directions(emb_ND: npt.ArrayLike) -> Float64Array:
    """Each vector at length 1, and zero vectors as they are, (N, D) float64.

    Vectors are first divided by their largest component, so that no square overflows or vanishes.
    """
    emb = np.asarray(emb_ND, dtype=np.float64)
    largest_N1 = np.abs(emb).max(axis=1, keepdims=True, initial=0.0)
    with np.errstate(invalid="ignore"):  # inf / inf is NaN, and is refused later by name
        scaled = emb / np.where(largest_N1 == 0, 1.0, largest_N1)
    length_N1 = np.linalg.norm(scaled, axis=1, keepdims=True)
    return np.asarray(scaled / np.where(length_N1 == 0, 1.0, length_N1))


def count_zero_embeddings(emb_ND: npt.ArrayLike) -> int:
    """How many vectors are all zeros, and therefore score 0 with everything.

    >>> count_zero_embeddings([[0.0, 0.0], [0.0, 1.0]])
    1
    """
    return int(np.count_nonzero(~np.asarray(emb_ND).any(axis=1)))


def cosines_of_pairs(
    audio_emb_AD: npt.ArrayLike, embed_captions: Callable[[list[str]], npt.ArrayLike]
) -> Callable[[npt.NDArray[np.int64], Sequence[str]], Float32Array]:
    """Cosines of listed pairs: a function of positions of clips (N,) and N captions, each embedded once.

    Args:
        audio_emb_AD: embeddings that the positions refer to.
        embed_captions: from distinct captions to their embeddings.
    """
    return _products_of_pairs(directions(audio_emb_AD), lambda captions: directions(embed_captions(captions)))


def dots_of_pairs(
    audio_emb_AD: npt.ArrayLike, embed_captions: Callable[[list[str]], npt.ArrayLike]
) -> Callable[[npt.NDArray[np.int64], Sequence[str]], Float32Array]:
    """Dot products of listed pairs; arguments as of `cosines_of_pairs`, scores those of `dot_scores`."""
    return _products_of_pairs(_as_they_are(audio_emb_AD), lambda captions: _as_they_are(embed_captions(captions)))


def _products_of_pairs(
    audio_AD: Float64Array, prepare_captions: Callable[[list[str]], Float64Array]
) -> Callable[[npt.NDArray[np.int64], Sequence[str]], Float32Array]:
    def score(clip_index_N: npt.NDArray[np.int64], captions: Sequence[str]) -> Float32Array:
        distinct = sorted(set(captions))
        text_UD = prepare_captions(distinct)
        row_of_caption = {caption: row for row, caption in enumerate(distinct)}
        rows_N = [row_of_caption[caption] for caption in captions]
        product_N: Float64Array = np.einsum("nd,nd->n", audio_AD[clip_index_N], text_UD[rows_N])
        return product_N.astype(np.float32)

    return score
