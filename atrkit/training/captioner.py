"""Training a captioner on frozen frame embeddings."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from atrkit.errors import UsageError
from atrkit.losses import CaptionCrossEntropy
from atrkit.models import Captioner, Ragged
from atrkit.training.augment import Augmentation
from atrkit.training.captioner_task import CaptionerTask, CaptionWriting
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

_KEEP_BEST: tuple[KeepBest, ...] = ("val_loss", "fense", "last")


def train_captioner(
    model: Captioner,
    train: TrainingData,
    val: TrainingData | None,
    *,
    label_smoothing: float,
    mixup_alpha: float,
    feature_stripes: int,
    stripe_width: int,
    epochs: int,
    batch_size: int,
    optimizer: OptimizerSettings,
    run_folder: Path,
    caption_choice: CaptionChoice = "random",
    keep_best: KeepBest = "val_loss",
    fense: Callable[[list[str], list[Sequence[str]]], float] | None = None,
    write_captions: Callable[[Captioner, Ragged], list[str]] | None = None,
    bucket_batches: int = 1,
    validate_every: int = 1,
    clip_grad_norm: float | None = None,
    seed: int = 0,
    precision: Precision = "float32",
    accumulate_batches: int = 1,
    checkpoint_every_s: float | None = 60.0,
    on_start: Callable[[int], None] | None = None,
    on_epoch: Callable[[dict[str, Any]], None] | None = None,
    stop_requested: StopRequested | None = None,
) -> TrainingResult:
    """Train from the start, or from where an interrupted training in `run_folder` stands.

    With equal arguments, data and number of threads, weights and metrics.jsonl are equal to the bit on the CPU, however
    often the training was interrupted. Initial weights are the caller's: make the model inside
    `seeded_initialisation(seed)`, with a vocabulary of the training captions. Frames are standardised where the model
    does that. A training that is already done is not repeated: its best epoch is saved again.

    Args:
        model: from the start; its weights are overwritten when a training continues.
        train: clips and captions to train on.
        val: clips and captions to choose the best epoch by; None only with keep_best "last".
        label_smoothing: share of the target that is spread over all words.
        mixup_alpha: frames and input words are mixed with another pair's by Beta(alpha, alpha); 0: never.
        feature_stripes: bands of features that are set to zero in each clip.
        stripe_width: largest width of a band.
        epochs: passes over the training clips.
        batch_size: pairs per step; one of 1 is mixed with nothing.
        optimizer: AdamW and its schedule.
        run_folder: receives the checkpoint, metrics.jsonl, and at the end the model (`save_pretrained`).
        caption_choice: one "random" caption per clip and epoch, or "all" of them.
        keep_best: "val_loss", the least cross-entropy of the validation captions, in nats per token; "fense", the
            highest FENSE of captions written for the validation clips; or "last". The earlier of equals is kept.
        fense: score of candidates and the references of each, higher is better; asked only with keep_best "fense".
        write_captions: captions of clips by the model; asked only with keep_best "fense". It may raise
            KeyboardInterrupt or TerminatedError: a checkpoint is written first.
        bucket_batches: batches are cut from pools of so many, sorted by length, which also decides who is mixed with
            whom; 1: drawn at random.
        validate_every: epochs from one validation to the next, and the only ones that can be kept; the last epoch is
            always validated.
        clip_grad_norm: gradients are scaled down to this norm; None: never.
        seed: of the order, the captions drawn, augmentation and dropout.
        precision: "float32", or "bfloat16" in the forward pass.
        accumulate_batches: gradients of so many batches are averaged before a step.
        checkpoint_every_s: how old a checkpoint may become; a small one is also written at every epoch's end. None: one
            per epoch.
        on_start: called once before the first step with the number of epochs that are done, by the checkpoint.
        on_epoch: called after every epoch with its metrics: epoch, lr, train_loss (with augmentation and smoothing, per
            token), padding (word positions per word), and where it was validated val_loss and fense.
        stop_requested: asked after every step and within validation; the exception type it gives is raised after a
            checkpoint.

    Returns:
        The best epoch, and the metrics of all.

    Raises:
        UsageError: settings that make no training, or several processes.
        DivergedError: features, loss or gradient are not finite; names epoch, step and clips.
        IntegrityError: the checkpoint is damaged, or of a training with other settings or data.
        KeyboardInterrupt, TerminatedError: as `stop_requested` said; the same call continues.

    Source: paper 004, sections 2.2 and 3.3.
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
        checkpoint_every_s=checkpoint_every_s,
        bucket_batches=bucket_batches,
        validate_every=validate_every,
    )
    require_choice(keep_best, _KEEP_BEST, has_validation=val is not None)
    augment = Augmentation(mixup_alpha, feature_stripes, stripe_width)
    if feature_stripes and stripe_width > model.frame_dim:
        raise UsageError(f"stripe_width is {stripe_width}, and a frame has {model.frame_dim} features")
    writing = _writing(keep_best, fense, write_captions)
    accelerator = make_accelerator(precision)
    constant_features = model.fit_standardisation(train.frames.values)
    model.to(accelerator.device)
    loss = CaptionCrossEntropy(label_smoothing)
    task = CaptionerTask(model, loss, augment, train, val, batch_size, accelerator.device, writing, stop_requested)
    hooks = Hooks(on_start=on_start, on_epoch=on_epoch, stop_requested=stop_requested)
    result = Trainer(task, train, settings, run_folder, accelerator, hooks).run()
    model.save_pretrained(run_folder)
    return replace(result, constant_features=constant_features)


def _writing(
    keep_best: KeepBest,
    fense: Callable[[list[str], list[Sequence[str]]], float] | None,
    write_captions: Callable[[Captioner, Ragged], list[str]] | None,
) -> CaptionWriting | None:
    if keep_best != "fense":
        return None
    if fense is None or write_captions is None:
        raise UsageError("keep_best is 'fense', but its models are not there: keep the epoch of least val_loss")
    return CaptionWriting(write_captions, fense)
