"""An audio network and a retrieval model that learn together, and gradients of several batches in one step."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from atrkit.encoders import load_encoder
from atrkit.encoders.panns_networks import Cnn
from atrkit.encoders.trainable import TrainablePanns
from atrkit.errors import DivergedError, IntegrityError, UsageError
from atrkit.losses import NtXent
from atrkit.models import AudioTower, DualEncoder, HciRetriever, Ragged, WordTower, seeded_initialisation
from atrkit.models.folder import AUDIO_ENCODER_NAME
from atrkit.models.opening import open_retriever
from atrkit.models.retriever import ClipBatch, ClipInputs, Padded
from atrkit.models.token_towers import WordTokens
from atrkit.scoring.retrieval import score_all_pairs
from atrkit.text.vocabulary import Vocabulary
from atrkit.training import OptimizerSettings, TrainingData, TrainingResult
from atrkit.training.batches import PairBatch, pairs_of_epoch
from atrkit.training.finetune import (
    FineTuned,
    FineTuneTask,
    cropped,
    frames_of_all,
    train_finetuned,
)
from atrkit.training.settings import LoopSettings

FRAME_DIM, DIM, CROP_ROWS = 8, 6, 18
CLIPS = 14  # 5 batches of 3, of which the last one takes in a remainder of one or stands alone
FILES = ("model.safetensors", AUDIO_ENCODER_NAME, "metrics.jsonl")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def tones(clips: int, seed: int) -> TrainingData:
    """Tones of a fifth of a second and more, named by their pitch."""
    draw, waves, captions = np.random.default_rng(seed), [], []
    for number in range(clips):
        pitch = number % 3
        samples = np.sin(np.arange(6_000 + 500 * number) * 0.05 * 4**pitch) + 0.01 * draw.normal(
            size=6_000 + 500 * number
        )
        waves.append(samples.astype(np.float32))
        captions.append(
            (
                f"a {('low', 'middle', 'high')[pitch]} tone {'abcdefghijklmn'[number]}",
                f"tone {'abcdefghijklmn'[number]}",
            )
        )
    frames = Ragged.from_sequences(load_encoder("waveform").encode(waves).frames)
    return TrainingData(frames, tuple(f"clip{n}" for n in range(clips)), tuple(captions))


TRAIN, VAL = tones(CLIPS, seed=1), tones(6, seed=2)


def audio_of(seed: int = 1, **settings: Any) -> TrainablePanns:
    with seeded_initialisation(seed):
        network = Cnn((3, 4, 5, FRAME_DIM), num_halvings=4)
        for module in network.modules():
            if isinstance(module, torch.nn.Conv2d):
                torch.nn.init.kaiming_normal_(module.weight)
    for head in (network.fc1, network.fc_audioset):  # not trained, and so part of what must be the same
        torch.nn.init.constant_(head.weight, 0.1)
        torch.nn.init.zeros_(head.bias)
    network.bn0.get_buffer("running_mean").fill_(-40.0)
    network.bn0.get_buffer("running_var").fill_(400.0)
    return TrainablePanns("cnn10", network, **settings)


def retriever_of(seed: int = 1) -> DualEncoder:
    words = Vocabulary.from_captions(TRAIN.all_captions).words
    with seeded_initialisation(seed):
        return DualEncoder(
            AudioTower(FRAME_DIM, DIM, hidden_dims=(), pooling="mean"),
            WordTower(words, DIM, word_dim=DIM, pooling="mean"),
        )


def train(folder: Path, seed: int = 1, **changes: Any) -> TrainingResult:
    arguments: dict[str, Any] = {
        "audio": audio_of(seed),
        "retriever": retriever_of(seed),
        "loss": NtXent(),
        "train": TRAIN,
        "val": VAL,
        "started_from": "0" * 64,
        "crop_rows": CROP_ROWS,
        "epochs": 2,
        "batch_size": 3,
        "accumulate_batches": 2,
        "optimizer": OptimizerSettings(lr=1e-3),
        "clip_grad_norm": 2.0,
        "seed": 3,
        "run_folder": folder,
    }
    return train_finetuned(**{**arguments, **changes})


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in FILES}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    train(folder)
    return folder


# --- what is learned


def test_the_loss_reaches_audio_network_and_model(whole: Path) -> None:
    before, after = audio_of(), load_tuned(whole)
    changed = {
        name
        for name, value in before.network.state_dict().items()
        if not torch.equal(value, after.network.state_dict()[name])
    }
    assert {"conv_block1.conv1.weight", "conv_block4.conv2.weight", "bn0.weight", "bn0.running_mean"} <= changed
    assert not {name for name in changed if name.startswith("fc")}
    model = open_retriever(whole)
    assert not torch.equal(
        model.state_dict()["audio.head.projection.weight"], retriever_of().audio.head.projection.weight
    )


def load_tuned(folder: Path) -> TrainablePanns:
    from safetensors.torch import load_file

    audio = audio_of(seed=9)
    audio.network.load_state_dict(load_file(folder / AUDIO_ENCODER_NAME))
    return audio.eval()


def test_validation_hears_whole_clips_with_the_weights_that_are_saved(whole: Path, tmp_path: Path) -> None:
    result = train(tmp_path, epochs=1, keep_best="last")
    model, frames = open_retriever(tmp_path), frames_of_all(load_tuned(tmp_path), VAL.frames, batch_size=4)
    assert isinstance(model, DualEncoder)
    scores_AC = model.embed_clips(frames) @ model.embed_captions(VAL.all_captions).T
    best_A = scores_AC.argmax(axis=1)
    recall = np.mean([clip == caption // 2 for clip, caption in enumerate(best_A)])
    assert result.metrics[0]["audio_to_text.R@1"] == pytest.approx(recall)
    assert not frames.values.isnan().any()


def test_a_model_of_three_levels_that_reads_generated_captions_is_fine_tuned_too(tmp_path: Path) -> None:
    generated = tuple(texts[0] for texts in TRAIN.captions)
    data = replace(TRAIN, auxiliary_captions=generated, shows_auxiliary=True)
    words = Vocabulary.from_captions(TRAIN.all_captions).words
    with seeded_initialisation(1):
        model = HciRetriever(
            FRAME_DIM, WordTokens(words, dim=8), dim=8, segments=2, num_heads=2,
            caption_interaction=True, caption_matching=True,
        )  # fmt: skip
    train(tmp_path, retriever=model, train=data, val=None, epochs=1, keep_best="last")
    opened, audio = open_retriever(tmp_path), load_tuned(tmp_path)
    assert opened.reads_generated
    before = audio_of().network.get_parameter("conv_block1.conv1.weight")
    assert not torch.equal(audio.network.get_parameter("conv_block1.conv1.weight"), before)
    inputs = ClipInputs((frames_of_all(audio, data.frames, batch_size=4),), opened.prepare_auxiliary(generated))
    assert np.isfinite(score_all_pairs(opened, inputs, data.all_captions)).all()


def test_bfloat16_trains_weights_that_stay_float32(whole: Path, tmp_path: Path) -> None:
    from accelerate.state import AcceleratorState
    from safetensors.torch import load_file

    AcceleratorState._reset_state()
    try:
        result = train(tmp_path, precision="bfloat16", epochs=1)
    finally:
        AcceleratorState._reset_state()
    half, full = (load_file(folder / AUDIO_ENCODER_NAME) for folder in (tmp_path, whole))
    assert {value.dtype for value in half.values()} == {torch.float32, torch.int64}
    exact = json.loads((whole / "metrics.jsonl").read_text().splitlines()[0])["train_loss"]
    found = result.metrics[0]["train_loss"]
    assert found != exact and found == pytest.approx(exact, rel=0.05)
    assert all(value.isfinite().all() for value in half.values()) and full.keys() == half.keys()


def test_frames_of_all_are_in_order_whatever_shares_a_batch() -> None:
    audio = audio_of()
    together = frames_of_all(audio, TRAIN.frames, batch_size=5)
    assert audio.training
    samples_A = [6_000 + 500 * number for number in range(CLIPS)]
    assert together.lengths_A.tolist() == [(samples // 320 + 1) // 16 for samples in samples_A]
    for a in (0, 6, 13):
        alone = frames_of_all(
            audio, Ragged.from_sequences([TRAIN.frames.gather(torch.tensor([a]))[0][0]]), batch_size=1
        )
        rows = slice(int(together.offsets[a]), int(together.offsets[a + 1]))
        torch.testing.assert_close(together.values[rows], alone.values, atol=1e-3, rtol=1e-3)


# --- several batches in one step


def task_of(model: FineTuned, **changes: Any) -> FineTuneTask:
    settings = LoopSettings(epochs=1, batch_size=3, optimizer=OptimizerSettings(lr=1.0), keep_best="last")
    arguments = {"crop_rows": CROP_ROWS, **changes}
    return FineTuneTask(model, NtXent(), TRAIN, None, settings, torch.device("cpu"), **arguments)


def still_model() -> FineTuned:
    """Nothing is drawn in its forward pass, and no statistic moves."""
    audio = audio_of(spec_augment=False, batch_norm="frozen", dropout=0.0)
    return FineTuned(audio, retriever_of(), "0" * 64)


def test_a_step_goes_along_the_mean_of_its_batches_gradients(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two groups of two batches and one of one, each against gradients computed one batch at a time."""
    model = still_model()
    taken: list[dict[str, torch.Tensor]] = []

    def note_gradients(optimizer: torch.optim.AdamW, **_: Any) -> None:
        named = {name: p for name, p in model.named_parameters() if p.grad is not None}
        taken.append({name: p.grad.clone() for name, p in named.items()})  # type: ignore[union-attr]

    monkeypatch.setattr(torch.optim.AdamW, "step", note_gradients)
    train(tmp_path, audio=model.audio, retriever=model.retriever, epochs=1, clip_grad_norm=None, keep_best="last")
    batches = pairs_of_epoch(TRAIN, batch_size=3, caption_choice="random", seed=3, epoch=1)
    task = task_of(model.train())
    assert [len(batch) for batch in batches] == [3, 3, 3, 3, 2]
    for group, gradients in zip((batches[:2], batches[2:4], batches[4:]), taken, strict=True):
        expected: dict[str, torch.Tensor] = {}
        for batch in group:
            model.zero_grad()
            torch.autograd.backward(task.loss(batch))
            for name in gradients:
                gradient = model.get_parameter(name).grad
                assert gradient is not None
                expected[name] = expected.get(name, torch.zeros(())) + gradient / len(group)
        assert sum(float(gradient.abs().sum()) for gradient in gradients.values()) > 0.1
        for name, gradient in gradients.items():
            torch.testing.assert_close(gradient, expected[name], rtol=1e-4, atol=1e-7)


