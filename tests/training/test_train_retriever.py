import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from atrkit.errors import DivergedError, IntegrityError, TerminatedError, UsageError
from atrkit.losses import MaxMargin, NtXent
from atrkit.models import AudioTower, DualEncoder, Ragged, WordTower, seeded_initialisation
from atrkit.text.vocabulary import Vocabulary
from atrkit.training import OptimizerSettings, TrainingData, TrainingResult, train_retriever
from atrkit.training.batches import pairs_of_epoch
from atrkit.training.checkpoint import CHECKPOINT_NAME
from atrkit.training.data import CaptionChoice
from atrkit.training.loop import Trainer
from atrkit.training.settings import Hooks

SOUNDS = ["dog", "rain", "bell", "wind", "siren", "drum"]
EPOCHS, STEPS = 4, 3  # 30 pairs, of which 12, 12 and 6 make a step
FILES = ("model.safetensors", "config.json", "model.sha256", "metrics.jsonl")


def sequences_of(clips: int, seed: int) -> TrainingData:
    """Two sounds in a row, captioned "x then y": each sound has its own feature; five captions per clip."""
    rng = np.random.default_rng(seed)
    frames, captions = [], []
    for _ in range(clips):
        first, second = rng.choice(len(SOUNDS), 2, replace=False)
        sounds = [first] * rng.integers(1, 4) + [second] * rng.integers(1, 4)
        frames.append(np.eye(len(SOUNDS))[sounds] + rng.normal(size=(len(sounds), len(SOUNDS))) / 10)
        captions.append((f"{SOUNDS[first]} then {SOUNDS[second]}", f"{SOUNDS[second]} after {SOUNDS[first]}"))
    return TrainingData(Ragged.from_sequences(frames), tuple(f"clip{n}" for n in range(clips)), tuple(captions))


TRAIN, VAL = sequences_of(30, seed=1), sequences_of(12, seed=2)


def model_of(seed: int = 1, dropout: float = 0.2, dim: int = 16) -> DualEncoder:
    words = Vocabulary.from_captions(TRAIN.all_captions).words
    with seeded_initialisation(seed):
        return DualEncoder(
            AudioTower(len(SOUNDS), dim, hidden_dims=(dim,), pooling_dim=dim, dropout=dropout),
            WordTower(words, dim, word_dim=dim, pooling_dim=dim, dropout=dropout),
        )


def train(run_folder: Path, loss: nn.Module | None = None, **changes: Any) -> TrainingResult:
    arguments: dict[str, Any] = {
        "model": model_of(),
        "loss": NtXent() if loss is None else loss,
        "train": TRAIN,
        "val": VAL,
        "epochs": EPOCHS,
        "batch_size": 12,
        "optimizer": OptimizerSettings(lr=1e-2, schedule="one_cycle"),
        "clip_grad_norm": 1.0,
        "seed": 3,
        "run_folder": run_folder,
    }
    return train_retriever(**{**arguments, **changes})


def stop_after(steps: int, kind: type[BaseException] = KeyboardInterrupt) -> Callable[[], type[BaseException] | None]:
    asked = iter(range(1, 1000))
    return lambda: kind if next(asked) == steps else None


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in FILES}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Threads of other test processes would wait for each other in every small operation."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    train(folder)
    return folder


# --- the same bits, however often interrupted ---


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(whole: Path, tmp_path: Path) -> None:
    train(tmp_path / "again")
    assert bytes_of(tmp_path / "again") == bytes_of(whole)
    train(tmp_path / "other", seed=4)
    assert (tmp_path / "other" / "model.safetensors").read_bytes() != (whole / "model.safetensors").read_bytes()


@pytest.mark.parametrize("stops", [[STEPS], [STEPS * EPOCHS], [2, 2, 2], [1] * (STEPS * EPOCHS)])
@pytest.mark.parametrize("kind", [KeyboardInterrupt, TerminatedError])
def test_an_interrupted_training_continues_to_the_same_bytes(
    whole: Path, tmp_path: Path, stops: list[int], kind: type[BaseException]
) -> None:
    for seed, steps in enumerate(stops, start=1):
        # only the first start takes the model's own weights, of seed 1 as in the whole training
        with pytest.raises(kind, match="the same command continues"):
            train(tmp_path, model=model_of(seed), stop_requested=stop_after(steps, kind))
    train(tmp_path, model=model_of(seed=99))
    assert bytes_of(tmp_path) == bytes_of(whole)


