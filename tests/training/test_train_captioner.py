import itertools
import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from atrkit.errors import DivergedError, IntegrityError, TerminatedError, UsageError
from atrkit.models import Captioner, GruDecoder, Ragged, TransformerDecoder, seeded_initialisation
from atrkit.text.vocabulary import BOS_ID, EOS_ID, CaptionVocabulary
from atrkit.training import OptimizerSettings, TrainingData, TrainingResult, train_captioner
from atrkit.training import loop as loop_module
from atrkit.training.augment import Mixup
from atrkit.training.batches import PairBatch, pairs_of_epoch, words_with_padding_per_word
from atrkit.training.captioner_task import CaptionerTask
from atrkit.training.checkpoint import CHECKPOINT_NAME
from atrkit.training.optimisation import make_optimizer

SOUNDS = ["dog", "rain", "bell", "wind", "siren", "drum"]
EPOCHS, STEPS = 4, 3  # 30 pairs, of which 12, 12 and 6 make a step
FILES = ("model.safetensors", "config.json", "model.sha256", "metrics.jsonl")


def sequences_of(clips: int, seed: int) -> TrainingData:
    """Two sounds in a row, captioned in two ways of different length: each sound has its own feature."""
    rng = np.random.default_rng(seed)
    frames, captions = [], []
    for _ in range(clips):
        first, second = rng.choice(len(SOUNDS), 2, replace=False)
        sounds = [first] * rng.integers(1, 4) + [second] * rng.integers(1, 4)
        frames.append(np.eye(len(SOUNDS))[sounds] + rng.normal(size=(len(sounds), len(SOUNDS))) / 10)
        captions.append((f"{SOUNDS[first]} then {SOUNDS[second]}", f"a {SOUNDS[second]} is heard last"))
    return TrainingData(Ragged.from_sequences(frames), tuple(f"clip{n}" for n in range(clips)), tuple(captions))


TRAIN, VAL = sequences_of(30, seed=1), sequences_of(12, seed=2)
WORDS = CaptionVocabulary.from_captions(TRAIN.all_captions).words


def model_of(
    seed: int = 1, *, dropout: float = 0.2, dim: int = 8, kind: str = "transformer", layers: int = 1, **changes: Any
) -> Captioner:
    with seeded_initialisation(seed):
        decoder = (
            GruDecoder(len(WORDS), dim=dim, dropout=dropout)
            if kind == "gru"
            else TransformerDecoder(
                len(WORDS), dim=dim, num_layers=layers, num_heads=2, ff_dim=2 * dim, dropout=dropout
            )
        )
        return Captioner(len(SOUNDS), WORDS, decoder, **{"projection_dropout": dropout, **changes})


def train(run_folder: Path, **changes: Any) -> TrainingResult:
    arguments: dict[str, Any] = {
        "model": model_of(),
        "train": TRAIN,
        "val": VAL,
        "label_smoothing": 0.2,
        "mixup_alpha": 0.4,
        "feature_stripes": 2,
        "stripe_width": 1,
        "epochs": EPOCHS,
        "batch_size": 12,
        "optimizer": OptimizerSettings(lr=1e-2, weight_decay=2.0, decay_biases=False, schedule="cosine_per_epoch"),
        "bucket_batches": 2,
        "clip_grad_norm": 1.0,
        "seed": 3,
        "run_folder": run_folder,
    }
    return train_captioner(**{**arguments, **changes})


def plain(**changes: Any) -> dict[str, Any]:
    """Nothing is varied and nothing is smoothed."""
    return {"label_smoothing": 0.0, "mixup_alpha": 0.0, "feature_stripes": 0, **changes}


def stop_after(calls: int, kind: type[BaseException] = KeyboardInterrupt) -> Callable[[], type[BaseException] | None]:
    """Stop at this call; an epoch asks after each of its three steps, and before each of two batches of validation."""
    asked = iter(range(1, 1000))
    return lambda: kind if next(asked) == calls else None


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in FILES}


