import itertools
from pathlib import Path
from typing import Any

import pytest

from atrkit.errors import IntegrityError, TerminatedError
from atrkit.models import Captioner, Ragged
from atrkit.training import OptimizerSettings, TrainingResult
from atrkit.training import loop as loop_module
from atrkit.training.captioner_task import CaptionerTask

EPOCHS, STEPS = 4, 3  # of the tiny training


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tiny: Any, whole: Path, tmp_path: Path) -> None:
    tiny.train(tmp_path / "again")
    assert tiny.bytes_of(tmp_path / "again") == tiny.bytes_of(whole)
    tiny.train(tmp_path / "other", seed=4)
    assert (tmp_path / "other" / "model.safetensors").read_bytes() != (whole / "model.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("stops", "kind"),
    [
        ([2, 13], TerminatedError),
        # after every step of every epoch, and twice in each validation, which the next start repeats
        ([1, 1, 1, 1, 2, *[3, 1, 1, 1, 2] * (EPOCHS - 1)], KeyboardInterrupt),
    ],
)
def test_an_interrupted_training_continues_to_the_same_bytes(
    tiny: Any, whole: Path, tmp_path: Path, stops: list[int], kind: type[BaseException]
) -> None:
    for seed, calls in enumerate(stops, start=1):
        # only the first start takes the model's own weights, of seed 1 as in the whole training
        with pytest.raises(kind, match="the same command continues"):
            tiny.train(tmp_path, model=tiny.model_of(seed), stop_requested=tiny.stop_after(calls, kind))
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == (3 if len(stops) > 2 else 2)
    tiny.train(tmp_path, model=tiny.model_of(seed=99))
    assert tiny.bytes_of(tmp_path) == tiny.bytes_of(whole)


