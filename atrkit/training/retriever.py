"""Training a retrieval model on frozen frame embeddings: a contrastive loss over its similarity matrices."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from atrkit.errors import UsageError
from atrkit.models.ragged import Ragged
from atrkit.models.retriever import ClipBatch, ClipInputs, Padded, Retriever, SimilarityTerm, evaluating
from atrkit.scoring.retrieval import score_all_pairs
from atrkit.training.batches import PairBatch, pairs_in_turn
from atrkit.training.data import CaptionChoice, TrainingData
from atrkit.training.device import make_accelerator
from atrkit.training.loop import Trainer
from atrkit.training.optimisation import OptimizerSettings
from atrkit.training.settings import (
    Hooks,
    KeepBest,
    LoopSettings,
    Precision,
    StopRequested,
    TrainingResult,
    require_choice,
)

_KEEP_BEST: tuple[KeepBest, ...] = (
    "val_loss",
    "text_to_audio.R@1",
    "text_to_audio.R@10",
    "text_to_audio.mAP@10",
    "mean_R@1",
    "last",
)
MakeTask = Callable[
    [Retriever, nn.Module, TrainingData, TrainingData | None, LoopSettings, torch.device], "RetrieverTask"
]
_VALIDATION_FIGURES = ("R@1", "R@5", "R@10", "mAP@10")


def train_retriever(
    model: Retriever,
    loss: nn.Module,
    train: TrainingData,
    val: TrainingData | None,
    *,
    epochs: int,
    batch_size: int,
    optimizer: OptimizerSettings,
    run_folder: Path,
    caption_choice: CaptionChoice = "random",
    keep_best: KeepBest = "val_loss",
    clip_grad_norm: float | None = None,
    seed: int = 0,
    precision: Precision = "float32",
    accumulate_batches: int = 1,
    validate_every: int = 1,
    checkpoint_every_s: float | None = 60.0,
    on_start: Callable[[int], None] | None = None,
    on_epoch: Callable[[dict[str, Any]], None] | None = None,
    stop_requested: StopRequested | None = None,
    make_task: MakeTask | None = None,
) -> TrainingResult:
    """Train from the start, or from where an interrupted training in `run_folder` stands.

    With equal arguments, data and number of threads, weights and metrics.jsonl are equal to the bit on the CPU, however
    often the training was interrupted. Initial weights are the caller's: make the model inside
    `seeded_initialisation(seed)`. Frames are standardised by their mean and standard deviation over `train`. A
    training that is already done is not repeated: its best epoch is saved again.

    Args:
        model: from the start; its weights are overwritten when a training continues.
        loss: `NtXent` or `MaxMargin`, or a module called as they are.
        train: clips and captions to train on.
        val: clips and captions to choose the best epoch by; None only with keep_best "last".
        epochs: passes over the training clips.
        batch_size: pairs whose similarities are compared, at least 2.
        optimizer: AdamW and its schedule.
        run_folder: receives the checkpoint, metrics.jsonl, and at the end the model (`save_pretrained`).
        caption_choice: one "random" caption per clip and epoch, or "all" of them.
        keep_best: the validation metric whose best epoch is kept (the earlier of equals), or "last".
        clip_grad_norm: gradients are scaled down to this norm; None: never.
        seed: of the order, the captions drawn and dropout.
        precision: "float32", or "bfloat16" in the forward pass.
        accumulate_batches: gradients of so many batches are averaged before a step (`LoopSettings`).
        validate_every: epochs from one validation to the next, and the only ones that can be kept; the last epoch is
            always validated.
        checkpoint_every_s: how old a checkpoint may become; a small one is also written at every epoch's end. None: one
            per epoch.
        on_start: called once before the first step with the number of epochs that are done, by the checkpoint.
        on_epoch: called after every epoch with its metrics.
        stop_requested: asked after every step; the exception type it gives is raised after a checkpoint.
        make_task: how batches reach the model; None: `RetrieverTask`.

    Returns:
        The best epoch, and the metrics of all.

    Raises:
        UsageError: settings that make no training, or several processes.
        DivergedError: features, loss or gradient are not finite; names epoch, step and clips.
        IntegrityError: the checkpoint is damaged, or of a training with other settings or data.
        KeyboardInterrupt, TerminatedError: as `stop_requested` said; the same call continues.

    Source: paper 001, section 3, and paper 003, section 3.2, as far as they say.
    """
    settings = LoopSettings(
        epochs=epochs,
        batch_size=batch_size,
        optimizer=optimizer,
        caption_choice=caption_choice,
        keep_best=keep_best,
        clip_grad_norm=clip_grad_norm,
        seed=seed,
        precision=precision,
        accumulate_batches=accumulate_batches,
        validate_every=validate_every,
        checkpoint_every_s=checkpoint_every_s,
    )
    require_choice(keep_best, _KEEP_BEST, has_validation=val is not None)
    if batch_size < 2:
        raise UsageError(f"batch_size {batch_size} leaves a contrastive loss without negatives: the least is 2")
    accelerator = make_accelerator(precision)
    constant_features = model.fit_standardisation(train.all_frames)
    model.to(accelerator.device)
    task = (make_task or RetrieverTask)(model, loss, train, val, settings, accelerator.device)
    hooks = Hooks(on_start=on_start, on_epoch=on_epoch, stop_requested=stop_requested)
    result = Trainer(task, train, settings, run_folder, accelerator, hooks).run()
    model.save_pretrained(run_folder)
    return replace(result, constant_features=constant_features)


class RetrieverTask:
    """Loss and validation of a retrieval model; captions are prepared once, batches gathered by index.

    Args:
        model: on `device`.
        loss: of a similarity matrix.
        train: clips and captions to train on.
        val: clips and captions to validate on.
        settings: of the loop.
        device: where frames and captions are held.
    """

    def __init__(
        self,
        model: Retriever,
        loss: nn.Module,
        train: TrainingData,
        val: TrainingData | None,
        settings: LoopSettings,
        device: torch.device,
    ) -> None:
        self.model = model
        self._loss = loss
        self._train = train
        self._val = val
        self._settings = settings
        self._device = device
        self._clips = self._hold(clip_inputs(model, train))
        self._texts = model.prepare_captions(train.shown_captions).to(device)
        self._val_clips = None if val is None else clip_inputs(model, val)
        self._val_texts = None if val is None else model.prepare_captions(val.all_captions)

    def loss(self, batch: PairBatch) -> Tensor:
        """Weighted sum of the losses of the batch's similarity matrices; captions of one clip are no negatives."""
        may_repeat_a_clip = self._settings.caption_choice == "all" or self._train.shows_auxiliary
        clip_index_B = batch.clip_index_B.to(self._device) if may_repeat_a_clip else None
        return self._weighted(self._terms(batch), clip_index_B)

    def terms(self, batch: PairBatch) -> int:
        """Pairs."""
        return len(batch)

    @torch.no_grad()
    def broken_clips(self, batch: PairBatch) -> list[str]:
        """Ids of the clips that, or whose captions, have no finite similarity with anything in the batch."""
        is_broken_B = torch.zeros(len(batch), dtype=torch.bool)
        for term in self._terms(batch):
            finite_BB = term.similarity_BB.isfinite().cpu()
            is_broken_B |= ~finite_BB.any(dim=1) | ~finite_BB.any(dim=0)
        return [self._train.clip_ids[a] for a in batch.clip_index_B[is_broken_B].tolist()]

    def validate(self) -> dict[str, float]:
        """val_loss, recall and mAP in both directions, and the mean of the two R@1."""
        if self._val is None or self._val_clips is None or self._val_texts is None:
            return {}
        model, clips = self._evaluated(self._val_clips)
        with evaluating(model):
            val_loss = self._validation_loss(model, self._val, clips.to(self._device), self._val_texts)
        scores_AC = score_all_pairs(model, clips, self._val_texts, clip_ids=self._val.clip_ids)
        return {"val_loss": val_loss, **_retrieval_figures(scores_AC, self._val)}

    def figures(self, batches: Sequence[PairBatch]) -> dict[str, float]:
        """None."""
        return {}

    def fingerprint(self) -> dict[str, Any]:
        """Model, loss and data."""
        config = json.dumps(self.model.config, sort_keys=True).encode()
        return {
            "model": sha256(config).hexdigest()[:16],
            "loss": repr(self._loss),
            "training data": self._train.sha256[:16],
            "validation data": None if self._val is None else self._val.sha256[:16],
        }

    def _hold(self, clips: ClipInputs) -> ClipInputs:
        """The training clips, where batches are gathered from."""
        return clips.to(self._device)

    def _clip_batch(self, batch: PairBatch) -> ClipBatch:
        """The clips of a training batch."""
        return self._clips.gather(batch.clip_index_B.to(self._device))

    def _evaluated(self, clips: ClipInputs) -> tuple[Retriever, ClipInputs]:
        """Model and clips as they are scored in validation."""
        return self.model, clips

    def _terms(self, batch: PairBatch) -> tuple[SimilarityTerm, ...]:
        return self.model.similarity_terms(self._clip_batch(batch), self._text_batch(self._texts, batch))

    def _text_batch(self, captions: Ragged, batch: PairBatch) -> Padded:
        return Padded(*captions.gather(batch.caption_index_B.to(captions.offsets.device))).to(self._device)

    def _weighted(self, terms: Sequence[SimilarityTerm], clip_index_B: Tensor | None) -> Tensor:
        losses = [term.weight * self._loss(term.similarity_BB, clip_index_B) for term in terms]
        return torch.stack(losses).sum()

    @torch.no_grad()
    def _validation_loss(self, model: Retriever, val: TrainingData, clips: ClipInputs, captions: Ragged) -> float:
        total = 0.0
        for batch in pairs_in_turn(val, batch_size=self._settings.batch_size):
            clip_index_B = batch.clip_index_B.to(self._device)
            terms = model.similarity_terms(clips.gather(clip_index_B), self._text_batch(captions, batch))
            total += self._weighted(terms, clip_index_B).item() * len(batch)
        return total / len(val.all_captions)


def clip_inputs(model: Retriever, data: TrainingData) -> ClipInputs:
    """What the model is given of the clips: frames, and generated captions where it reads them."""
    captions = data.auxiliary_captions if model.reads_generated else None
    return ClipInputs(data.all_frames, None if captions is None else model.prepare_auxiliary(captions))


def _retrieval_figures(scores_AC: npt.NDArray[np.float32], data: TrainingData) -> dict[str, float]:
    from atrkit.metrics.ranking import evaluate
    from atrkit.score_matrix import ScoreMatrix

    clip_of_caption = [data.clip_ids[a] for a in data.clip_index_of_caption_C]
    caption_ids = [str(c) for c in range(len(clip_of_caption))]
    directions = evaluate(ScoreMatrix(scores_AC, data.clip_ids, caption_ids, clip_of_caption))
    figures = {
        f"{direction}.{name}": float(directions[direction][name])
        for direction in ("text_to_audio", "audio_to_text")
        for name in _VALIDATION_FIGURES
    }
    figures["mean_R@1"] = (figures["text_to_audio.R@1"] + figures["audio_to_text.R@1"]) / 2
    return figures