def test_who_follows_is_told_how_many_epochs_were_done(tmp_path: Path) -> None:
    done: list[int] = []
    for steps in (STEPS + 1, STEPS - 1):  # the second one ends at the end of epoch 2
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path, stop_requested=stop_after(steps), on_start=done.append)
    for _ in range(2):
        train(tmp_path, on_start=done.append)
    assert done == [0, 1, 1, EPOCHS], "a step is no epoch"


class Killed(BaseException):
    pass


class KilledAt(nn.Module):
    """A loss that dies, as a process does under kill -9: nothing is saved at that moment."""

    def __init__(self, call: int) -> None:
        super().__init__()
        self.loss, self.calls_left = NtXent(), call

    def forward(self, similarity_BB: Tensor, clip_index_B: Tensor | None = None) -> Tensor:
        self.calls_left -= 1
        if self.calls_left == 0:
            raise Killed
        return self.loss(similarity_BB, clip_index_B)

    def __repr__(self) -> str:
        return repr(self.loss)


@pytest.mark.parametrize("checkpoint_every_s", [None, 0.0])
@pytest.mark.parametrize("call", [1, 2, 5, 9, 14, 19])  # of 20: each epoch calls the loss thrice, and twice to validate
def test_a_killed_training_continues_to_the_same_bytes(
    whole: Path, tmp_path: Path, call: int, checkpoint_every_s: float | None
) -> None:
    for calls in (call, 2):  # and once more, soon after it resumed
        with pytest.raises(Killed):
            train(tmp_path, KilledAt(calls), checkpoint_every_s=checkpoint_every_s)
    train(tmp_path, checkpoint_every_s=checkpoint_every_s)
    assert bytes_of(tmp_path) == bytes_of(whole)


@pytest.mark.parametrize(
    ("name", "nth"),
    [
        (CHECKPOINT_NAME, 1),
        (CHECKPOINT_NAME, EPOCHS),
        ("metrics.jsonl", 1),
        ("metrics.jsonl", EPOCHS),
        ("config.json", 1),
        ("model.safetensors", 1),
        ("model.sha256", 1),
    ],
)
def test_a_kill_between_any_two_writes_changes_nothing(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, nth: int
) -> None:
    left = [nth]
    replace = Path.replace

    def dying_replace(self: Path, target: Path) -> Path:
        if Path(target).name == name:
            left[0] -= 1
            if left[0] == 0:
                raise Killed
        return replace(self, target)

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(Path, "replace", dying_replace)
        train(tmp_path)
    train(tmp_path)
    assert bytes_of(tmp_path) == bytes_of(whole)


def test_a_finished_training_is_not_repeated(whole: Path, tmp_path: Path) -> None:
    train(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    epochs: list[Any] = []
    result = train(tmp_path, model=model_of(seed=5), on_epoch=epochs.append)
    assert not epochs and result.epochs_run == EPOCHS
    assert bytes_of(tmp_path) == bytes_of(whole)


def test_checkpoints_within_an_epoch_follow_the_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved_at_s: list[float] = []
    now_s = [0.0]
    save = Trainer._save
    monkeypatch.setattr(Trainer, "_save", lambda self: (saved_at_s.append(now_s[0]), save(self))[1])
    ticking = Hooks(clock=lambda: now_s.__setitem__(0, now_s[0] + 1) or now_s[0])
    monkeypatch.setattr("atrkit.training.retriever.Hooks", lambda **_: ticking)
    train(tmp_path, epochs=2, batch_size=2, checkpoint_every_s=6)
    assert len(saved_at_s) > 4
    assert all(later - earlier <= 8 for earlier, later in itertools.pairwise(saved_at_s))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"seed": 8}, "seed"),
        ({"epochs": 9}, "epochs"),
        ({"optimizer": OptimizerSettings(lr=2e-2, schedule="one_cycle")}, r"optimizer\.lr"),
        ({"loss": MaxMargin()}, "loss"),
        ({"loss": NtXent(temperature=0.1)}, "loss"),
        ({"train": sequences_of(30, seed=7)}, "training data"),
        ({"val": sequences_of(12, seed=7)}, "validation data"),
        ({"model": model_of(dropout=0.1)}, "model"),
    ],
)
def test_another_training_does_not_continue_this_one(tmp_path: Path, changes: dict[str, Any], named: str) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, stop_requested=stop_after(1))
    with pytest.raises(IntegrityError, match=rf"other settings \({named}: .*use another run folder"):
        train(tmp_path, **changes)


# --- divergence ---


