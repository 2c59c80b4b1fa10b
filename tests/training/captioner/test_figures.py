import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from atrkit.errors import DivergedError, UsageError
from atrkit.models import Captioner, Ragged
from atrkit.training import OptimizerSettings
from atrkit.training.batches import pairs_of_epoch, words_with_padding_per_word

EPOCHS = 4  # of the tiny training


def test_metrics_are_written_per_epoch_and_returned(tiny: Any, whole: Path, tmp_path: Path) -> None:
    seen: list[dict[str, Any]] = []
    result = tiny.train(tmp_path, on_epoch=seen.append)
    written = [json.loads(line) for line in (whole / "metrics.jsonl").read_text().splitlines()]
    assert written == seen == list(result.metrics)
    assert [entry["epoch"] for entry in written] == [1, 2, 3, 4]
    assert list(written[0]) == ["epoch", "lr", "train_loss", "padding", "val_loss"]


@pytest.mark.parametrize("bucket_batches", [1, 3])
def test_batches_are_those_of_the_pools_asked_for(tiny: Any, tmp_path: Path, bucket_batches: int) -> None:
    result = tiny.train(tmp_path, epochs=1, bucket_batches=bucket_batches)
    batches = pairs_of_epoch(
        tiny.TRAIN, batch_size=12, caption_choice="random", seed=3, epoch=1, bucket_batches=bucket_batches
    )
    assert result.metrics[0]["padding"] == words_with_padding_per_word(tiny.TRAIN, batches)
    assert (result.metrics[0]["padding"] < 1.15) is (bucket_batches == 3)


@pytest.mark.parametrize("caption_choice", ["random", "all"])
@pytest.mark.parametrize("kind", ["transformer", "gru"])
def test_losses_are_means_over_tokens(tiny: Any, tmp_path: Path, kind: str, caption_choice: Any) -> None:
    still = OptimizerSettings(lr=1e-30, weight_decay=0.0, schedule="constant")
    model = tiny.model_of(dropout=0.0, kind=kind)
    result = tiny.train(tmp_path, **tiny.plain(optimizer=still, epochs=2, caption_choice=caption_choice, model=model))
    kept = Captioner.from_pretrained(tmp_path)
    for epoch, entry in enumerate(result.metrics, start=1):
        batches = pairs_of_epoch(tiny.TRAIN, batch_size=12, caption_choice=caption_choice, seed=3, epoch=epoch)
        shown = [
            (int(clip), int(caption))
            for batch in batches
            for clip, caption in zip(batch.clip_index_B, batch.caption_index_B, strict=True)
        ]
        assert entry["train_loss"] == pytest.approx(tiny.cross_entropy_by_hand(kept, tiny.TRAIN, shown), rel=1e-5)
        assert entry["val_loss"] == pytest.approx(
            tiny.cross_entropy_by_hand(kept, tiny.VAL, tiny.every_pair(tiny.VAL)), rel=1e-5
        )


def test_smoothing_and_augmentation_are_of_training_alone(tiny: Any, tmp_path: Path) -> None:
    still = OptimizerSettings(lr=1e-30, weight_decay=0.0, schedule="constant")
    varied = tiny.train(tmp_path / "varied", optimizer=still, epochs=1).metrics[0]
    unvaried = tiny.train(tmp_path / "plain", **tiny.plain(optimizer=still, epochs=1)).metrics[0]
    assert varied["val_loss"] == unvaried["val_loss"]
    assert varied["train_loss"] != unvaried["train_loss"]


