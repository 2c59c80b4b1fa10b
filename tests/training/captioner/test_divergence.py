import itertools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from atrkit.errors import DivergedError
from atrkit.models import Ragged
from atrkit.training import TrainingData
from atrkit.training.batches import PairBatch
from atrkit.training.captioner_task import CaptionerTask
from atrkit.training.checkpoint import CHECKPOINT_NAME

STEPS = 3  # of an epoch of the tiny training


def break_at(monkeypatch: pytest.MonkeyPatch, step: int, broken: Callable[[Tensor, CaptionerTask], Tensor]) -> None:
    steps = itertools.count(1)
    honest = CaptionerTask.loss

    def loss(self: CaptionerTask, batch: PairBatch) -> Tensor:
        value = honest(self, batch)
        return broken(value, self) if next(steps) == step else value

    monkeypatch.setattr(CaptionerTask, "loss", loss)


@pytest.mark.parametrize("what", ["the loss", "the gradient's norm"])
def test_divergence_names_epoch_step_and_clips_and_keeps_the_last_checkpoint(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    def broken(value: Tensor, task: CaptionerTask) -> Tensor:
        bias = next(task.model.parameters())
        return value * torch.nan if what == "the loss" else value + (bias - bias.detach()).abs().sqrt().sum()

    saved: list[bytes] = []
    break_at(monkeypatch, 2 * STEPS + 2, broken)
    with pytest.raises(DivergedError) as caught:
        tiny.train(tmp_path, on_epoch=lambda _: saved.append((tmp_path / CHECKPOINT_NAME).read_bytes()))
    message = str(caught.value)
    assert message.startswith(f"{what} is nan in epoch 3, step 2, in a batch of ") and "\n" not in message
    assert len(saved) == 2 and (tmp_path / CHECKPOINT_NAME).read_bytes() == saved[-1]
    assert not (tmp_path / "model.safetensors").exists()


def test_a_clip_whose_features_overflow_is_named_and_those_it_was_mixed_with_are_not(tiny: Any, tmp_path: Path) -> None:
    huge = tiny.TRAIN.frames.values.clone()
    huge[tiny.TRAIN.frames.offsets[4]] = 3e38
    data = TrainingData(Ragged(huge, tiny.TRAIN.frames.offsets), tiny.TRAIN.clip_ids, tiny.TRAIN.captions)
    model = tiny.model_of()
    with torch.no_grad():
        model.projection[1].weight.fill_(100.0)
    with pytest.raises(DivergedError, match=r"the loss is nan in epoch 1, step \d, from clip 'clip4': "):
        tiny.train(tmp_path, model=model, train=data, feature_stripes=0)


def test_clips_are_named_whose_captions_hold_a_broken_word(tiny: Any, tmp_path: Path) -> None:
    model = tiny.model_of(kind="gru")  # whose first words do not see later ones, not even times zero
    with torch.no_grad():
        model.decoder.word_embeddings.weight[tiny.WORDS.index("siren")] = torch.inf
    with pytest.raises(DivergedError, match="the loss is nan in epoch 1, step 1, from") as caught:
        tiny.train(tmp_path, model=model)
    named = re.findall(r"'(clip\d+)'", str(caught.value))
    assert named and all("siren" in " ".join(tiny.TRAIN.captions[tiny.TRAIN.clip_ids.index(clip)]) for clip in named)