def test_the_norm_that_is_clipped_is_that_of_the_mean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    norms: list[float] = []

    def note_norm(optimizer: torch.optim.AdamW, **_: Any) -> None:
        norms.append(
            float(torch.nn.utils.get_total_norm([p.grad for g in optimizer.param_groups for p in g["params"]]))
        )

    monkeypatch.setattr(torch.optim.AdamW, "step", note_norm)
    train(tmp_path, epochs=1, clip_grad_norm=0.01, keep_best="last")
    assert norms == pytest.approx([0.01] * 3, rel=1e-3)


def test_learning_rates_count_steps_and_not_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rates: list[float] = []
    step = torch.optim.AdamW.step

    def note_rate(optimizer: torch.optim.AdamW, **arguments: Any) -> None:
        rates.append(optimizer.param_groups[0]["lr"])
        step(optimizer, **arguments)

    monkeypatch.setattr(torch.optim.AdamW, "step", note_rate)
    train(tmp_path, val=None, optimizer=OptimizerSettings(lr=1.0, schedule="cosine"), keep_best="last")
    assert rates == pytest.approx([(1 + np.cos(np.pi * k / 6)) / 2 for k in range(6)])  # 2 epochs of 3 steps


def test_without_accumulation_every_batch_is_a_step(tmp_path: Path) -> None:
    first, second = (
        train(tmp_path / str(n), accumulate_batches=n, epochs=1, val=None, keep_best="last") for n in (1, 2)
    )
    assert first.metrics[0]["train_loss"] != second.metrics[0]["train_loss"]
    with pytest.raises(UsageError, match="accumulate_batches is 0"):
        train(tmp_path / "none", accumulate_batches=0)


