"""Training a dual encoder on frozen frame embeddings."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from atrkit.errors import UsageError
from atrkit.models import DualEncoder, Ragged
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
_VALIDATION_FIGURES = ("R@1", "R@5", "R@10", "mAP@10")


def train_dual_encoder(
    model: DualEncoder,
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
    checkpoint_every_s: float | None = 60.0,
    on_epoch: Callable[[dict[str, Any]], None] | None = None,
    stop_requested: StopRequested | None = None,
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
        batch_size: pairs per step, at least 2.
        optimizer: AdamW and its schedule.
        run_folder: receives the checkpoint, metrics.jsonl, and at the end the model (`save_pretrained`).
        caption_choice: one "random" caption per clip and epoch, or "all" of them.
        keep_best: the validation metric whose best epoch is kept (the earlier of equals), or "last".
        clip_grad_norm: gradients are scaled down to this norm; None: never.
        seed: of the order, the captions drawn and dropout.
        precision: "float32", or "bfloat16" in the forward pass.
        checkpoint_every_s: how old a checkpoint may become; a small one is also written at every epoch's end. None: one
            per epoch.
        on_epoch: called after every epoch with its metrics.
        stop_requested: asked after every step; the exception type it gives is raised after a checkpoint.

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
        checkpoint_every_s=checkpoint_every_s,
    )
    require_choice(keep_best, _KEEP_BEST, has_validation=val is not None)
    if batch_size < 2:
        raise UsageError(f"batch_size {batch_size} leaves a contrastive loss without negatives: the least is 2")
    accelerator = make_accelerator(precision)
    constant_features = model.audio.fit_standardisation(train.frames.values)
    model.to(accelerator.device)
    task = DualEncoderTask(model, loss, train, val, settings, accelerator.device)
    hooks = Hooks(on_epoch=on_epoch, stop_requested=stop_requested)
    result = Trainer(task, train, settings, run_folder, accelerator, hooks).run()
    model.save_pretrained(run_folder)
    return replace(result, constant_features=constant_features)


class DualEncoderTask:
    """Loss and validation of a dual encoder; captions are prepared once, batches gathered by index.

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
        model: DualEncoder,
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
        self._frames = train.frames.to(device)
        self._texts = self._prepared(train).to(device)
        self._val_texts = None if val is None else self._prepared(val)
        self._device = device

    def loss(self, batch: PairBatch) -> Tensor:
        """Loss of the batch's similarity matrix; captions of one clip are no negatives of each other."""
        audio_emb_BD, text_emb_BD = self._embed(batch)
        clip_index_B = batch.clip_index_B.to(self._device) if self._settings.caption_choice == "all" else None
        return self._loss(audio_emb_BD @ text_emb_BD.T, clip_index_B)  # type: ignore[no-any-return]

    def terms(self, batch: PairBatch) -> int:
        """Pairs."""
        return len(batch)

    @torch.no_grad()
    def broken_clips(self, batch: PairBatch) -> list[str]:
        """Ids of the clips with an embedding, of sound or caption, that is not finite."""
        audio_emb_BD, text_emb_BD = self._embed(batch)
        is_broken_B = ~(audio_emb_BD.isfinite().all(dim=1) & text_emb_BD.isfinite().all(dim=1)).cpu()
        return [self._train.clip_ids[a] for a in batch.clip_index_B[is_broken_B].tolist()]

    def validate(self) -> dict[str, float]:
        """val_loss, recall and mAP in both directions, and the mean of the two R@1."""
        if self._val is None or self._val_texts is None:
            return {}
        audio_emb_AD = self.model.embed_clips(self._val.frames)
        text_emb_CD = self.model.embed_captions(self._val_texts)
        val_loss = self._validation_loss(torch.from_numpy(audio_emb_AD), torch.from_numpy(text_emb_CD))
        return {"val_loss": val_loss, **_retrieval_figures(audio_emb_AD, text_emb_CD, self._val)}

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

    def _prepared(self, data: TrainingData) -> Ragged:
        return self.model.text.prepare(data.all_captions)

    def _embed(self, batch: PairBatch) -> tuple[Tensor, Tensor]:
        frames_BTF, frame_lengths_B = self._frames.gather(batch.clip_index_B.to(self._device))
        texts, text_lengths_B = self._texts.gather(batch.caption_index_B.to(self._device))
        return self.model(frames_BTF, frame_lengths_B, texts, text_lengths_B)  # type: ignore[no-any-return]

    @torch.no_grad()
    def _validation_loss(self, audio_emb_AD: Tensor, text_emb_CD: Tensor) -> float:
        assert self._val is not None
        total = 0.0
        for batch in pairs_in_turn(self._val, batch_size=self._settings.batch_size):
            similarity_BB = audio_emb_AD[batch.clip_index_B] @ text_emb_CD[batch.caption_index_B].T
            total += self._loss(similarity_BB, batch.clip_index_B).item() * len(batch)
        return total / len(self._val.all_captions)


def _retrieval_figures(
    audio_emb_AD: np.ndarray[Any, np.dtype[np.float32]],
    text_emb_CD: np.ndarray[Any, np.dtype[np.float32]],
    data: TrainingData,
) -> dict[str, float]:
    from atrkit.metrics.ranking import evaluate
    from atrkit.score_matrix import ScoreMatrix

    clip_of_caption = [data.clip_ids[a] for a in data.clip_index_of_caption_C]
    caption_ids = [str(c) for c in range(len(clip_of_caption))]
    directions = evaluate(ScoreMatrix(audio_emb_AD @ text_emb_CD.T, data.clip_ids, caption_ids, clip_of_caption))
    figures = {
        f"{direction}.{name}": float(directions[direction][name])
        for direction in ("text_to_audio", "audio_to_text")
        for name in _VALIDATION_FIGURES
    }
    figures["mean_R@1"] = (figures["text_to_audio.R@1"] + figures["audio_to_text.R@1"]) / 2
    return figures
