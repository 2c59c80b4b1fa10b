"""Training an audio network together with the retrieval model on its frames, from samples.

What comes out are two ordinary things: weights that the frozen encoder of the same name loads, and a retrieval model on
frames of that encoder. Nothing that uses a trained run needs to know that its encoder was fine-tuned.
"""

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from atrkit.encoders.trainable import TrainablePanns
from atrkit.errors import UsageError
from atrkit.models.folder import AUDIO_ENCODER_NAME
from atrkit.models.ragged import Ragged
from atrkit.models.retriever import ClipBatch, ClipInputs, Padded, Retriever, SimilarityTerm, evaluating
from atrkit.training.batches import PairBatch
from atrkit.training.data import TrainingData
from atrkit.training.retriever import RetrieverTask, train_retriever
from atrkit.training.settings import StopRequested, TrainingResult


class FineTuned(Retriever):
    """An audio network under a retrieval model: it is given samples, and the model what the network makes of them.

    Frames are not standardised, because they change as the network learns (our choice, as in the public code of Mei et
    al.). Saved are two things: the network's weights as `audio_encoder.safetensors`, which `load_encoder` reads, and
    the retrieval model.

    Args:
        audio: the network, of `trainable_network`.
        retriever: a model of one encoder's frames, of the network's `frame_dim`.
        started_from: sha256 of the weights that the network began with.
    """

    kind = "fine_tuned"

    def __init__(self, audio: TrainablePanns, retriever: Retriever, started_from: str) -> None:
        super().__init__()
        self.audio = audio
        self.retriever = retriever
        self.reads_generated = retriever.reads_generated
        self.arguments = {"audio": audio.config, "started_from": started_from, "retriever": retriever.config}

    def fit_standardisation(self, frames: Sequence[Ragged]) -> int:
        """Leave frames as they come: samples say nothing of them.

        Raises:
            UsageError: samples of several rates.
        """
        if len(frames) != 1:
            raise UsageError(f"one audio network is fine-tuned, and there are samples for {len(frames)}")
        return 0

    def prepare_captions(self, captions: Sequence[str], *, batch_size: int = 64) -> Ragged:
        """As the retrieval model does."""
        return self.retriever.prepare_captions(captions, batch_size=batch_size)

    def prepare_auxiliary(self, captions: Sequence[str], *, batch_size: int = 64) -> Ragged:
        """As the retrieval model does."""
        return self.retriever.prepare_auxiliary(captions, batch_size=batch_size)

    def similarity_terms(self, clips: ClipBatch, texts: Padded) -> tuple[SimilarityTerm, ...]:
        """Similarities by the retrieval model; gradients reach the audio network.

        Args:
            clips: whose `frames` are rows of a waveform store.
            texts: prepared captions.
        """
        (rows,) = clips.frames
        frames = Padded(*self.audio(rows.values, rows.lengths_B.tolist()))
        return self.retriever.similarity_terms(ClipBatch((frames,), clips.captions), texts)

    def count_unknown_words(self, captions: Sequence[str]) -> Counter[str]:
        """As the retrieval model does."""
        return self.retriever.count_unknown_words(captions)

    def count_cut_captions(self, captions: Sequence[str]) -> int:
        """As the retrieval model does."""
        return self.retriever.count_cut_captions(captions)

    def save_pretrained(self, folder: str | os.PathLike[str], *, more_files: Mapping[str, bytes] | None = None) -> None:
        """Write the retrieval model and the audio network's weights, which belong to it.

        Raises:
            ResourceError: the folder cannot be written.
        """
        weights = self.audio.checkpoint_bytes()
        name = str(self.audio.config["network"])
        self.retriever.audio_encoder = {"name": name, "sha256": sha256(weights).hexdigest()}
        self.retriever.save_pretrained(folder, more_files={AUDIO_ENCODER_NAME: weights, **(more_files or {})})

    @classmethod
    def _from_config(cls, config: dict[str, Any], folder: Path) -> Self:
        raise UsageError(f"{folder}: open the retrieval model with open_retriever, and its encoder with load_encoder")


class FineTuneTask(RetrieverTask):
    """As `RetrieverTask`, from samples: batches are cut out of the clips, and validation hears whole ones.

    Samples stay where they are, in memory or mapped from a file; only batches go to the device.

    Args:
        model: a `FineTuned`.
        crop_rows: longest piece of a clip in a training batch, in rows; None: whole clips.
        stop_requested: asked after every batch of validation, which may take minutes; see `Hooks`.
        arguments: as `RetrieverTask` takes them.
    """

    def __init__(
        self,
        model: Retriever,
        *arguments: Any,
        crop_rows: int | None,
        stop_requested: StopRequested | None = None,
    ) -> None:
        assert isinstance(model, FineTuned)
        self._fine_tuned, self._crop_rows, self._stop_requested = model, crop_rows, stop_requested
        super().__init__(model, *arguments)

    def fingerprint(self) -> dict[str, Any]:
        """Model, loss, data and crops."""
        return {**super().fingerprint(), "crop in rows": self._crop_rows}

    def _hold(self, clips: ClipInputs) -> ClipInputs:
        return clips

    def _clip_batch(self, batch: PairBatch) -> ClipBatch:
        rows = cropped(self._clips.frames[0], batch.clip_index_B, self._crop_rows, batch.generator())
        captions = self._clips.captions
        generated = None if captions is None else Padded(*captions.gather(batch.clip_index_B)).to(self._device)
        return ClipBatch((rows.to(self._device),), generated)

    def _evaluated(self, clips: ClipInputs) -> tuple[Retriever, ClipInputs]:
        audio, batch_size = self._fine_tuned.audio, self._settings.batch_size
        frames = frames_of_all(audio, clips.frames[0], batch_size=batch_size, on_batch=self._stop_where_wished)
        return self._fine_tuned.retriever, ClipInputs((frames,), clips.captions)

    def _stop_where_wished(self) -> None:
        stop = None if self._stop_requested is None else self._stop_requested()
        if stop is not None:
            raise stop("stopped while clips were heard for validation: the same command continues there")