# --- the same bits


def stop_after(steps: int) -> Callable[[], type[BaseException] | None]:
    asked = iter(range(1, 100))
    return lambda: KeyboardInterrupt if next(asked) == steps else None


# asked after each of an epoch's three steps, and after each of two batches of validation
@pytest.mark.parametrize("stops", [[1, 1, 1, 1], [2, 5], [5, 4]], ids=["soon", "within epochs", "in validation"])
def test_an_interrupted_training_continues_to_the_same_bytes(whole: Path, tmp_path: Path, stops: list[int]) -> None:
    for seed, steps in enumerate(stops, start=1):
        with pytest.raises(KeyboardInterrupt, match="the same command continues there"):
            train(tmp_path, seed, stop_requested=stop_after(steps))
    train(tmp_path, seed=99)
    assert bytes_of(tmp_path) == bytes_of(whole)


class Killed(BaseException):
    pass


@pytest.mark.parametrize("batch", [2, 4, 8])  # of 10; the second and the fourth of each epoch end a group
def test_a_training_killed_in_the_middle_of_a_group_continues_to_the_same_bytes(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    loss, left = FineTuneTask.loss, [batch]

    def dying_loss(self: FineTuneTask, pairs: PairBatch) -> torch.Tensor:
        left[0] -= 1
        if left[0] == 0:
            raise Killed
        return loss(self, pairs)

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(FineTuneTask, "loss", dying_loss)
        train(tmp_path, checkpoint_every_s=0.0)
    train(tmp_path, seed=7 if batch > 2 else 1)  # what a checkpoint holds is not taken from the arguments
    assert bytes_of(tmp_path) == bytes_of(whole)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"crop_rows": 17}, "crop in rows"),
        ({"started_from": "1" * 64}, "model"),
        ({"accumulate_batches": 1}, "accumulate_batches"),
        ({"audio": audio_of(batch_norm="frozen")}, "model"),
    ],
)
def test_another_training_does_not_continue_this_one(tmp_path: Path, changes: dict[str, Any], named: str) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, stop_requested=stop_after(1))
    with pytest.raises(IntegrityError, match=rf"other settings \({named}: "):
        train(tmp_path, **changes)