@torch.no_grad()
def cross_entropy_by_hand(model: Captioner, data: TrainingData, pairs: Sequence[tuple[int, int]]) -> float:
    """Nats per token over (clip, caption) positions, one pair at a time, without padding."""
    model.eval()
    nats, tokens = 0.0, 0
    for clip, caption in pairs:
        frames_TF = data.frames.values[data.frames.offsets[clip] : data.frames.offsets[clip + 1]].float()
        said = [*model.vocabulary.encode(data.all_captions[caption]), EOS_ID]
        read_1L = torch.tensor([[BOS_ID, *said[:-1]]])
        logits_LV = model(frames_TF[None], torch.tensor([len(frames_TF)]), read_1L)[0].double().numpy()
        log_p_LV = logits_LV - np.log(np.exp(logits_LV).sum(axis=1, keepdims=True))
        nats -= sum(log_p_LV[position, word] for position, word in enumerate(said))
        tokens += len(said)
    return nats / tokens


def every_pair(data: TrainingData) -> list[tuple[int, int]]:
    return [(clip, caption) for caption, clip in enumerate(data.clip_index_of_caption_C.tolist())]


@torch.no_grad()
def say(model: Captioner, frames: Ragged, at_most: int = 9) -> list[str]:
    """The likeliest word, again and again, clip by clip."""
    captions = []
    for clip in range(len(frames)):
        frames_BTF, lengths_B = frames.gather(torch.tensor([clip]))
        words = [BOS_ID]
        while words[-1] != EOS_ID and len(words) <= at_most:
            words.append(int(model(frames_BTF, lengths_B, torch.tensor([words]))[0, -1].argmax()))
        captions.append(model.vocabulary.decode(words))
    return captions


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


@pytest.mark.parametrize(
    ("stops", "kind"),
    [
        ([2, 13], TerminatedError),
        # after every step of every epoch, and twice in each validation, which the next start repeats
        ([1, 1, 1, 1, 2, *[3, 1, 1, 1, 2] * (EPOCHS - 1)], KeyboardInterrupt),
    ],
)
def test_an_interrupted_training_continues_to_the_same_bytes(
    whole: Path, tmp_path: Path, stops: list[int], kind: type[BaseException]
) -> None:
    for seed, calls in enumerate(stops, start=1):
        # only the first start takes the model's own weights, of seed 1 as in the whole training
        with pytest.raises(kind, match="the same command continues"):
            train(tmp_path, model=model_of(seed), stop_requested=stop_after(calls, kind))
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == (3 if len(stops) > 2 else 2)
    train(tmp_path, model=model_of(seed=99))
    assert bytes_of(tmp_path) == bytes_of(whole)


def test_captions_that_are_being_written_can_be_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[int] = []
    honest = CaptionerTask.loss
    monkeypatch.setattr(CaptionerTask, "loss", lambda self, batch: (steps.append(1), honest(self, batch))[1])

    def train_until(folder: Path, written: int) -> TrainingResult:
        calls = itertools.count(1)

        def write_captions(model: Captioner, frames: Ragged) -> list[str]:
            if next(calls) == written:
                raise TerminatedError("amid a caption")
            return ["a"] * len(frames)

        return train(folder, keep_best="fense", fense=lambda *_: 0.5, write_captions=write_captions)

    train_until(tmp_path / "whole", written=99)
    steps.clear()
    with pytest.raises(TerminatedError, match="amid a caption"):
        train_until(tmp_path / "stopped", written=2)
    train_until(tmp_path / "stopped", written=99)
    assert bytes_of(tmp_path / "stopped") == bytes_of(tmp_path / "whole")
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
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, call: int, checkpoint_every_s: Any
) -> None:
    for at_call in (call, 1):  # and once more, as soon as it resumed
        with monkeypatch.context() as patched, pytest.raises(Killed):
            die_in(patched, method, at_call)
            train(tmp_path, checkpoint_every_s=checkpoint_every_s)
    train(tmp_path, checkpoint_every_s=checkpoint_every_s)
    assert bytes_of(tmp_path) == bytes_of(whole)