class BrokenAt(nn.Module):
    """A loss whose value, or only its gradient, is NaN at one step."""

    def __init__(self, step: int, *, gradient_only: bool) -> None:
        super().__init__()
        self.loss, self.steps_left, self.gradient_only = NtXent(), step, gradient_only

    def forward(self, similarity_BB: Tensor, clip_index_B: Tensor | None = None) -> Tensor:
        value = self.loss(similarity_BB, clip_index_B)
        if not value.requires_grad:  # in validation
            return value
        self.steps_left -= 1
        if self.steps_left:
            return value
        return (
            value + (similarity_BB - similarity_BB.detach()).abs().sqrt().sum()
            if self.gradient_only
            else value * torch.nan
        )


@pytest.mark.parametrize("gradient_only", [True, False])
def test_divergence_names_epoch_step_and_clips_and_keeps_the_last_checkpoint(
    tmp_path: Path, gradient_only: bool
) -> None:
    saved: list[bytes] = []
    with pytest.raises(DivergedError) as caught:
        train(
            tmp_path,
            BrokenAt(step=2 * STEPS + 2, gradient_only=gradient_only),
            on_epoch=lambda _: saved.append((tmp_path / CHECKPOINT_NAME).read_bytes()),
        )
    message = str(caught.value)
    assert "in epoch 3, step 2, in a batch of 12 clips ('clip" in message and "\n" not in message
    assert ("gradient's norm" in message) is gradient_only and str(tmp_path) in message
    assert len(saved) == 2 and (tmp_path / CHECKPOINT_NAME).read_bytes() == saved[-1]
    assert not (tmp_path / "model.safetensors").exists()


def test_a_clip_whose_features_overflow_is_named(tmp_path: Path) -> None:
    huge = TRAIN.frames.values.clone()
    huge[TRAIN.frames.offsets[4]] = 3e38
    data = TrainingData(Ragged(huge, TRAIN.frames.offsets), TRAIN.clip_ids, TRAIN.captions)
    model = model_of()
    model.audio.fit_standardisation = lambda _: 0  # type: ignore[method-assign] # as with a scale fitted elsewhere
    with torch.no_grad():
        model.audio.frame_mlp[0].weight *= 100
    with pytest.raises(DivergedError, match=r"the loss is nan in epoch 1, step \d, from clip 'clip4'"):
        train(tmp_path, model=model, train=data)


# --- which epoch is kept ---


def test_metrics_are_written_per_epoch_and_returned(whole: Path, tmp_path: Path) -> None:
    seen: list[dict[str, Any]] = []
    result = train(tmp_path, on_epoch=seen.append)
    written = [json.loads(line) for line in (whole / "metrics.jsonl").read_text().splitlines()]
    assert written == seen == list(result.metrics)
    assert [entry["epoch"] for entry in written] == [1, 2, 3, 4]
    names = ["R@1", "R@5", "R@10", "mAP@10"]
    directions = [f"{direction}.{name}" for direction in ("text_to_audio", "audio_to_text") for name in names]
    assert list(written[0]) == ["epoch", "lr", "train_loss", "val_loss", *directions, "mean_R@1"]


@pytest.mark.parametrize("caption_choice", ["random", "all"])
def test_train_loss_is_the_mean_over_the_pairs_shown(tmp_path: Path, caption_choice: CaptionChoice) -> None:
    still = OptimizerSettings(lr=1e-30, weight_decay=0.0, schedule="constant")
    result = train(tmp_path, model=model_of(dropout=0.0), optimizer=still, epochs=2, caption_choice=caption_choice)
    model = DualEncoder.from_pretrained(tmp_path)
    audio_AD, text_CD = model.embed_clips(TRAIN.frames), model.embed_captions(TRAIN.all_captions)
    for epoch in (1, 2):
        terms = []
        for batch in pairs_of_epoch(TRAIN, batch_size=12, caption_choice=caption_choice, seed=3, epoch=epoch):
            clips, captions = batch.clip_index_B.numpy(), batch.caption_index_B.numpy()
            exp_BB = np.exp((audio_AD[clips] @ text_CD[captions].T).astype(np.float64) / 0.07)
            for i, clip in enumerate(clips):
                rivals = [j for j, other in enumerate(clips) if j == i or other != clip]
                terms.append(-2 * np.log(exp_BB[i, i]) + np.log(exp_BB[i, rivals].sum() * exp_BB[rivals, i].sum()))
        assert result.metrics[epoch - 1]["train_loss"] == pytest.approx(np.mean(terms), rel=1e-5)