def train_finetuned(
    audio: TrainablePanns,
    retriever: Retriever,
    loss: nn.Module,
    train: TrainingData,
    val: TrainingData | None,
    *,
    started_from: str,
    crop_rows: int | None = None,
    checkpoint_every_s: float | None = 300.0,
    stop_requested: StopRequested | None = None,
    **arguments: Any,
) -> TrainingResult:
    """Train audio network and retrieval model, from the start or from where an interrupted training stands.

    As `train_retriever`, to the same bits however often it was interrupted. A checkpoint holds the weights four times
    (those, the best epoch's, and AdamW's two means): 3 GB for CNN14 with BERT, which is why one is written every five
    minutes and not every one. Crops of a batch are a function of seed, epoch and step.

    Args:
        audio: the network, with the weights it begins with.
        retriever: a model of frames of the network's width.
        loss: as in `train_retriever`.
        train: rows of a waveform store at the network's rate, and captions.
        val: the same to validate on.
        started_from: sha256 of the weights that the network begins with.
        crop_rows: in training a random piece of so many rows of each longer clip is heard; None: whole clips.
        checkpoint_every_s: as in `train_retriever`.
        stop_requested: asked after every step, and within validation; as in `train_retriever`.
        arguments: the others of `train_retriever`.

    Returns:
        The best epoch, and the metrics of all.

    Raises:
        UsageError, DivergedError, IntegrityError, KeyboardInterrupt, TerminatedError: as in `train_retriever`.

    Source: paper 001, section 4.2. One learning rate for all weights, as in the public code of Mei et al. 2022, which
    the paper follows; random crops are our choice (that code cuts clips off at 30 s, the longest of Clotho).
    """
    return train_retriever(
        FineTuned(audio, retriever, started_from),
        loss,
        train,
        val,
        make_task=partial(FineTuneTask, crop_rows=crop_rows, stop_requested=stop_requested),
        checkpoint_every_s=checkpoint_every_s,
        stop_requested=stop_requested,
        **arguments,
    )


def cropped(rows: Ragged, index_B: Tensor, crop_rows: int | None, rng: np.random.Generator) -> Padded:
    """Clips by index, each longer one a piece that begins anywhere where it fits.

    Args:
        rows: of all clips.
        index_B: which.
        crop_rows: of a piece; None: whole clips.
        rng: of this batch; one number is drawn for each clip.

    Example:
        >>> rows = Ragged.from_sequences([np.arange(10.0)[:, None], np.ones((2, 1))])
        >>> values, lengths_B = cropped(rows, torch.tensor([0, 1]), 3, np.random.default_rng(0))
        >>> values[..., 0].tolist(), lengths_B.tolist()
        ([[5.0, 6.0, 7.0], [1.0, 1.0, 0.0]], [3, 2])
    """
    if crop_rows is None:
        return Padded(*rows.gather(index_B))
    whole_B = rows.lengths_A[index_B]
    kept_B = whole_B.clamp(max=crop_rows)
    skipped_B = torch.from_numpy(rng.random(len(index_B)) * (whole_B - kept_B + 1).numpy()).long()
    position_T = torch.arange(int(kept_B.max()))
    is_padding_BT = position_T >= kept_B[:, None]
    source_BT = ((rows.offsets[index_B] + skipped_B)[:, None] + position_T).masked_fill_(is_padding_BT, 0)
    return Padded(rows.values[source_BT].float().masked_fill_(is_padding_BT[..., None], 0.0), kept_B)


@torch.no_grad()
def frames_of_all(
    audio: TrainablePanns, rows: Ragged, *, batch_size: int, on_batch: Callable[[], None] | None = None
) -> Ragged:
    """What the network makes of whole clips in evaluation mode, float16 as a store keeps it.

    Args:
        audio: the network.
        rows: of all clips, on the CPU.
        batch_size: clips at once; those of like length go together.
        on_batch: called after every batch; may raise.
    """
    device = next(audio.parameters()).device
    order_A = rows.lengths_A.argsort(descending=True, stable=True)
    frames: dict[int, Tensor] = {}
    with evaluating(audio):
        for index_B in order_A.split(batch_size):
            rows_BTR, lengths_B = rows.gather(index_B)
            frames_BTF, frame_lengths_B = audio(rows_BTR.to(device), lengths_B.tolist())
            kept = frames_BTF.half().cpu()
            for a, frames_TF, length in zip(index_B.tolist(), kept, frame_lengths_B.tolist(), strict=True):
                frames[a] = frames_TF[:length]
            if on_batch is not None:
                on_batch()
    in_order = [frames[a] for a in range(len(rows))]
    offsets = torch.tensor([0, *map(len, in_order)]).cumsum(0)
    return Ragged(torch.cat(in_order), offsets)