def test_a_killed_training_that_keeps_the_last_epoch_continues_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(tmp_path / "whole", val=None, keep_best="last", epochs=2)
    with monkeypatch.context() as patched, pytest.raises(Killed):
        die_in(patched, "loss", STEPS + 1)
        train(tmp_path / "killed", val=None, keep_best="last", epochs=2)
    train(tmp_path / "killed", val=None, keep_best="last", epochs=2)
    assert bytes_of(tmp_path / "killed") == bytes_of(tmp_path / "whole")


def test_large_checkpoints_follow_the_clock_and_epochs_after_the_last_one_are_run_again(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saves: list[int] = []
    save_state = loop_module.save_state
    monkeypatch.setattr(loop_module, "_SMALL_BYTES", 0)
    monkeypatch.setattr(loop_module, "save_state", lambda *state: (saves.append(1), save_state(*state)))
    train(tmp_path / "rare", checkpoint_every_s=1e9)
    assert len(saves) == 1 and bytes_of(tmp_path / "rare") == bytes_of(whole)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "killed", checkpoint_every_s=1e9, stop_requested=stop_after(STEPS + 2 + 1))
    with monkeypatch.context() as patched, pytest.raises(Killed):
        die_in(patched, "loss", 2 * STEPS)
        train(tmp_path / "killed", checkpoint_every_s=1e9)
    assert len((tmp_path / "killed" / "metrics.jsonl").read_text().splitlines()) == 3  # beyond the checkpoint
    train(tmp_path / "killed", checkpoint_every_s=1e9)
    assert bytes_of(tmp_path / "killed") == bytes_of(whole)
    saves.clear()
    train(tmp_path / "each", checkpoint_every_s=None)
    assert len(saves) == EPOCHS


