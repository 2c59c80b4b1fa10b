"""The training loop: steps, epochs, the best one, divergence, and continuing to the same bits.

A plain loop on accelerate, which knows the device, the precision and the backward pass. Everything that moves is in
one `TrainingState`; pairs and learning rates are functions of seed, epoch and step, so that nothing is replayed when
a training continues.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, NoReturn, Protocol

import torch
from torch import Tensor, nn

from atrkit.errors import DivergedError, TerminatedError
from atrkit.files import write_atomic
from atrkit.training.batches import PairBatch, pairs_of_epoch
from atrkit.training.checkpoint import CHECKPOINT_NAME, TrainingState, load_state, save_state
from atrkit.training.data import TrainingData, named
from atrkit.training.device import deterministic
from atrkit.training.optimisation import learning_rate, make_optimizer
from atrkit.training.settings import Hooks, LoopSettings, TrainingResult

METRICS_NAME = "metrics.jsonl"

_SMALL_BYTES = 1 << 25  # of a checkpoint that is written in a moment, and so at every epoch's end


class Task(Protocol):
    """What is trained: a model, its loss on a batch of pairs, and its validation."""

    @property
    def model(self) -> nn.Module:
        """On its device."""

    def loss(self, batch: PairBatch) -> Tensor:
        """Mean loss per term, a scalar to go backward from."""

    def terms(self, batch: PairBatch) -> int:
        """How many terms, pairs or tokens, the loss of a batch is the mean of."""

    def broken_clips(self, batch: PairBatch) -> list[str]:
        """Ids of the clips of a batch whose outputs are not finite."""

    def validate(self) -> dict[str, float]:
        """Validation metrics by name; empty without validation data. May end with what a signal raises."""

    def figures(self, batches: Sequence[PairBatch]) -> dict[str, float]:
        """What else is worth noting of an epoch's batches, by name: a function of them alone."""

    def fingerprint(self) -> dict[str, Any]:
        """What the training starts from, in short: model, loss, data."""


