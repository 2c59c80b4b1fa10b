"""A captioner's cross-entropy as a score: how well each caption suits each clip (paper 004)."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Protocol

import numpy as np
import numpy.typing as npt
from torch import Tensor

from atrkit.errors import UsageError
from atrkit.models.captioner import Captioner
from atrkit.models.gru_decoder import GruDecoder
from atrkit.models.ragged import Ragged
from atrkit.models.transformer_decoder import TransformerDecoder
from atrkit.scoring.caption_trie import BLOCK_SLOTS, CaptionTrie, build_caption_trie
from atrkit.scoring.cross_entropy_frames import (
    evaluation_mode,
    memory_of,
    require_finite_losses,
    require_usable_frames,
)
from atrkit.scoring.cross_entropy_gru import GruPass
from atrkit.scoring.cross_entropy_paired import paired_cross_entropy
from atrkit.scoring.cross_entropy_products import Precision, product_dtype
from atrkit.scoring.cross_entropy_transformer import TransformerPass

__all__ = ["CrossEntropyScorer", "Precision", "caption_cross_entropy", "paired_cross_entropy"]

Float32Array = npt.NDArray[np.float32]

_CHUNK_ROWS = {"cpu": 1536, "cuda": 1 << 14}
_INNER_ELEMENTS = {"cpu": 1 << 20, "cuda": 1 << 26}
_CLIPS_AT_ONCE = {"cpu": 1, "cuda": 4}


class _Pass(Protocol):
    def losses(self, memory_GTD: Tensor) -> Tensor: ...


class CrossEntropyScorer:
    """Losses of any clips with one set of captions, for which everything that the audio cannot change is prepared.

    Captions that begin alike share the work on their beginning, clips share keys and values, and nothing is padded
    but blocks of words in self-attention. What is in memory besides the captions' index and the losses does not
    depend on the number of pairs.

    On a CPU, clips are scored one after the other, each by the same operations on the same shapes: the bits of a
    clip's losses depend on the captions and the number of threads, and not on the other clips of the call. On a GPU,
    clips of equal length share a batch.

    Args:
        captioner: its weights are read now; a scorer refuses a model that was trained on.
        captions: as written or normalised, duplicates allowed; unknown words count as `<unk>`.
        precision: of matrix products; everything between them is float32. Half precision changes losses in the third
            or fourth digit, and some ranks: published figures are fp32.
        clips_at_once: of equal length, in one batch; None: one on a CPU, four on a GPU.

    Raises:
        UsageError: there is no caption, or one without words.

    Attributes:
        trie: the captions; `trie.num_slots` decoder positions are computed for each clip, where one after the other
            would be `trie.num_positions`.

    Source: paper 004, section 3.2 (score); PERFORMANCE.md, section 1 (method).
    """

    def __init__(
        self,
        captioner: Captioner,
        captions: Sequence[str],
        *,
        precision: Precision = "fp32",
        clips_at_once: int | None = None,
    ) -> None:
        if not captions:
            raise UsageError("there is no caption to score")
        device_type = captioner.device.type if captioner.device.type in _CHUNK_ROWS else "cuda"
        self.captioner = captioner
        self.precision = precision
        self._weights = _state_of_weights(captioner)
        self.clips_at_once = clips_at_once or _CLIPS_AT_ONCE[device_type]
        tokens = captioner.tokenise(captions)
        bounds = tokens.offsets.tolist()
        sequences = [tokens.values[a:b].tolist() for a, b in pairwise(bounds)]
        dtype = product_dtype(precision)
        chunk_rows, inner_elements = _CHUNK_ROWS[device_type], _INNER_ELEMENTS[device_type]
        self.trie: CaptionTrie
        self._pass: _Pass
        with evaluation_mode(captioner):
            match captioner.decoder:
                case TransformerDecoder() as decoder:
                    self.trie = build_caption_trie(sequences, block_slots=BLOCK_SLOTS)
                    self._pass = TransformerPass(
                        decoder, self.trie, dtype, chunk_rows=chunk_rows, inner_elements=inner_elements
                    )
                case GruDecoder() as decoder:
                    self.trie = build_caption_trie(sequences, block_slots=chunk_rows)
                    self._pass = GruPass(
                        decoder, self.trie, dtype, chunk_rows=chunk_rows, inner_elements=inner_elements
                    )
                case other:
                    raise UsageError(f"no cross-entropy for a decoder of type {type(other).__name__}")

    def losses_of(
        self,
        frames: Ragged,
        index_A: Tensor | None = None,
        on_progress: Callable[[int], None] | None = None,
        *,
        clip_ids: Sequence[str] | None = None,
    ) -> Float32Array:
        """Loss of every caption with some clips.

        Args:
            frames: of all clips.
            index_A: which clips, in any order and with repetitions; None: all.
            on_progress: told the number of clips of each finished batch.
            clip_ids: of all clips, for messages.

        Returns:
            (len(index_A), C) nats per predicted token, `<eos>` counted, lower is better.

        Raises:
            UsageError: a clip without frames, frames of another width than the model's, or a model that was changed
                after the captions were prepared for it.
            DivergedError: NaN or infinity in frames or losses; names the clips.
        """
        if _state_of_weights(self.captioner) != self._weights:
            raise UsageError("the captioner was changed after its captions were prepared: make a new scorer")
        index = list(range(len(frames))) if index_A is None else index_A.tolist()
        require_usable_frames(frames, sorted(set(index)), clip_ids)
        loss_AC = np.empty((len(index), len(self.trie.distinct_C)), dtype=np.float32)
        with evaluation_mode(self.captioner):
            for places in self._batches(frames, index):
                clips = [index[place] for place in places]
                loss_GU = self._pass.losses(memory_of(self.captioner, frames, clips)).cpu()
                require_finite_losses(loss_GU, clips, clip_ids, self.precision)
                loss_AC[places] = loss_GU.numpy()[:, self.trie.distinct_C]
                if on_progress:
                    on_progress(len(places))
        return loss_AC

    def _batches(self, frames: Ragged, index: Sequence[int]) -> list[list[int]]:
        """Places in `index` that are scored together: clips of equal length."""
        places_of_length: dict[int, list[int]] = {}
        lengths_A = frames.lengths_A.tolist()
        for place, clip in enumerate(index):
            places_of_length.setdefault(lengths_A[clip], []).append(place)
        step = self.clips_at_once
        return [places[n : n + step] for places in places_of_length.values() for n in range(0, len(places), step)]


def _state_of_weights(captioner: Captioner) -> list[tuple[int, int]]:
    """What differs after a training step, a load of weights or a move to another device."""
    tensors = (*captioner.parameters(), *captioner.buffers())
    return [(0 if tensor.is_inference() else tensor._version, tensor.data_ptr()) for tensor in tensors]


def caption_cross_entropy(
    captioner: Captioner,
    frames: Ragged,
    captions: Sequence[str],
    *,
    precision: Precision = "fp32",
    clip_ids: Sequence[str] | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> Float32Array:
    """Cross-entropy of every caption with every clip, by a captioner that is told the right words so far.

    Args:
        captioner: trained.
        frames: of A clips.
        captions: C of them, duplicates allowed; unknown words count as `<unk>`.
        precision: of matrix products, "fp32", "fp16" or "bf16".
        clip_ids: of the clips, for messages.
        on_progress: told the number of clips of each finished batch.

    Returns:
        (A, C) nats per predicted token, `<eos>` counted: a caption of n words has n + 1. Lower is better.

    Raises:
        UsageError: no captions, a caption without words, a clip without frames.
        DivergedError: NaN or infinity in frames or losses; names the clips.

    Source: paper 004, section 3.2; counting `<eos>` and dividing by the number of tokens are our choice.

    Example:
        >>> from atrkit.models import Captioner, Ragged, TransformerDecoder
        >>> from atrkit.text.vocabulary import CaptionVocabulary
        >>> words = CaptionVocabulary.from_captions(["rain falls", "a dog barks"]).words
        >>> model = Captioner(8, words, TransformerDecoder(len(words), dim=16, num_layers=2, ff_dim=32)).eval()
        >>> frames = Ragged.from_sequences([np.zeros((3, 8)), np.ones((5, 8))])
        >>> caption_cross_entropy(model, frames, ["rain falls", "a dog", "a cat"]).shape
        (2, 3)
    """
    scorer = CrossEntropyScorer(captioner, captions, precision=precision)
    return scorer.losses_of(frames, on_progress=on_progress, clip_ids=clip_ids)