def test_a_finished_training_is_not_repeated(whole: Path, tmp_path: Path) -> None:
    train(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    epochs: list[Any] = []
    result = train(tmp_path, model=model_of(seed=5), on_epoch=epochs.append)
    assert not epochs and result.epochs_run == EPOCHS
    assert bytes_of(tmp_path) == bytes_of(whole)


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


def break_at(monkeypatch: pytest.MonkeyPatch, step: int, broken: Callable[[Tensor, CaptionerTask], Tensor]) -> None:
    steps = itertools.count(1)
    honest = CaptionerTask.loss

    def loss(self: CaptionerTask, batch: PairBatch) -> Tensor:
        value = honest(self, batch)
        return broken(value, self) if next(steps) == step else value

    monkeypatch.setattr(CaptionerTask, "loss", loss)


@pytest.mark.parametrize("what", ["the loss", "the gradient's norm"])
def test_divergence_names_epoch_step_and_clips_and_keeps_the_last_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    def broken(value: Tensor, task: CaptionerTask) -> Tensor:
        bias = next(task.model.parameters())
        return value * torch.nan if what == "the loss" else value + (bias - bias.detach()).abs().sqrt().sum()

    saved: list[bytes] = []
    break_at(monkeypatch, 2 * STEPS + 2, broken)
    with pytest.raises(DivergedError) as caught:
        train(tmp_path, on_epoch=lambda _: saved.append((tmp_path / CHECKPOINT_NAME).read_bytes()))
    message = str(caught.value)
    assert message.startswith(f"{what} is nan in epoch 3, step 2, in a batch of ") and "\n" not in message
    assert len(saved) == 2 and (tmp_path / CHECKPOINT_NAME).read_bytes() == saved[-1]
    assert not (tmp_path / "model.safetensors").exists()


def test_a_clip_whose_features_overflow_is_named_and_those_it_was_mixed_with_are_not(tmp_path: Path) -> None:
    huge = TRAIN.frames.values.clone()
    huge[TRAIN.frames.offsets[4]] = 3e38
    data = TrainingData(Ragged(huge, TRAIN.frames.offsets), TRAIN.clip_ids, TRAIN.captions)
    model = model_of()
    with torch.no_grad():
        model.projection[1].weight.fill_(100.0)
    with pytest.raises(DivergedError, match=r"the loss is nan in epoch 1, step \d, from clip 'clip4': "):
        train(tmp_path, model=model, train=data, feature_stripes=0)


def test_clips_are_named_whose_captions_hold_a_broken_word(tmp_path: Path) -> None:
    model = model_of(kind="gru")  # whose first words do not see later ones, not even times zero
    with torch.no_grad():
        model.decoder.word_embeddings.weight[WORDS.index("siren")] = torch.inf
    with pytest.raises(DivergedError, match="the loss is nan in epoch 1, step 1, from") as caught:
        train(tmp_path, model=model)
    named = re.findall(r"'(clip\d+)'", str(caught.value))
    assert named and all("siren" in " ".join(TRAIN.captions[TRAIN.clip_ids.index(clip)]) for clip in named)


# --- what is measured, and which epoch is kept ---


def test_metrics_are_written_per_epoch_and_returned(whole: Path, tmp_path: Path) -> None:
    seen: list[dict[str, Any]] = []
    result = train(tmp_path, on_epoch=seen.append)
    written = [json.loads(line) for line in (whole / "metrics.jsonl").read_text().splitlines()]
    assert written == seen == list(result.metrics)
    assert [entry["epoch"] for entry in written] == [1, 2, 3, 4]
    assert list(written[0]) == ["epoch", "lr", "train_loss", "padding", "val_loss"]


@pytest.mark.parametrize("bucket_batches", [1, 3])
def test_batches_are_those_of_the_pools_asked_for(tmp_path: Path, bucket_batches: int) -> None:
    result = train(tmp_path, epochs=1, bucket_batches=bucket_batches)
    batches = pairs_of_epoch(
        TRAIN, batch_size=12, caption_choice="random", seed=3, epoch=1, bucket_batches=bucket_batches
    )
    assert result.metrics[0]["padding"] == words_with_padding_per_word(TRAIN, batches)
    assert (result.metrics[0]["padding"] < 1.15) is (bucket_batches == 3)


@pytest.mark.parametrize("caption_choice", ["random", "all"])
@pytest.mark.parametrize("kind", ["transformer", "gru"])
def test_losses_are_means_over_tokens(tmp_path: Path, kind: str, caption_choice: Any) -> None:
    still = OptimizerSettings(lr=1e-30, weight_decay=0.0, schedule="constant")
    model = model_of(dropout=0.0, kind=kind)
    result = train(tmp_path, **plain(optimizer=still, epochs=2, caption_choice=caption_choice, model=model))
    kept = Captioner.from_pretrained(tmp_path)
    for epoch, entry in enumerate(result.metrics, start=1):
        batches = pairs_of_epoch(TRAIN, batch_size=12, caption_choice=caption_choice, seed=3, epoch=epoch)
        shown = [
            (int(clip), int(caption))
            for batch in batches
            for clip, caption in zip(batch.clip_index_B, batch.caption_index_B, strict=True)
        ]
        assert entry["train_loss"] == pytest.approx(cross_entropy_by_hand(kept, TRAIN, shown), rel=1e-5)
        assert entry["val_loss"] == pytest.approx(cross_entropy_by_hand(kept, VAL, every_pair(VAL)), rel=1e-5)


def test_smoothing_and_augmentation_are_of_training_alone(tmp_path: Path) -> None:
    still = OptimizerSettings(lr=1e-30, weight_decay=0.0, schedule="constant")
    varied = train(tmp_path / "varied", optimizer=still, epochs=1).metrics[0]
    unvaried = train(tmp_path / "plain", **plain(optimizer=still, epochs=1)).metrics[0]
    assert varied["val_loss"] == unvaried["val_loss"]
    assert varied["train_loss"] != unvaried["train_loss"]


@pytest.mark.parametrize("keep_best", ["val_loss", "last"])
def test_the_model_that_is_kept_is_that_of_the_best_epoch(tmp_path: Path, keep_best: str) -> None:
    result = train(tmp_path, keep_best=keep_best, optimizer=OptimizerSettings(lr=0.5, schedule="constant"))
    losses = [entry["val_loss"] for entry in result.metrics]
    if keep_best == "last":
        assert result.best_epoch == EPOCHS and result.best_metric is None
    else:
        assert result.best_metric == min(losses) and result.best_epoch == 1 + losses.index(min(losses))
    kept = Captioner.from_pretrained(tmp_path)
    assert cross_entropy_by_hand(kept, VAL, every_pair(VAL)) == pytest.approx(losses[result.best_epoch - 1], rel=1e-5)


def test_by_fense_the_epoch_whose_captions_score_best_is_kept(tmp_path: Path) -> None:
    """A scorer that likes the second epoch, and a writer that says which weights it was called with."""
    scores = iter([0.25, 0.5, 0.5, 0.125])
    asked: list[tuple[list[str], list[Sequence[str]]]] = []
    weights: list[Tensor] = []

    def write_captions(model: Captioner, frames: Ragged) -> list[str]:
        assert frames is VAL.frames and not model.training
        weights.append(model.projection[1].weight.detach().clone())
        return [f"caption {clip}" for clip in range(len(frames))]

    def fense(candidates: list[str], references: list[Sequence[str]]) -> float:
        asked.append((candidates, references))
        return next(scores)

    result = train(tmp_path, keep_best="fense", fense=fense, write_captions=write_captions)
    assert [entry["fense"] for entry in result.metrics] == [0.25, 0.5, 0.5, 0.125]
    assert result.best_epoch == 2 and result.best_metric == 0.5  # the earlier of equals
    assert asked == [([f"caption {clip}" for clip in range(12)], list(VAL.captions))] * EPOCHS
    kept = Captioner.from_pretrained(tmp_path).projection[1].weight
    assert torch.equal(kept, weights[1]) and not torch.equal(kept, weights[2])


def test_without_keep_best_fense_no_caption_is_written(tmp_path: Path) -> None:
    def never(*_: Any) -> Any:
        raise AssertionError

    train(tmp_path, epochs=1, fense=never, write_captions=never)


@pytest.mark.parametrize("score", [np.nan, -np.inf])
def test_a_fense_that_is_not_finite_is_no_figure(tmp_path: Path, score: float) -> None:
    with pytest.raises(DivergedError, match="validation metric of epoch 1 is not finite"):
        train(tmp_path, keep_best="fense", fense=lambda *_: score, write_captions=lambda *_: ["a"] * 12)


def test_epochs_between_validations_are_not_kept(tmp_path: Path) -> None:
    result = train(tmp_path, epochs=5, validate_every=2, optimizer=OptimizerSettings(lr=1e-3, schedule="constant"))
    assert [list(entry)[-1] for entry in result.metrics] == ["padding", "val_loss", "padding", "val_loss", "val_loss"]
    each = train(tmp_path / "each", epochs=5, optimizer=OptimizerSettings(lr=1e-3, schedule="constant"))
    for entry, full in zip(result.metrics, each.metrics, strict=True):
        assert entry.items() <= full.items()  # looking changes nothing
    falling = [entry["val_loss"] for entry in each.metrics]
    assert falling == sorted(falling, reverse=True) and result.best_epoch == 5
    rising = train(
        tmp_path / "up", epochs=5, validate_every=3, optimizer=OptimizerSettings(lr=5.0, schedule="constant")
    )
    assert rising.best_epoch in (3, 5)


def test_an_interrupted_training_with_rare_validations_continues_to_the_same_bytes(tmp_path: Path) -> None:
    train(tmp_path / "whole", validate_every=3)
    for steps in (2, 2 * STEPS, 2):
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / "stopped", validate_every=3, stop_requested=stop_after(steps))
    train(tmp_path / "stopped", validate_every=3)
    assert bytes_of(tmp_path / "stopped") == bytes_of(tmp_path / "whole")