@dataclass
class Trainer:
    """Runs a task through its epochs, from the start or from the checkpoint in the run folder.

    Args:
        task: model, loss and validation; the model is on the accelerator's device.
        data: clips and captions of the training split.
        settings: of the loop.
        run_folder: for the checkpoint and metrics.jsonl.
        accelerator: from `make_accelerator`.
        hooks: of the caller.
    """

    task: Task
    data: TrainingData
    settings: LoopSettings
    run_folder: Path
    accelerator: Any
    hooks: Hooks = field(default_factory=Hooks)

    def __post_init__(self) -> None:
        self._model = self.task.model
        self._optimizer = make_optimizer(self._model, self.settings.optimizer)
        self._trained = [p for p in self._model.parameters() if p.requires_grad]
        frozen = {name for name, p in self._model.named_parameters() if not p.requires_grad}
        self._stored_names = [name for name in self._model.state_dict() if name not in frozen]
        self._state = TrainingState(fingerprint=self._fingerprint(frozen))
        self._checkpoint_path = self.run_folder / CHECKPOINT_NAME
        self._saved_at_s = self.hooks.clock()
        # weights, those of the best epoch, and AdamW's two means
        checkpoint_bytes = 4 * sum(p.nbytes for p in self._trained)
        self._saves_every_epoch = self.settings.checkpoint_every_s is None or checkpoint_bytes <= _SMALL_BYTES

    def run(self) -> TrainingResult:
        """Train what is left to train, and leave the best epoch's weights in the model.

        Raises:
            DivergedError: features, loss or gradient are not finite; names epoch, step and clips.
            IntegrityError: the checkpoint is damaged or of another training.
            KeyboardInterrupt, TerminatedError: as `stop_requested` said; a checkpoint is there.
        """
        device = self.accelerator.device
        with torch.random.fork_rng([device] if device.type == "cuda" else []), deterministic(device):
            self._start_or_resume()
            if self.hooks.on_start is not None:
                self.hooks.on_start(self._state.epoch - 1)
            while self._state.epoch <= self.settings.epochs:
                batches = self._batches_of_epoch()
                self._run_steps(batches)
                self._end_epoch(batches)
        state, keep_best = self._state, self.settings.keep_best
        if state.best_weights is not None:
            self._model.load_state_dict(state.best_weights, strict=False)
        self._model.eval()
        return TrainingResult(
            best_epoch=state.best_epoch,
            best_metric=None if keep_best == "last" else state.metrics[state.best_epoch - 1][keep_best],
            epochs_run=len(state.metrics),
            metrics=tuple(state.metrics),
        )

    def _start_or_resume(self) -> None:
        saved = load_state(self._checkpoint_path, self._state.fingerprint)
        if saved is None:
            torch.manual_seed(self.settings.seed)
            return
        self._state = saved
        self._model.load_state_dict(saved.weights, strict=False)
        self._optimizer.load_state_dict(saved.optimizer)
        torch.set_rng_state(saved.rng["cpu"])
        if "cuda" in saved.rng:
            torch.cuda.set_rng_state(saved.rng["cuda"], self.accelerator.device)
        self._write_metrics()  # the kill may have come between checkpoint and metrics

    def _batches_of_epoch(self) -> list[PairBatch]:
        settings = self.settings
        return pairs_of_epoch(
            self.data,
            batch_size=settings.batch_size,
            caption_choice=settings.caption_choice,
            seed=settings.seed,
            epoch=self._state.epoch,
            bucket_batches=settings.bucket_batches,
        )

    def _run_steps(self, batches: Sequence[PairBatch]) -> None:
        state, together = self._state, self.settings.accumulate_batches
        steps_per_epoch = -(-len(batches) // together)
        self._model.train()
        while state.step < len(batches):
            group = batches[state.step : state.step + together]
            step = (state.epoch - 1) * steps_per_epoch + self._steps_done
            self._set_learning_rate(step, steps_per_epoch)
            for batch, loss in zip(group, self._step(group), strict=True):
                terms = self.task.terms(batch)
                state.loss_sum += loss * terms
                state.terms += terms
            state.step += len(group)
            # only between steps: gradients of half a group need not be kept
            self._save_if_due()

    @property
    def _steps_done(self) -> int:
        """Of this epoch; its last step may be of fewer batches."""
        return -(-self._state.step // self.settings.accumulate_batches)

    def _set_learning_rate(self, step: int, steps_per_epoch: int) -> None:
        settings = self.settings
        lr = learning_rate(settings.optimizer, step=step, steps_per_epoch=steps_per_epoch, epochs=settings.epochs)
        for group in self._optimizer.param_groups:
            group["lr"] = lr

    def _step(self, group: Sequence[PairBatch]) -> list[float]:
        """One step along the mean of the gradients of some batches; returns their losses."""
        losses = [self._backward(batch, share=1 / len(group)) for batch in group]
        gradients = [p.grad for p in self._trained if p.grad is not None]
        norm = nn.utils.get_total_norm(gradients)
        if not norm.isfinite():
            self._stop_diverged(f"the gradient's norm is {norm.item()}", group)
        if self.settings.clip_grad_norm is not None:
            nn.utils.clip_grads_with_norm_(self._trained, self.settings.clip_grad_norm, norm)
        self._optimizer.step()
        self._optimizer.zero_grad()
        return losses

    def _backward(self, batch: PairBatch, share: float) -> float:
        with self.accelerator.autocast():
            loss = self.task.loss(batch)
        value = loss.item()
        if not math.isfinite(value):
            self._stop_diverged(f"the loss is {value}", [batch])
        self.accelerator.backward(loss * share if share < 1 else loss)
        return value

    def _stop_diverged(self, what: str, group: Sequence[PairBatch]) -> NoReturn:
        broken = [clip_id for batch in group for clip_id in self.task.broken_clips(batch)]
        blamed = broken or [self.data.clip_ids[a] for batch in group for a in batch.clip_index_B.tolist()]
        blame = f"{'from' if broken else 'in a batch of'} {named(blamed)}"
        kept = f"kept in {self.run_folder}" if self._checkpoint_path.exists() else "not there yet"
        raise DivergedError(
            f"{what} in epoch {self._state.epoch}, step {self._steps_done + 1}, {blame}: lower the learning rate or "
            f"clip gradients; the last good checkpoint is {kept}"
        )

    def _save_if_due(self) -> None:
        stop = self.hooks.stop_requested() if self.hooks.stop_requested is not None else None
        if stop is not None or self._is_save_due():
            self._save()
        if stop is not None:
            raise stop(
                f"stopped in epoch {self._state.epoch} after step {self._steps_done}: the same command continues there"
            )

    def _is_save_due(self) -> bool:
        every_s = self.settings.checkpoint_every_s
        return every_s is not None and self.hooks.clock() - self._saved_at_s >= every_s

    def _end_epoch(self, batches: Sequence[PairBatch]) -> None:
        state, settings, keep_best = self._state, self.settings, self.settings.keep_best
        is_validated = state.epoch % settings.validate_every == 0 or state.epoch == settings.epochs
        entry = {
            "epoch": state.epoch,
            "lr": self._optimizer.param_groups[0]["lr"],
            "train_loss": state.loss_sum / state.terms,
            **self.task.figures(batches),
            **(self._validate() if is_validated else {}),
        }
        if not all(math.isfinite(value) for value in entry.values()):
            raise DivergedError(f"a validation metric of epoch {state.epoch} is not finite: {entry}")
        if keep_best == "last":
            state.best_epoch = state.epoch
        elif is_validated:
            value = -entry[keep_best] if keep_best == "val_loss" else entry[keep_best]
            if state.best_epoch == 0 or value > state.best_value:
                state.best_epoch, state.best_value, state.best_weights = state.epoch, value, self._weights()
        state.metrics.append(entry)
        state.epoch, state.step, state.loss_sum, state.terms = state.epoch + 1, 0, 0.0, 0
        if state.epoch > settings.epochs or self._saves_every_epoch or self._is_save_due():
            self._save()
        self._write_metrics()
        if self.hooks.on_epoch is not None:
            self.hooks.on_epoch(entry)

    def _validate(self) -> dict[str, float]:
        try:
            return self.task.validate()
        except (KeyboardInterrupt, TerminatedError):
            self._save()  # all steps of the epoch are done; validation alone is repeated
            raise

    def _save(self) -> None:
        state = self._state
        is_of_best_epoch = state.step == 0 and state.best_epoch == state.epoch - 1
        # the same tensors twice are written once
        state.weights = state.best_weights if state.best_weights and is_of_best_epoch else self._weights()
        state.optimizer = self._optimizer.state_dict()
        state.rng = {"cpu": torch.get_rng_state()}
        if self.accelerator.device.type == "cuda":
            state.rng["cuda"] = torch.cuda.get_rng_state(self.accelerator.device)
        save_state(self._checkpoint_path, state)
        self._saved_at_s = self.hooks.clock()

    def _weights(self) -> dict[str, Tensor]:
        state_dict = self._model.state_dict()
        return {name: state_dict[name].detach().to("cpu", copy=True) for name in self._stored_names}

    def _write_metrics(self) -> None:
        lines = [json.dumps(entry, allow_nan=False) + "\n" for entry in self._state.metrics]
        write_atomic(self.run_folder / METRICS_NAME, "".join(lines).encode())

    def _fingerprint(self, frozen: set[str]) -> dict[str, Any]:
        settings = asdict(self.settings)
        del settings["checkpoint_every_s"]  # it does not change the result
        optimizer = {f"optimizer.{key}": value for key, value in settings.pop("optimizer").items()}
        digest = sha256()
        for name, parameter in self._model.named_parameters():
            if name in frozen:
                digest.update(parameter.detach().cpu().numpy().data)
        return {**settings, **optimizer, **self.task.fingerprint(), "frozen weights": digest.hexdigest()[:16]}