def validation_by_hand(model: DualEncoder, batch_size: int) -> float:
    audio_AD, text_CD = model.embed_clips(VAL.frames), model.embed_captions(VAL.all_captions)
    order = [2 * clip for clip in range(len(VAL))] + [2 * clip + 1 for clip in range(len(VAL))]
    total = 0.0
    for start in range(0, len(order), batch_size):
        captions = order[start : start + batch_size]
        logits_BB = (audio_AD[[c // 2 for c in captions]] @ text_CD[captions].T).astype(np.float64) / 0.07
        log_softmax = [logits_BB - np.log(np.exp(logits_BB).sum(axis=axis, keepdims=True)) for axis in (0, 1)]
        total -= sum(np.trace(matrix) for matrix in log_softmax)
    return total / len(order)


@pytest.mark.parametrize("keep_best", ["val_loss", "text_to_audio.R@1", "text_to_audio.mAP@10", "mean_R@1", "last"])
def test_the_model_that_is_kept_is_that_of_the_best_epoch(tmp_path: Path, keep_best: str) -> None:
    result = train(tmp_path, keep_best=keep_best, optimizer=OptimizerSettings(lr=0.1, schedule="constant"))
    entry = result.metrics[result.best_epoch - 1]
    if keep_best == "last":
        assert result.best_epoch == EPOCHS and result.best_metric is None
    else:
        values = [metrics[keep_best] for metrics in result.metrics]
        best = min(values) if keep_best == "val_loss" else max(values)
        assert result.best_metric == best and result.best_epoch == 1 + values.index(best)  # the earlier of equals
    kept = DualEncoder.from_pretrained(tmp_path)
    assert validation_by_hand(kept, batch_size=12) == pytest.approx(entry["val_loss"], rel=1e-5)


def test_without_validation_the_last_epoch_is_kept(tmp_path: Path) -> None:
    result = train(tmp_path, val=None, keep_best="last")
    assert result.best_epoch == EPOCHS and list(result.metrics[0]) == ["epoch", "lr", "train_loss"]
    with pytest.raises(UsageError, match="there is no validation split"):
        train(tmp_path, val=None)


# --- it learns ---


@pytest.mark.parametrize(("loss", "caption_choice", "epochs"), [(NtXent(), "random", 60), (MaxMargin(), "all", 30)])
def test_sequences_of_sounds_are_learned_order_included(
    tmp_path: Path, loss: nn.Module, caption_choice: str, epochs: int
) -> None:
    pairs = [(first, second) for first in range(6) for second in range(6) if first != second]
    frames = Ragged.from_sequences([np.eye(6)[[first, first, second]] for first, second in pairs])
    captions = tuple((f"{SOUNDS[a]} then {SOUNDS[b]}", f"{SOUNDS[b]} after {SOUNDS[a]}") for a, b in pairs)
    data = TrainingData(frames, tuple(f"{a}-{b}" for a, b in pairs), captions)
    result = train(
        tmp_path,
        loss,
        model=model_of(dropout=0.0, dim=64),
        train=data,
        val=data,
        epochs=epochs,
        batch_size=15,
        caption_choice=caption_choice,
        keep_best="mean_R@1",
        checkpoint_every_s=None,
        optimizer=OptimizerSettings(lr=5e-3, schedule="one_cycle"),
    )
    assert result.best_metric == 1.0
    assert result.constant_features == 0


# --- settings ---


def test_bfloat16_trains_and_is_another_training(tmp_path: Path) -> None:
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state()
    try:
        result = train(tmp_path, precision="bfloat16", epochs=2)
        assert np.isfinite([entry["val_loss"] for entry in result.metrics]).all()
        weights = DualEncoder.from_pretrained(tmp_path).state_dict()
        assert {tensor.dtype for tensor in weights.values()} == {torch.float32}
        with pytest.raises(UsageError, match="one precision per process"):
            train(tmp_path / "other", epochs=2)
    finally:
        AcceleratorState._reset_state()


def test_several_processes_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="2 processes were started"):
        train(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "epochs is 0"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"batch_size": 1}, "batch_size 1 leaves a contrastive loss without negatives"),
        ({"keep_best": "R@1"}, "choose val_loss"),
        ({"keep_best": "fense"}, "choose val_loss"),
    ],
)
def test_settings_that_make_no_training_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        train(tmp_path, **changes)


def test_training_leaves_global_state_alone(tmp_path: Path) -> None:
    before = torch.get_rng_state(), torch.are_deterministic_algorithms_enabled()
    train(tmp_path, epochs=1)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert torch.are_deterministic_algorithms_enabled() is before[1]