def test_without_validation_the_last_epoch_is_kept(tmp_path: Path) -> None:
    result = train(tmp_path, val=None, keep_best="last")
    assert result.best_epoch == EPOCHS and list(result.metrics[0]) == ["epoch", "lr", "train_loss", "padding"]
    with pytest.raises(UsageError, match="there is no validation split"):
        train(tmp_path, val=None)


# --- it learns ---


@pytest.mark.parametrize(("kind", "augmented"), [("transformer", False), ("transformer", True), ("gru", False)])
def test_every_clip_is_captioned_in_its_own_words(tmp_path: Path, kind: str, augmented: bool) -> None:
    """Six sequences of two sounds, captions of three or six words: order and length must be learned."""
    pairs = list(itertools.permutations(range(3), 2))
    frames = Ragged.from_sequences([np.eye(6)[[first, first, second]] * 3 for first, second in pairs])
    captions = [f"{SOUNDS[a]} then {SOUNDS[b]}{' is heard last' * (a == 2)}" for a, b in pairs]
    # each caption sixty times: few epochs of many steps, for an epoch ends with files that are written
    data = TrainingData(frames, tuple(f"{a}-{b}" for a, b in pairs), tuple((caption,) * 60 for caption in captions))
    result = train(
        tmp_path,
        **({"mixup_alpha": 0.4, "feature_stripes": 1, "label_smoothing": 0.1} if augmented else plain()),
        model=model_of(dropout=0.0, dim=32, kind=kind, audio_positions="sinusoidal"),
        train=data,
        val=data,
        caption_choice="all",
        epochs=4,
        validate_every=4,
        batch_size=12,
        bucket_batches=1,
        optimizer=OptimizerSettings(lr=3e-2 if kind == "gru" else 1e-2, weight_decay=0.0, schedule="one_cycle"),
    )
    assert say(Captioner.from_pretrained(tmp_path), frames) == captions
    assert augmented or result.metrics[-1]["val_loss"] < 0.05