def test_captions_that_are_being_written_can_be_interrupted(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[int] = []
    honest = CaptionerTask.loss
    monkeypatch.setattr(CaptionerTask, "loss", lambda self, batch: (steps.append(1), honest(self, batch))[1])

    def train_until(folder: Path, written: int) -> TrainingResult:
        calls = itertools.count(1)

        def write_captions(model: Captioner, frames: Ragged) -> list[str]:
            if next(calls) == written:
                raise TerminatedError("amid a caption")
            return ["a"] * len(frames)

        return tiny.train(folder, keep_best="fense", fense=lambda *_: 0.5, write_captions=write_captions)

    train_until(tmp_path / "whole", written=99)
    steps.clear()
    with pytest.raises(TerminatedError, match="amid a caption"):
        train_until(tmp_path / "stopped", written=2)
    train_until(tmp_path / "stopped", written=99)
    assert tiny.bytes_of(tmp_path / "stopped") == tiny.bytes_of(tmp_path / "whole")
    assert len(steps) == STEPS * EPOCHS  # none of them twice


class Killed(BaseException):
    pass


def die_in(monkeypatch: pytest.MonkeyPatch, method: str, call: int) -> None:
    """At its nth call the task dies, as a process does under kill -9: nothing is saved at that moment."""
    calls = itertools.count(1)
    honest = getattr(CaptionerTask, method)

    def dying(self: CaptionerTask, *arguments: Any) -> Any:
        if next(calls) == call:
            raise Killed
        return honest(self, *arguments)

    monkeypatch.setattr(CaptionerTask, method, dying)


@pytest.mark.parametrize(
    ("method", "call", "checkpoint_every_s"),
    [
        ("loss", 1, None),
        ("loss", 5, None),
        ("loss", 5, 0.0),
        ("loss", 12, 0.0),
        ("validate", 1, 0.0),
        ("validate", 4, None),
    ],
)
def test_a_killed_training_continues_to_the_same_bytes(
    tiny: Any,
    whole: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    call: int,
    checkpoint_every_s: Any,
) -> None:
    for at_call in (call, 1):  # and once more, as soon as it resumed
        with monkeypatch.context() as patched, pytest.raises(Killed):
            die_in(patched, method, at_call)
            tiny.train(tmp_path, checkpoint_every_s=checkpoint_every_s)
    tiny.train(tmp_path, checkpoint_every_s=checkpoint_every_s)
    assert tiny.bytes_of(tmp_path) == tiny.bytes_of(whole)


def test_a_killed_training_that_keeps_the_last_epoch_continues_too(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny.train(tmp_path / "whole", val=None, keep_best="last", epochs=2)
    with monkeypatch.context() as patched, pytest.raises(Killed):
        die_in(patched, "loss", STEPS + 1)
        tiny.train(tmp_path / "killed", val=None, keep_best="last", epochs=2)
    tiny.train(tmp_path / "killed", val=None, keep_best="last", epochs=2)
    assert tiny.bytes_of(tmp_path / "killed") == tiny.bytes_of(tmp_path / "whole")


def test_large_checkpoints_follow_the_clock_and_epochs_after_the_last_one_are_run_again(
    tiny: Any, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saves: list[int] = []
    save_state = loop_module.save_state
    monkeypatch.setattr(loop_module, "_SMALL_BYTES", 0)
    monkeypatch.setattr(loop_module, "save_state", lambda *state: (saves.append(1), save_state(*state)))
    tiny.train(tmp_path / "rare", checkpoint_every_s=1e9)
    assert len(saves) == 1 and tiny.bytes_of(tmp_path / "rare") == tiny.bytes_of(whole)
    with pytest.raises(KeyboardInterrupt):
        tiny.train(tmp_path / "killed", checkpoint_every_s=1e9, stop_requested=tiny.stop_after(STEPS + 2 + 1))
    with monkeypatch.context() as patched, pytest.raises(Killed):
        die_in(patched, "loss", 2 * STEPS)
        tiny.train(tmp_path / "killed", checkpoint_every_s=1e9)
    assert len((tmp_path / "killed" / "metrics.jsonl").read_text().splitlines()) == 3  # beyond the checkpoint
    epochs_done: list[int] = []
    tiny.train(tmp_path / "killed", checkpoint_every_s=1e9, on_start=epochs_done.append)
    assert epochs_done == [1]
    assert tiny.bytes_of(tmp_path / "killed") == tiny.bytes_of(whole)
    saves.clear()
    tiny.train(tmp_path / "each", checkpoint_every_s=None)
    assert len(saves) == EPOCHS


def test_a_finished_training_is_not_repeated(tiny: Any, whole: Path, tmp_path: Path) -> None:
    tiny.train(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    epochs: list[Any] = []
    result = tiny.train(tmp_path, model=tiny.model_of(seed=5), on_epoch=epochs.append)
    assert not epochs and result.epochs_run == EPOCHS
    assert tiny.bytes_of(tmp_path) == tiny.bytes_of(whole)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"seed": 8}, "seed"),
        ({"label_smoothing": 0.1}, "loss"),
        ({"mixup_alpha": 0.3}, "augmentation"),
        ({"feature_stripes": 3}, "augmentation"),
        ({"stripe_width": 2}, "augmentation"),
        ({"bucket_batches": 1}, "bucket_batches"),
        ({"validate_every": 2}, "validate_every"),
        ({"optimizer": OptimizerSettings(lr=1e-2, weight_decay=2.0, decay_biases=False)}, r"optimizer\.schedule"),
        ({"train": lambda tiny: tiny.sequences_of(30, seed=7)}, "training data"),
        ({"val": lambda tiny: tiny.sequences_of(12, seed=7)}, "validation data"),
        ({"model": lambda tiny: tiny.model_of(dropout=0.1)}, "model"),
    ],
)
def test_another_training_does_not_continue_this_one(
    tiny: Any, tmp_path: Path, changes: dict[str, Any], named: str
) -> None:
    with pytest.raises(KeyboardInterrupt):
        tiny.train(tmp_path, stop_requested=tiny.stop_after(1))
    with pytest.raises(IntegrityError, match=rf"other settings \({named}: .*use another run folder"):
        tiny.train(tmp_path, **{key: value(tiny) if callable(value) else value for key, value in changes.items()})


def test_an_interrupted_training_with_rare_validations_continues_to_the_same_bytes(tiny: Any, tmp_path: Path) -> None:
    tiny.train(tmp_path / "whole", validate_every=3)
    for steps in (2, 2 * STEPS, 2):
        with pytest.raises(KeyboardInterrupt):
            tiny.train(tmp_path / "stopped", validate_every=3, stop_requested=tiny.stop_after(steps))
    tiny.train(tmp_path / "stopped", validate_every=3)
    assert tiny.bytes_of(tmp_path / "stopped") == tiny.bytes_of(tmp_path / "whole")
