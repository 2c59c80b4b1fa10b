"""Scores of clips and captions by hierarchical cross-modal interaction, with each side embedded once."""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from atrkit.errors import DivergedError, UsageError
from atrkit.models.distinct import distinct_sequences
from atrkit.models.interaction import HciRetriever
from atrkit.models.interaction_vectors import CaptionVectors, ClipVectors
from atrkit.models.ragged import Ragged
from atrkit.models.retriever import ClipBatch, ClipInputs, Padded, evaluating
from atrkit.scoring.max_similarity import CaptionSide, DistinctWordSimilarity, MaxSimilarity
from atrkit.scoring.pair_blocks import BLOCK_FRAMES, BLOCK_WORDS, pairs_in_blocks

Float32Array = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

_BATCH = 64
_PAIRS_AT_ONCE = 128
_FRAMES_AT_ONCE = {"cpu": 64, "cuda": 1024}  # of clips of equal length, in one matrix product


@torch.inference_mode()
def hci_scores(
    model: HciRetriever,
    clips: ClipInputs,
    captions: Ragged,
    *,
    clip_ids: Sequence[str] | None = None,
    caption_ids: Sequence[str] | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> Float32Array:
    """Score every clip with every caption.

    Captions are embedded once and held: words, phrases and sentence of each. Clips are embedded in batches and
    compared one after the other, so that memory does not grow with their number. Captions that are the same to the
    model are scored once, and tie exactly.

    Args:
        model: in any mode; it is evaluated in evaluation mode.
        clips: frames, and generated captions where the model reads them.
        captions: as `model.prepare_captions` made them.
        clip_ids: for error messages; None: positions.
        caption_ids: for error messages; None: positions.
        on_progress: told the number of clips of each finished batch.

    Returns:
        (A, C) float32 in [-1, 1], higher is better: the mean of the model's similarities, weighted as their losses.

    Raises:
        UsageError: a clip without frames or a caption without words.
        DivergedError: a clip or caption is not finite inside; names it.
    """
    _refuse_empty(clips.lengths_A, "clip", clip_ids)
    first_U, place_C = distinct_sequences(captions)
    scores_AU = np.empty((len(clips), len(first_U)), dtype=np.float32)
    with evaluating(model):
        scorer = _Captions(model, captions, first_U, caption_ids)
        for index_B in clips.lengths_A.argsort(stable=True).split(_BATCH):
            vectors = model.clip_vectors(_on_device(clips.gather(index_B), model.device))
            scores_BU = scorer.scores_of(vectors)
            _refuse_broken(~scores_BU.isfinite().all(dim=1), index_B, "clip", clip_ids)
            scores_AU[index_B.numpy(force=True)] = scores_BU.numpy(force=True)
            if on_progress is not None:
                on_progress(len(index_B))
    return scores_AU[:, place_C]


@torch.inference_mode()
def hci_scores_of_pairs(
    model: HciRetriever,
    clips: ClipInputs,
    captions: Ragged,
    clip_N: IntArray,
    caption_N: IntArray,
    *,
    clip_ids: Sequence[str] | None = None,
    caption_ids: Sequence[str] | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> Float32Array:
    """Score listed pairs: in blocks of clips, each embedded once, and of captions, each embedded once per such block.

    Args:
        model: as in `hci_scores`.
        clips: that the positions refer to.
        captions: that the positions refer to, prepared.
        clip_N: position of each pair's clip, any order and repetitions.
        caption_N: of its caption.
        clip_ids: for error messages; None: positions.
        caption_ids: for error messages; None: positions.
        on_progress: told the number of pairs of each finished block.

    Returns:
        (N,) float32 scores; those of `hci_scores`, up to rounding.

    Raises:
        UsageError, DivergedError: as `hci_scores`; a clip is only named as not finite where it is in a pair.
    """
    _refuse_empty(clips.lengths_A, "clip", clip_ids)
    _refuse_empty(captions.lengths_A, "caption", caption_ids)
    frames_A, words_C = clips.lengths_A.numpy(force=True), captions.lengths_A.numpy(force=True)
    scores_N = np.empty(len(clip_N), dtype=np.float32)
    with evaluating(model):
        for of_clips in pairs_in_blocks(clip_N, frames_A, BLOCK_FRAMES):
            clips_B, clip_row_N = np.unique(clip_N[of_clips], return_inverse=True)
            clip_vectors = _clips_at(model, clips, torch.from_numpy(clips_B))
            for inside in pairs_in_blocks(caption_N[of_clips], words_C, BLOCK_WORDS):
                pairs = of_clips[inside]
                captions_B, caption_row_N = np.unique(caption_N[pairs], return_inverse=True)
                caption_vectors = _captions_at(model, captions, torch.from_numpy(captions_B))
                _refuse_broken(_is_broken(caption_vectors), torch.from_numpy(captions_B), "caption", caption_ids)
                for group in _of_like_lengths(frames_A[clip_N[pairs]], words_C[caption_N[pairs]]):
                    scores_P = model.pair_scores(
                        clip_vectors.take(torch.from_numpy(clip_row_N[inside][group]).to(model.device)),
                        caption_vectors.take(torch.from_numpy(caption_row_N[group]).to(model.device)),
                    )
                    _refuse_broken(~scores_P.isfinite(), torch.from_numpy(clip_N[pairs[group]]), "clip", clip_ids)
                    scores_N[pairs[group]] = scores_P.numpy(force=True)
                if on_progress is not None:
                    on_progress(len(pairs))
    return scores_N


def _of_like_lengths(frames_N: IntArray, words_N: IntArray) -> list[IntArray]:
    """Positions of pairs in groups that are compared at once, so that little of a group is padding."""
    order_N = np.lexsort((words_N, frames_N))
    return [order_N[start : start + _PAIRS_AT_ONCE] for start in range(0, len(order_N), _PAIRS_AT_ONCE)]


class _Captions:
    """Everything of the distinct captions that clips are compared with."""

    def __init__(
        self, model: HciRetriever, captions: Ragged, first_U: IntArray, caption_ids: Sequence[str] | None
    ) -> None:
        self._model = model
        _refuse_empty(captions.lengths_A, "caption", caption_ids)
        sentence_UD = torch.empty(len(first_U), model.dim, device=model.device)
        words: dict[int, Tensor] = {}
        phrases: dict[int, Tensor] = {}
        lengths_U = captions.lengths_A.cpu()[torch.from_numpy(first_U)]
        for place_B in lengths_U.argsort(stable=True).split(_BATCH):
            index_B = torch.from_numpy(first_U)[place_B]
            vectors = _captions_at(model, captions, index_B)
            _refuse_broken(_is_broken(vectors), index_B, "caption", caption_ids)
            sentence_UD[place_B.to(model.device)] = vectors.sentence_BD
            if vectors.words_BLD is not None and not model.words_stand_alone:
                rows = zip(place_B.tolist(), vectors.words_BLD, vectors.lengths_B.tolist(), strict=True)
                words.update({place: words_LD[:length].clone() for place, words_LD, length in rows})
            if vectors.phrases_BPD is not None:
                phrases.update(zip(place_B.tolist(), vectors.phrases_BPD, strict=True))
        self._sentence_UD = sentence_UD
        self._phrases = MaxSimilarity(_in_order(phrases)) if phrases else None
        self._words: CaptionSide | None = None
        if model.frame_word_weight:
            is_static = model.words_stand_alone
            self._words = _distinct_words(model, captions, first_U) if is_static else MaxSimilarity(_in_order(words))

    def scores_of(self, clips: ClipVectors) -> Tensor:
        """Scores of a batch of clips, (B, U)."""
        model = self._model
        total_BU = clips.clip_BD @ self._sentence_UD.T
        if self._words is not None and clips.frames_BTD is not None:
            for same in _runs_of_equal_length(clips.lengths_B):
                frames_GTD = clips.frames_BTD[same, : int(clips.lengths_B[same.start])]
                total_BU[same] += model.frame_word_weight * self._words.scores_of(frames_GTD)
        if self._phrases is not None and clips.segments_BSD is not None:
            clips_at_once = max(1, _frames_at_once(model.device) // clips.segments_BSD.shape[1])
            parts = [self._phrases.scores_of(part_GSD) for part_GSD in clips.segments_BSD.split(clips_at_once)]
            total_BU += model.segment_phrase_weight * torch.cat(parts)
        if clips.caption_BD is not None:
            total_BU += clips.caption_BD @ self._sentence_UD.T
        return total_BU / model.total_weight


def _distinct_words(model: HciRetriever, captions: Ragged, first_U: IntArray) -> DistinctWordSimilarity:
    chosen = captions.to(torch.device("cpu")).select(torch.from_numpy(first_U))
    ids_V, word_N = chosen.values.unique(return_inverse=True)
    one_V = torch.ones(len(ids_V), dtype=torch.int64)
    words_V1D = model.caption_vectors(Padded(ids_V[:, None], one_V).to(model.device)).words_BLD
    assert words_V1D is not None  # the model has a weight for words
    return DistinctWordSimilarity(words_V1D[:, 0], Ragged(word_N, chosen.offsets).to(model.device))


def _in_order(parts: dict[int, Tensor]) -> Ragged:
    """Parts by their place, end to end; they are taken out, because both together may not fit into memory."""
    return _end_to_end([parts.pop(place) for place in range(len(parts))])


def _end_to_end(sequences: Sequence[Tensor]) -> Ragged:
    lengths = torch.tensor([0, *map(len, sequences)], device=sequences[0].device)
    return Ragged(torch.cat(list(sequences)), lengths.cumsum(0))


def _runs_of_equal_length(lengths_B: Tensor) -> Iterator[slice]:
    """Neighbours of equal length, few enough for one matrix product."""
    for length, run in groupby(enumerate(lengths_B.tolist()), key=lambda item: item[1]):
        positions = [position for position, _ in run]
        step = max(1, _frames_at_once(lengths_B.device) // length)
        for start in range(positions[0], positions[-1] + 1, step):
            yield slice(start, min(start + step, positions[-1] + 1))


def _frames_at_once(device: torch.device) -> int:
    return _FRAMES_AT_ONCE.get(device.type, _FRAMES_AT_ONCE["cuda"])


def _clips_at(model: HciRetriever, clips: ClipInputs, index_B: Tensor) -> ClipVectors:
    return model.clip_vectors(_on_device(clips.gather(index_B.to(clips.lengths_A.device)), model.device))


def _captions_at(model: HciRetriever, captions: Ragged, index_B: Tensor) -> CaptionVectors:
    return model.caption_vectors(Padded(*captions.gather(index_B.to(captions.offsets.device))).to(model.device))


def _on_device(batch: ClipBatch, device: torch.device) -> ClipBatch:
    captions = None if batch.captions is None else batch.captions.to(device)
    return ClipBatch(tuple(frames.to(device) for frames in batch.frames), captions)


def _is_broken(vectors: CaptionVectors) -> Tensor:
    """Captions of which anything is not finite, (B,); padding is finite where the words are."""
    parts = [vectors.sentence_BD[:, None], vectors.words_BLD, vectors.phrases_BPD]
    return torch.stack([~part.isfinite().flatten(1).all(dim=1) for part in parts if part is not None]).any(dim=0)


def _refuse_empty(lengths_N: Tensor, kind: str, ids: Sequence[str] | None) -> None:
    if (empty := (lengths_N == 0).nonzero()).numel():
        raise UsageError(f"{_named(kind, int(empty[0]), ids)} has nothing to embed: its length is 0")


def _refuse_broken(is_broken_B: Tensor, index_B: Tensor, kind: str, ids: Sequence[str] | None) -> None:
    if (broken := index_B.cpu()[is_broken_B.cpu()]).numel():
        raise DivergedError(f"{_named(kind, int(broken[0]), ids)} has an embedding that is not finite")


def _named(kind: str, position: int, ids: Sequence[str] | None) -> str:
    return f"{kind} {ids[position]!r}" if ids is not None else f"{kind} {position} (counted from 0)"
