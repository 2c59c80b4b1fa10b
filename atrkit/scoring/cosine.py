"""Cosine similarity of every clip with every caption."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from atrkit.errors import UsageError

Float64Array = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]


def cosine_scores(
    audio_emb_AD: npt.ArrayLike,
    text_emb_CD: npt.ArrayLike,
    *,
    block_clips: int = 512,
    on_progress: Callable[[int], None] | None = None,
) -> Float32Array:
    """Cosine of every audio embedding with every text embedding.

    Products are summed in float64 and rounded to float32 once. The last bits of a matrix product depend on where a
    vector stands in it, so that in float32 a clip scored alone and among others, or a caption and its duplicate, get
    unequal scores, and ties vanish; after rounding from float64 that happens to about one score in a million.

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
    audio = np.asarray(audio_emb_AD)
    text = np.asarray(text_emb_CD)
    if audio.ndim != 2 or text.ndim != 2 or audio.shape[1] != text.shape[1]:
        raise UsageError(
            f"audio embeddings have shape {audio.shape} and text embeddings {text.shape}: "
            "both must be (items, dimension) with the same dimension"
        )
    direction_DC = directions(text).T
    scores_AC = np.empty((len(audio), len(text)), dtype=np.float32)
    for start in range(0, len(audio), block_clips):
        block = slice(start, start + block_clips)
        direction_BD = directions(audio[block])
        scores_AC[block] = np.clip(direction_BD @ direction_DC, -1.0, 1.0)
        if on_progress:
            on_progress(len(direction_BD))
    return scores_AC


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
    direction_AD = directions(audio_emb_AD)

    def score(clip_index_N: npt.NDArray[np.int64], captions: Sequence[str]) -> Float32Array:
        distinct = sorted(set(captions))
        direction_UD = directions(embed_captions(distinct))
        row_of_caption = {caption: row for row, caption in enumerate(distinct)}
        rows_N = [row_of_caption[caption] for caption in captions]
        cosine_N: Float64Array = np.einsum("nd,nd->n", direction_AD[clip_index_N], direction_UD[rows_N])
        return cosine_N.astype(np.float32)

    return score
