"""All that a training needs to continue to the same bits, in one file that checks itself.

The first line of the file is the sha256 of the rest; the rest is what torch.save writes, and is read with
`weights_only=True`: a checkpoint from elsewhere can be refused, never run.
"""

import io
import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from atrkit.errors import IntegrityError
from atrkit.files import open_atomic

CHECKPOINT_NAME = "training_state.ckpt"


@dataclass
class TrainingState:
    """Where a training stands.

    Args:
        fingerprint: settings and digests of what it started from; a resumed training must have the same.
        epoch: the one under way, counted from 1; one more than the last when all are done.
        step: batches of it that are learned from; one or several make a step.
        loss_sum: of its steps, each times the terms that its loss is the mean of.
        terms: that the sum is over: pairs, or tokens.
        best_epoch: that is kept; 0 before the first is done.
        best_value: of the metric that chooses it, higher is better.
        best_weights: of that epoch; None when it is the last one that ended.
        metrics: one entry per finished epoch.
        weights: of the model, without frozen parameters.
        optimizer: its state dict.
        rng: states of torch's generators, by device.
    """

    fingerprint: dict[str, Any]
    epoch: int = 1
    step: int = 0
    loss_sum: float = 0.0
    terms: int = 0
    best_epoch: int = 0
    best_value: float = 0.0
    best_weights: dict[str, Tensor] | None = None
    metrics: list[dict[str, Any]] = field(default_factory=list)
    weights: dict[str, Tensor] = field(default_factory=dict)
    optimizer: dict[str, Any] = field(default_factory=dict)
    rng: dict[str, Tensor] = field(default_factory=dict)


def save_state(path: Path, state: TrainingState) -> None:
    """Write a checkpoint in one atomic step.

    Raises:
        ResourceError: it cannot be written.
    """
    buffer = io.BytesIO()
    torch.save({name: getattr(state, name) for name in state.__dataclass_fields__}, buffer)
    content = buffer.getbuffer()  # hundreds of megabytes, not copied again
    with open_atomic(path) as file:
        file.write(sha256(content).hexdigest().encode() + b"\n")
        file.write(content)


def load_state(path: Path, fingerprint: Mapping[str, Any]) -> TrainingState | None:
    """Read a checkpoint, if there is one.

    Args:
        path: as given to `save_state`.
        fingerprint: of the training that wants to continue.

    Returns:
        The state; None when there is no file.

    Raises:
        IntegrityError: the file is damaged, or from a training with other settings or data; says which differ.
    """
    if not path.exists():
        return None
    digest, _, content = path.read_bytes().partition(b"\n")
    if sha256(content).hexdigest().encode() != digest:
        raise IntegrityError(f"{path} is damaged (its sha256 differs): delete it to train from the start")
    try:
        state = TrainingState(**torch.load(io.BytesIO(content), weights_only=True, map_location="cpu"))
    except (pickle.UnpicklingError, zipfile.BadZipFile, RuntimeError, TypeError, EOFError) as error:
        raise IntegrityError(
            f"{path} is no checkpoint of this version of atrkit: delete it to train from the start"
        ) from error
    _require_same(path, state.fingerprint, fingerprint)
    return state


def _require_same(path: Path, saved: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    changed = [key for key in {**saved, **wanted} if saved.get(key) != wanted.get(key)]
    if changed:
        differences = "; ".join(f"{key}: {saved.get(key)!r} there, {wanted.get(key)!r} now" for key in changed)
        raise IntegrityError(
            f"{path} is of a training with other settings ({differences}): "
            "use another run folder, or delete it to train from the start"
        )
