"""What a training is told, and what it tells."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from atrkit.errors import UsageError
from atrkit.training.data import CaptionChoice
from atrkit.training.optimisation import OptimizerSettings

KeepBest = Literal[
    "val_loss", "fense", "text_to_audio.R@1", "text_to_audio.R@10", "text_to_audio.mAP@10", "mean_R@1", "last"
]
Precision = Literal["float32", "bfloat16"]
StopRequested = Callable[[], type[BaseException] | None]


@dataclass(frozen=True)
class LoopSettings:
    """What a training does, whatever model it trains.

    Args:
        epochs: passes over the training clips.
        batch_size: pairs whose loss is computed together; of a contrastive loss, all negatives are among them.
        optimizer: AdamW and its schedule.
        caption_choice: one "random" caption per clip and epoch, or "all".
        keep_best: the validation metric whose best epoch is kept (the earlier of equals), or "last".
        clip_grad_norm: gradients are scaled down to this norm; None: never.
        seed: of the order, the captions drawn and dropout.
        precision: of the forward pass. bfloat16 has the range of float32: nothing has to be scaled, as in float16.
        accumulate_batches: batches whose gradients are averaged before a step, where memory holds no larger one. The
            negatives of a contrastive loss are still those of one batch: two batches of 16 learn from fewer
            comparisons than one of 32. The last batches of an epoch make a step however few they are.
        checkpoint_every_s: how old a checkpoint may become. A small one is written at every epoch's end too; None: each
            is, and only there.
        bucket_batches: batches are cut from pools of so many, sorted by length; 1: drawn at random.
        validate_every: epochs from one validation to the next; the last epoch is always validated.
    """

    epochs: int
    batch_size: int
    optimizer: OptimizerSettings
    caption_choice: CaptionChoice = "random"
    keep_best: KeepBest = "val_loss"
    clip_grad_norm: float | None = None
    seed: int = 0
    precision: Precision = "float32"
    accumulate_batches: int = 1
    checkpoint_every_s: float | None = 60.0
    bucket_batches: int = 1
    validate_every: int = 1

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "accumulate_batches", "bucket_batches", "validate_every"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}, and must be 1 or more")


def require_choice(keep_best: KeepBest, choices: Sequence[KeepBest], *, has_validation: bool) -> None:
    """Refuse a way to choose the epoch that this kind of training does not have.

    Raises:
        UsageError: unknown, or of a figure on validation clips that are not there.
    """
    if keep_best not in choices:
        raise UsageError(f"no epoch is kept by {keep_best!r}: choose {', '.join(choices)}")
    if keep_best != "last" and not has_validation:
        raise UsageError(f"keep_best is {keep_best!r}, but there is no validation split: name one, or keep the last")


@dataclass(frozen=True)
class Hooks:
    """How a caller follows and stops a training.

    Args:
        on_start: called once before the first step with the number of epochs that are done, by the checkpoint.
        on_epoch: called after every epoch with its metrics, when metrics.jsonl is written, and a checkpoint if due.
        stop_requested: asked after every step; when it gives an exception type, a checkpoint is written and the
            exception raised (KeyboardInterrupt for Ctrl-C, TerminatedError for SIGTERM).
        clock: seconds, for `checkpoint_every_s`.
    """

    on_start: Callable[[int], None] | None = None
    on_epoch: Callable[[dict[str, Any]], None] | None = None
    stop_requested: StopRequested | None = None
    clock: Callable[[], float] = time.monotonic


@dataclass(frozen=True)
class TrainingResult:
    """What came of a training.

    Args:
        best_epoch: that was kept, counted from 1.
        best_metric: its value of the metric that chose it; None when the last one is kept.
        epochs_run: all epochs, also those before an interruption.
        metrics: one entry per epoch, as in metrics.jsonl.
        constant_features: frame features that never change in the training clips; centred, not scaled.
    """

    best_epoch: int
    best_metric: float | None
    epochs_run: int
    metrics: tuple[dict[str, Any], ...]
    constant_features: int = 0