@pytest.mark.parametrize("keep_best", ["val_loss", "last"])
def test_the_model_that_is_kept_is_that_of_the_best_epoch(tiny: Any, tmp_path: Path, keep_best: str) -> None:
    result = tiny.train(tmp_path, keep_best=keep_best, optimizer=OptimizerSettings(lr=0.5, schedule="constant"))
    losses = [entry["val_loss"] for entry in result.metrics]
    if keep_best == "last":
        assert result.best_epoch == EPOCHS and result.best_metric is None
    else:
        assert result.best_metric == min(losses) and result.best_epoch == 1 + losses.index(min(losses))
    kept = Captioner.from_pretrained(tmp_path)
    assert tiny.cross_entropy_by_hand(kept, tiny.VAL, tiny.every_pair(tiny.VAL)) == pytest.approx(
        losses[result.best_epoch - 1], rel=1e-5
    )


def test_by_fense_the_epoch_whose_captions_score_best_is_kept(tiny: Any, tmp_path: Path) -> None:
    """A scorer that likes the second epoch, and a writer that says which weights it was called with."""
    scores = iter([0.25, 0.5, 0.5, 0.125])
    asked: list[tuple[list[str], list[Sequence[str]]]] = []
    weights: list[Tensor] = []

    def write_captions(model: Captioner, frames: Ragged) -> list[str]:
        assert frames is tiny.VAL.frames and not model.training
        weights.append(model.projection[1].weight.detach().clone())
        return [f"caption {clip}" for clip in range(len(frames))]

    def fense(candidates: list[str], references: list[Sequence[str]]) -> float:
        asked.append((candidates, references))
        return next(scores)

    result = tiny.train(tmp_path, keep_best="fense", fense=fense, write_captions=write_captions)
    assert [entry["fense"] for entry in result.metrics] == [0.25, 0.5, 0.5, 0.125]
    assert result.best_epoch == 2 and result.best_metric == 0.5  # the earlier of equals
    assert asked == [([f"caption {clip}" for clip in range(12)], list(tiny.VAL.captions))] * EPOCHS
    kept = Captioner.from_pretrained(tmp_path).projection[1].weight
    assert torch.equal(kept, weights[1]) and not torch.equal(kept, weights[2])


def test_without_keep_best_fense_no_caption_is_written(tiny: Any, tmp_path: Path) -> None:
    def never(*_: Any) -> Any:
        raise AssertionError

    tiny.train(tmp_path, epochs=1, fense=never, write_captions=never)


@pytest.mark.parametrize("score", [np.nan, -np.inf])
def test_a_fense_that_is_not_finite_is_no_figure(tiny: Any, tmp_path: Path, score: float) -> None:
    with pytest.raises(DivergedError, match="validation metric of epoch 1 is not finite"):
        tiny.train(tmp_path, keep_best="fense", fense=lambda *_: score, write_captions=lambda *_: ["a"] * 12)


def test_epochs_between_validations_are_not_kept(tiny: Any, tmp_path: Path) -> None:
    result = tiny.train(tmp_path, epochs=5, validate_every=2, optimizer=OptimizerSettings(lr=1e-3, schedule="constant"))
    assert [list(entry)[-1] for entry in result.metrics] == ["padding", "val_loss", "padding", "val_loss", "val_loss"]
    each = tiny.train(tmp_path / "each", epochs=5, optimizer=OptimizerSettings(lr=1e-3, schedule="constant"))
    for entry, full in zip(result.metrics, each.metrics, strict=True):
        assert entry.items() <= full.items()  # looking changes nothing
    falling = [entry["val_loss"] for entry in each.metrics]
    assert falling == sorted(falling, reverse=True) and result.best_epoch == 5
    rising = tiny.train(
        tmp_path / "up", epochs=5, validate_every=3, optimizer=OptimizerSettings(lr=5.0, schedule="constant")
    )
    assert rising.best_epoch in (3, 5)


def test_without_validation_the_last_epoch_is_kept(tiny: Any, tmp_path: Path) -> None:
    result = tiny.train(tmp_path, val=None, keep_best="last")
    assert result.best_epoch == EPOCHS and list(result.metrics[0]) == ["epoch", "lr", "train_loss", "padding"]
    with pytest.raises(UsageError, match="there is no validation split"):
        tiny.train(tmp_path, val=None)
