import io
import os
import pickle
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch

from atrkit.errors import IntegrityError
from atrkit.training.checkpoint import TrainingState, load_state, save_state

FINGERPRINT = {"seed": 1, "optimizer.betas": (0.9, 0.999), "training data": "abc", "clip_grad_norm": None}


def state() -> TrainingState:
    return TrainingState(
        fingerprint=FINGERPRINT,
        epoch=3,
        step=7,
        loss_sum=0.1 + 0.2,
        best_weights={"w": torch.tensor([1.5])},
        metrics=[{"epoch": 1, "train_loss": 1 / 3}],
        weights={"w": torch.arange(3.0)},
        rng={"cpu": torch.get_rng_state()},
    )


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "state"
    save_state(path, state())
    read = load_state(path, FINGERPRINT)
    assert read is not None and vars(read).keys() == vars(state()).keys()
    assert (read.epoch, read.step, read.loss_sum, read.metrics) == (3, 7, 0.1 + 0.2, state().metrics)
    assert torch.equal(read.weights["w"], torch.arange(3.0)) and torch.equal(read.rng["cpu"], state().rng["cpu"])


def test_no_file_is_no_state(tmp_path: Path) -> None:
    assert load_state(tmp_path / "state", FINGERPRINT) is None


def test_no_flip_and_no_cut_goes_unnoticed(tmp_path: Path) -> None:
    path = tmp_path / "state"
    save_state(path, state())
    good = path.read_bytes()
    rng = np.random.default_rng(1)
    for position, bit in zip(rng.integers(0, len(good), 200), rng.integers(0, 8, 200), strict=True):
        flipped = bytearray(good)
        flipped[position] ^= 1 << bit
        path.write_bytes(flipped)
        with pytest.raises(IntegrityError, match="delete it to train from the start"):
            load_state(path, FINGERPRINT)
    for size in (0, len(good) // 100, len(good) // 2, len(good) - 1):
        path.write_bytes(good[:size])
        with pytest.raises(IntegrityError, match="is damaged"):
            load_state(path, FINGERPRINT)


def test_settings_that_changed_are_named(tmp_path: Path) -> None:
    path = tmp_path / "state"
    save_state(path, state())
    with pytest.raises(IntegrityError, match=r"other settings \(seed: 1 there, 2 now\)"):
        load_state(path, {**FINGERPRINT, "seed": 2})
    with pytest.raises(IntegrityError, match="training data: 'abc' there, None now"):
        load_state(path, {key: value for key, value in FINGERPRINT.items() if key != "training data"})


class Payload:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_malicious_checkpoint_is_refused_and_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, legacy: bool
) -> None:
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    payload = Payload(tmp_path / "owned")
    buffer = io.BytesIO()
    if legacy:
        pickle.dump(payload, buffer)
    else:
        torch.save(payload, buffer)
    path = tmp_path / "state"
    path.write_bytes(sha256(buffer.getvalue()).hexdigest().encode() + b"\n" + buffer.getvalue())
    with pytest.raises(IntegrityError, match="no checkpoint of this version"):
        load_state(path, FINGERPRINT)
    assert not (tmp_path / "owned").exists()
