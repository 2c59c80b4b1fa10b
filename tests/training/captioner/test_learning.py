import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from atrkit.models import Captioner, Ragged
from atrkit.training import OptimizerSettings, TrainingData
from atrkit.training.augment import Mixup
from atrkit.training.optimisation import make_optimizer

EPOCHS, STEPS = 4, 3  # of the tiny training


@pytest.mark.parametrize(("kind", "augmented"), [("transformer", False), ("transformer", True), ("gru", False)])
def test_every_clip_is_captioned_in_its_own_words(tiny: Any, tmp_path: Path, kind: str, augmented: bool) -> None:
    """Six sequences of two sounds, captions of three or six words: order and length must be learned."""
    pairs = list(itertools.permutations(range(3), 2))
    frames = Ragged.from_sequences([np.eye(6)[[first, first, second]] * 3 for first, second in pairs])
    captions = [f"{tiny.SOUNDS[a]} then {tiny.SOUNDS[b]}{' is heard last' * (a == 2)}" for a, b in pairs]
    # each caption sixty times: few epochs of many steps, for an epoch ends with files that are written
    data = TrainingData(frames, tuple(f"{a}-{b}" for a, b in pairs), tuple((caption,) * 60 for caption in captions))
    result = tiny.train(
        tmp_path,
        **({"mixup_alpha": 0.4, "feature_stripes": 1, "label_smoothing": 0.1} if augmented else tiny.plain()),
        model=tiny.model_of(dropout=0.0, dim=32, kind=kind, audio_positions="sinusoidal"),
        train=data,
        val=data,
        caption_choice="all",
        epochs=4,
        validate_every=4,
        batch_size=12,
        bucket_batches=1,
        optimizer=OptimizerSettings(lr=3e-2 if kind == "gru" else 1e-2, weight_decay=0.0, schedule="one_cycle"),
    )
    assert tiny.say(Captioner.from_pretrained(tmp_path), frames) == captions
    assert augmented or result.metrics[-1]["val_loss"] < 0.05


def test_captions_of_other_clips_do_not_help(tiny: Any, tmp_path: Path) -> None:
    """The control: with captions dealt out evenly, whatever the sound, nothing is learned of it."""

    def heard(clips: int, seed: int, *, is_dealt_out: bool = False) -> TrainingData:
        rng = np.random.default_rng(seed)
        sounds = np.repeat(range(6), clips // 6)
        said = np.tile(range(6), clips // 6) if is_dealt_out else sounds
        frames = [np.eye(6)[[sound] * 2] * 3 + rng.normal(size=(2, 6)) / 10 for sound in sounds]
        captions = tuple((f"{tiny.SOUNDS[sound]} is heard",) * 5 for sound in said)
        return TrainingData(Ragged.from_sequences(frames), tuple(map(str, range(clips))), captions)

    own, other = (
        tiny.train(
            tmp_path / name,
            **tiny.plain(
                model=tiny.model_of(dropout=0.0, dim=16), train=data, val=heard(18, seed=2), epochs=8, batch_size=72
            ),
            caption_choice="all",
            optimizer=OptimizerSettings(lr=3e-2, weight_decay=0.0),
        ).best_metric
        for name, data in (("own", heard(72, seed=1)), ("other", heard(72, seed=1, is_dealt_out=True)))
    )
    assert own is not None and other is not None
    chance = np.log(6) / 4  # the sound is one of four tokens
    assert own < 0.2 * chance and other > 0.95 * chance


def test_a_lambda_of_one_is_no_mixup_to_the_bit(tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny.train(tmp_path / "none", **tiny.plain())
    calls: list[int] = []

    def alone(size: int, alpha: float, rng: np.random.Generator) -> Mixup:
        calls.append(size)
        return Mixup(torch.arange(size).roll(1), torch.ones(size))

    monkeypatch.setattr("atrkit.training.augment.draw_mixup", alone)
    tiny.train(tmp_path / "one", **tiny.plain(mixup_alpha=0.4))
    assert len(calls) == STEPS * EPOCHS
    assert tiny.bytes_of(tmp_path / "one") == tiny.bytes_of(tmp_path / "none")


def test_the_end_of_a_caption_is_said_and_never_read(tiny: Any, tmp_path: Path) -> None:
    """Its embedding would otherwise be mixed into longer captions."""
    model = tiny.model_of()
    before = model.decoder.word_embeddings.weight.detach().clone()
    tiny.train(tmp_path, model=model, optimizer=OptimizerSettings(lr=1e-2, weight_decay=0.0), keep_best="last")
    moved_V = (model.decoder.word_embeddings.weight != before).any(dim=1)
    assert [tiny.WORDS[word] for word in (~moved_V).nonzero()[:, 0].tolist()] == ["<pad>", "<unk>", "<eos>"]
    assert "is" in tiny.WORDS and "then" in tiny.WORDS


def test_gradients_are_scaled_down_to_their_largest_norm(tiny: Any, tmp_path: Path) -> None:
    model = tiny.model_of()
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    # with an eps far above any gradient, a step of AdamW is lr / eps times the gradient
    tiny.train(
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
def test_weight_decay_spares_every_bias_and_nothing_else(tiny: Any, kind: str) -> None:
    model = tiny.model_of(kind=kind)
    groups = make_optimizer(model, OptimizerSettings(lr=5e-4, weight_decay=2.0, decay_biases=False)).param_groups
    decay_of = {id(parameter): group["weight_decay"] for group in groups for parameter in group["params"]}
    decays = {name: decay_of[id(parameter)] for name, parameter in model.named_parameters()}
    assert decays == {name: 0.0 if "bias" in name else 2.0 for name in decays}
    assert {name.rpartition(".")[2] for name, decay in decays.items() if decay == 0} == (
        {"bias", "bias_ih", "bias_hh"} if kind == "gru" else {"bias"}
    )


def test_frames_are_standardised_where_the_model_does_that(tiny: Any, tmp_path: Path) -> None:
    shifted = tiny.TRAIN.frames.values * 40 - 90
    shifted[:, 2] = 7.0
    data = TrainingData(Ragged(shifted, tiny.TRAIN.frames.offsets), tiny.TRAIN.clip_ids, tiny.TRAIN.captions)
    model = tiny.model_of(dropout=0.0, standardise=True)
    still = OptimizerSettings(lr=1e-30, weight_decay=0.0)
    settings = tiny.plain(model=model, epochs=1, caption_choice="all", optimizer=still)
    result = tiny.train(tmp_path, train=data, val=None, keep_best="last", **settings)
    assert result.constant_features == 1
    kept = Captioner.from_pretrained(tmp_path)
    expected = tiny.cross_entropy_by_hand(kept, data, tiny.every_pair(data))
    assert result.metrics[0]["train_loss"] == pytest.approx(expected, rel=1e-5)
    torch.testing.assert_close(kept.frame_mean_F, shifted.mean(dim=0))
    torch.testing.assert_close(kept.frame_std_F[:2], shifted.std(dim=0, correction=0)[:2])
