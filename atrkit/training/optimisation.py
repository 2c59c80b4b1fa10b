"""AdamW, and the learning rate as a closed form of the step: a schedule has no state to lose when resuming."""

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from atrkit.errors import UsageError

Schedule = Literal["constant", "cosine", "cosine_per_epoch", "one_cycle", "step"]

_ONE_CYCLE_RISE_FRACTION = 0.3
_ONE_CYCLE_START_DIVISOR = 25.0
_ONE_CYCLE_END_DIVISOR = 1e4


@dataclass(frozen=True)
class OptimizerSettings:
    """AdamW and its schedule.

    Args:
        lr: highest learning rate.
        betas: decay of the running means of gradient and squared gradient.
        eps: added to the denominator.
        weight_decay: decoupled from the gradient.
        decay_biases: False spares biases (paper 004, section 3.3).
        schedule: "constant"; "cosine", from lr to 0 step by step; "cosine_per_epoch", paper 004's; "one_cycle";
            "step", times `step_factor` after every `step_epochs` epochs.
        warmup_fraction: share of all steps on which the rate rises. For one_cycle the rise itself (None: 0.3), for the
            others a linear factor on top (None: no rise).
        step_epochs: of schedule "step".
        step_factor: of schedule "step".
    """

    lr: float
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.01
    decay_biases: bool = True
    schedule: Schedule = "cosine"
    warmup_fraction: float | None = None
    step_epochs: int = 20
    step_factor: float = 0.1


def learning_rate(settings: OptimizerSettings, *, step: int, steps_per_epoch: int, epochs: int) -> float:
    """Learning rate of one step.

    Args:
        settings: highest rate and schedule.
        step: counted from 0 over all epochs.
        steps_per_epoch: constant over the training.
        epochs: of the whole training.

    Returns:
        0 to `settings.lr`.

    Raises:
        UsageError: unknown schedule.

    Source: cosine_per_epoch is paper 004, section 3.3: lr_k = (1 + cos(k pi / K)) / 2 lr_0 after k of K epochs.
    step, by a tenth every 20 epochs, is read from the public code of Mei et al. 2022, which paper 001 follows.
    one_cycle is that of torch's OneCycleLR, cosine both ways, without its change of the betas (our choice).

    Example:
        >>> paper_004 = OptimizerSettings(lr=5e-4, schedule="cosine_per_epoch")
        >>> [learning_rate(paper_004, step=s, steps_per_epoch=2, epochs=4) for s in (0, 1, 4)]
        [0.0005, 0.0005, 0.00025]
    """
    total_steps = steps_per_epoch * epochs
    match settings.schedule:
        case "constant":
            factor = 1.0
        case "cosine":
            factor = _half_cosine(step / total_steps)
        case "cosine_per_epoch":
            factor = _half_cosine((step // steps_per_epoch) / epochs)
        case "one_cycle":
            return settings.lr * _one_cycle(step, total_steps, settings.warmup_fraction)
        case "step":
            factor = settings.step_factor ** (step // steps_per_epoch // settings.step_epochs)
        case unknown:
            raise UsageError(
                f"no schedule is called {unknown!r}: choose constant, cosine, cosine_per_epoch, one_cycle or step"
            )
    warmup_steps = (settings.warmup_fraction or 0) * total_steps
    return settings.lr * factor * min(1.0, (step + 1) / warmup_steps if warmup_steps else 1.0)


def _half_cosine(progress: float) -> float:
    return (1 + math.cos(math.pi * progress)) / 2


def _one_cycle(step: int, total_steps: int, rise_fraction: float | None) -> float:
    start = 1 / _ONE_CYCLE_START_DIVISOR
    end = start / _ONE_CYCLE_END_DIVISOR
    rise = _ONE_CYCLE_RISE_FRACTION if rise_fraction is None else rise_fraction
    top_step = max(rise * total_steps - 1, 0.0)
    if step <= top_step:
        return 1 + (start - 1) * _half_cosine(step / top_step if top_step > 0 else 1.0)
    return end + (1 - end) * _half_cosine((step - top_step) / (total_steps - 1 - top_step))


def make_optimizer(model: nn.Module, settings: OptimizerSettings) -> torch.optim.AdamW:
    """AdamW over the parameters that are trained; frozen ones are left out.

    Raises:
        UsageError: nothing is to be trained.
    """
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    if not trained:
        raise UsageError("the model has no parameter to train: all of it is frozen")
    spared = [p for name, p in trained.items() if not settings.decay_biases and _is_bias(name)]
    decayed = [p for name, p in trained.items() if settings.decay_biases or not _is_bias(name)]
    groups: list[dict[str, Any]] = [{"params": decayed}, {"params": spared, "weight_decay": 0.0}]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=settings.lr,
        betas=settings.betas,
        eps=settings.eps,
        weight_decay=settings.weight_decay,
        fused=True,
    )


def _is_bias(name: str) -> bool:
    return "bias" in name.rpartition(".")[2]  # also an LSTM's bias_ih_l0