def test_captions_of_other_clips_do_not_help(tmp_path: Path) -> None:
    """The control: with captions dealt out evenly, whatever the sound, nothing is learned of it."""

    def heard(clips: int, seed: int, *, is_dealt_out: bool = False) -> TrainingData:
        rng = np.random.default_rng(seed)
        sounds = np.repeat(range(6), clips // 6)
        said = np.tile(range(6), clips // 6) if is_dealt_out else sounds
        frames = [np.eye(6)[[sound] * 2] * 3 + rng.normal(size=(2, 6)) / 10 for sound in sounds]
        captions = tuple((f"{SOUNDS[sound]} is heard",) * 5 for sound in said)
        return TrainingData(Ragged.from_sequences(frames), tuple(map(str, range(clips))), captions)

    own, other = (
        train(
            tmp_path / name,
            **plain(model=model_of(dropout=0.0, dim=16), train=data, val=heard(18, seed=2), epochs=8, batch_size=72),
            caption_choice="all",
            optimizer=OptimizerSettings(lr=3e-2, weight_decay=0.0),
        ).best_metric
        for name, data in (("own", heard(72, seed=1)), ("other", heard(72, seed=1, is_dealt_out=True)))
    )
    assert own is not None and other is not None
    chance = np.log(6) / 4  # the sound is one of four tokens
    assert own < 0.2 * chance and other > 0.95 * chance


def test_a_lambda_of_one_is_no_mixup_to_the_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train(tmp_path / "none", **plain())
    calls: list[int] = []

    def alone(size: int, alpha: float, rng: np.random.Generator) -> Mixup:
        calls.append(size)
        return Mixup(torch.arange(size).roll(1), torch.ones(size))

    monkeypatch.setattr("atrkit.training.augment.draw_mixup", alone)
    train(tmp_path / "one", **plain(mixup_alpha=0.4))
    assert len(calls) == STEPS * EPOCHS
    assert bytes_of(tmp_path / "one") == bytes_of(tmp_path / "none")


def test_the_end_of_a_caption_is_said_and_never_read(tmp_path: Path) -> None:
    """Its embedding would otherwise be mixed into longer captions."""
    model = model_of()
    before = model.decoder.word_embeddings.weight.detach().clone()
    train(tmp_path, model=model, optimizer=OptimizerSettings(lr=1e-2, weight_decay=0.0), keep_best="last")
    moved_V = (model.decoder.word_embeddings.weight != before).any(dim=1)
    assert [WORDS[word] for word in (~moved_V).nonzero()[:, 0].tolist()] == ["<pad>", "<unk>", "<eos>"]
    assert "is" in WORDS and "then" in WORDS


def test_gradients_are_scaled_down_to_their_largest_norm(tmp_path: Path) -> None:
    model = model_of()
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    # with an eps far above any gradient, a step of AdamW is lr / eps times the gradient
    train(
        tmp_path,
        model=model,
        epochs=1,
        batch_size=30,
        clip_grad_norm=0.25,
        optimizer=OptimizerSettings(lr=1e3, eps=1e3, weight_decay=0.0, schedule="constant"),
    )
    moved = torch.cat([(parameter - before[name]).flatten() for name, parameter in model.named_parameters()])
    assert moved.norm().item() == pytest.approx(0.25, rel=1e-3)


@pytest.mark.parametrize("kind", ["transformer", "gru"])
def test_weight_decay_spares_every_bias_and_nothing_else(kind: str) -> None:
    model = model_of(kind=kind)
    groups = make_optimizer(model, OptimizerSettings(lr=5e-4, weight_decay=2.0, decay_biases=False)).param_groups
    decay_of = {id(parameter): group["weight_decay"] for group in groups for parameter in group["params"]}
    decays = {name: decay_of[id(parameter)] for name, parameter in model.named_parameters()}
    assert decays == {name: 0.0 if "bias" in name else 2.0 for name in decays}
    assert {name.rpartition(".")[2] for name, decay in decays.items() if decay == 0} == (
        {"bias", "bias_ih", "bias_hh"} if kind == "gru" else {"bias"}
    )


def test_frames_are_standardised_where_the_model_does_that(tmp_path: Path) -> None:
    shifted = TRAIN.frames.values * 40 - 90
    shifted[:, 2] = 7.0
    data = TrainingData(Ragged(shifted, TRAIN.frames.offsets), TRAIN.clip_ids, TRAIN.captions)
    model = model_of(dropout=0.0, standardise=True)
    still = OptimizerSettings(lr=1e-30, weight_decay=0.0)
    settings = plain(model=model, epochs=1, caption_choice="all", optimizer=still)
    result = train(tmp_path, train=data, val=None, keep_best="last", **settings)
    assert result.constant_features == 1
    kept = Captioner.from_pretrained(tmp_path)
    expected = cross_entropy_by_hand(kept, data, every_pair(data))
    assert result.metrics[0]["train_loss"] == pytest.approx(expected, rel=1e-5)
    torch.testing.assert_close(kept.frame_mean_F, shifted.mean(dim=0))
    torch.testing.assert_close(kept.frame_std_F[:2], shifted.std(dim=0, correction=0)[:2])


# --- settings ---


def test_single_pairs_train_too(tmp_path: Path) -> None:
    result = train(tmp_path, batch_size=1, epochs=1)
    assert result.metrics[0]["padding"] == 1.0
    assert result.metrics[0]["train_loss"] < np.log(len(WORDS)) + 0.5


@pytest.mark.parametrize("kind", ["transformer", "gru"])
def test_bfloat16_trains_in_float32_weights(tmp_path: Path, kind: str) -> None:
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state()
    try:
        result = train(tmp_path, precision="bfloat16", epochs=2, model=model_of(kind=kind))
        assert np.isfinite([entry["val_loss"] for entry in result.metrics]).all()
        weights = Captioner.from_pretrained(tmp_path).state_dict()
        assert {tensor.dtype for tensor in weights.values()} == {torch.float32}
        AcceleratorState._reset_state()
        full = train(tmp_path / "full", epochs=1, model=model_of(kind=kind)).metrics[0]["train_loss"]
        assert result.metrics[0]["train_loss"] != full and abs(result.metrics[0]["train_loss"] - full) < 0.02
        with pytest.raises(IntegrityError, match=r"other settings \(precision: "):
            train(tmp_path, epochs=2, model=model_of(kind=kind))
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
def test_settings_that_make_no_training_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        train(tmp_path, **changes)


def test_training_leaves_global_state_alone(tmp_path: Path) -> None:
    before = torch.get_rng_state(), torch.are_deterministic_algorithms_enabled()
    train(tmp_path, epochs=1)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert torch.are_deterministic_algorithms_enabled() is before[1]
