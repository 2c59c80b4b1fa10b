from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from atrkit.errors import IntegrityError, UsageError
from atrkit.models import Captioner


def test_single_pairs_train_too(tiny: Any, tmp_path: Path) -> None:
    result = tiny.train(tmp_path, batch_size=1, epochs=1)
    assert result.metrics[0]["padding"] == 1.0
    assert result.metrics[0]["train_loss"] < np.log(len(tiny.WORDS)) + 0.5


@pytest.mark.parametrize("kind", ["transformer", "gru"])
def test_bfloat16_trains_in_float32_weights(tiny: Any, tmp_path: Path, kind: str) -> None:
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state()
    try:
        result = tiny.train(tmp_path, precision="bfloat16", epochs=2, model=tiny.model_of(kind=kind))
        assert np.isfinite([entry["val_loss"] for entry in result.metrics]).all()
        weights = Captioner.from_pretrained(tmp_path).state_dict()
        assert {tensor.dtype for tensor in weights.values()} == {torch.float32}
        AcceleratorState._reset_state()
        full = tiny.train(tmp_path / "full", epochs=1, model=tiny.model_of(kind=kind)).metrics[0]["train_loss"]
        assert result.metrics[0]["train_loss"] != full and abs(result.metrics[0]["train_loss"] - full) < 0.02
        with pytest.raises(IntegrityError, match=r"other settings \(precision: "):
            tiny.train(tmp_path, epochs=2, model=tiny.model_of(kind=kind))
    finally:
        AcceleratorState._reset_state()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "epochs is 0"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"bucket_batches": 0}, "bucket_batches is 0"),
        ({"validate_every": 0}, "validate_every is 0"),
        ({"keep_best": "mean_R@1"}, "choose val_loss, fense, last"),
        ({"keep_best": "fense"}, "its models are not there"),
        ({"keep_best": "fense", "fense": lambda *_: 1.0}, "its models are not there"),
        ({"label_smoothing": 1.0}, "label_smoothing is 1"),
        ({"mixup_alpha": -1.0}, "mixup_alpha is -1"),
        ({"stripe_width": 7}, "stripe_width is 7, and a frame has 6 features"),
        (
            {"keep_best": "fense", "fense": lambda *_: 1.0, "write_captions": lambda *_: ["a"], "epochs": 1},
            "gave 1 captions of 12 clips",
        ),
    ],
)
def test_settings_that_make_no_training_are_refused(
    tiny: Any, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        tiny.train(tmp_path, **changes)


def test_training_leaves_global_state_alone(tiny: Any, tmp_path: Path) -> None:
    before = torch.get_rng_state(), torch.are_deterministic_algorithms_enabled()
    tiny.train(tmp_path, epochs=1)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert torch.are_deterministic_algorithms_enabled() is before[1]