# --- crops


def test_a_crop_is_a_piece_of_its_clip_and_a_function_of_its_batch() -> None:
    index_B, key = torch.tensor([13, 0, 5]), (3, 1, 2)
    batch = PairBatch(index_B, index_B, key)
    pieces, lengths_B = cropped(TRAIN.frames, index_B, CROP_ROWS, batch.generator())
    again, _ = cropped(TRAIN.frames, index_B, CROP_ROWS, batch.generator())
    other, _ = cropped(TRAIN.frames, index_B, CROP_ROWS, PairBatch(index_B, index_B, (3, 1, 3)).generator())
    assert torch.equal(pieces, again) and not torch.equal(pieces, other)
    assert lengths_B.tolist() == [CROP_ROWS, CROP_ROWS, CROP_ROWS]
    for b, a in enumerate(index_B.tolist()):
        rows_TR = TRAIN.frames.gather(torch.tensor([a]))[0][0]
        starts = range(len(rows_TR) - CROP_ROWS + 1)
        assert sum(torch.equal(rows_TR[start : start + CROP_ROWS], pieces[b]) for start in starts) == 1


def test_every_place_of_a_clip_is_heard_and_the_ends_too() -> None:
    rows = Ragged.from_sequences([np.arange(5.0)[:, None], np.full((2, 1), 9.0)])
    draws = [cropped(rows, torch.tensor([0, 1]), 3, np.random.default_rng(n)) for n in range(60)]
    assert {int(pieces[0, 0, 0]) for pieces, _ in draws} == {0, 1, 2}
    assert all(pieces[1].flatten().tolist() == [9, 9, 0] and lengths[1] == 2 for pieces, lengths in draws)
    whole, lengths_B = cropped(rows, torch.tensor([0]), None, np.random.default_rng(0))
    assert whole.flatten().tolist() == [0, 1, 2, 3, 4] and lengths_B.tolist() == [5]


# --- what goes wrong


def test_a_clip_that_breaks_the_network_is_named(tmp_path: Path) -> None:
    values = TRAIN.frames.values.clone()
    values[TRAIN.frames.offsets[4] : TRAIN.frames.offsets[5], :320] = 1e30
    loud = TrainingData(Ragged(values, TRAIN.frames.offsets), TRAIN.clip_ids, TRAIN.captions)
    audio = audio_of(batch_norm="frozen", spec_augment=False)  # so that a clip breaks itself alone
    with torch.no_grad():
        audio.network.bn0.weight.fill_(1e36)
    with pytest.raises(DivergedError, match="epoch 1, step"):
        train(tmp_path, audio=audio, train=loud)


def test_a_model_of_another_width_or_several_stores_are_refused() -> None:
    model = still_model()
    rows = Padded(*TRAIN.frames.gather(torch.tensor([0, 1])))
    with pytest.raises(ValueError, match="too many values"):
        model.similarity_terms(ClipBatch((rows, rows)), rows)
    with pytest.raises(UsageError, match="samples for 2"):
        model.fit_standardisation([TRAIN.frames, TRAIN.frames])
    with pytest.raises(UsageError, match="load_encoder"):
        FineTuned._from_config({}, Path("here"))


def test_metrics_are_written_per_epoch(whole: Path) -> None:
    lines = [json.loads(line) for line in (whole / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2] and lines[0]["train_loss"] > 0
