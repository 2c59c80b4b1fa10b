"""Training paper 004's captioner: what length buckets save, what a step waits for, and how long 400 epochs take."""

import csv
import statistics
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from atrkit.losses import CaptionCrossEntropy
from atrkit.models import Captioner, Ragged, TransformerDecoder, seeded_initialisation
from atrkit.text.vocabulary import CaptionVocabulary
from atrkit.training import OptimizerSettings, TrainingData, train_captioner
from atrkit.training.augment import Augmentation
from atrkit.training.batches import pairs_of_epoch, words_with_padding_per_word
from atrkit.training.captioner_task import CaptionerTask, CaptionTensors
from atrkit.training.device import make_accelerator
from atrkit.training.loop import Trainer
from atrkit.training.settings import LoopSettings

AUDIOCAPS = Path(__file__).resolve().parents[3] / "shared" / "data" / "csv" / "audiocaps" / "train.csv"
FRAME_DIM, AUDIOCAPS_FRAMES = 768, 31
BATCH_SIZE, BUCKET_BATCHES, EPOCHS = 512, 8, 400
PAPER = OptimizerSettings(lr=5e-4, weight_decay=2.0, decay_biases=False, schedule="cosine_per_epoch")
PAPER_HOURS = {"clotho": 3.0, "audiocaps": 1.0}  # section 3.3, one V100
VOCABULARY_WORDS = 4_871  # of AudioCaps' training captions


def data_of(captions, frames_of_clip, seed=0) -> TrainingData:
    """Random frames, as an encoder's in float16."""
    offsets = torch.from_numpy(np.concatenate([[0], np.cumsum(frames_of_clip)]))
    generator = torch.Generator().manual_seed(seed)
    values_NF = torch.rand(int(offsets[-1]), FRAME_DIM, generator=generator).half()
    return TrainingData(Ragged(values_NF, offsets), tuple(map(str, range(len(captions)))), tuple(captions))


def paper_captioner(words) -> Captioner:
    with seeded_initialisation(1):
        return Captioner(FRAME_DIM, words, TransformerDecoder(len(words)))


def trainer_of(data, words, folder) -> Trainer:
    """The training loop with paper 004's settings."""
    accelerator = make_accelerator()
    model = paper_captioner(words).to(accelerator.device).train()
    loss, augment = CaptionCrossEntropy(0.2), Augmentation(0.4, 6, 2)
    settings = LoopSettings(EPOCHS, BATCH_SIZE, PAPER, clip_grad_norm=1.0, keep_best="last")
    task = CaptionerTask(model, loss, augment, data, None, BATCH_SIZE, accelerator.device)
    return Trainer(task, data, settings, folder, accelerator)


class StepClock:
    """Seconds of steps, and how many of them went into gathering data, by what a step was called."""

    def __init__(self, trainer, monkeypatch, now) -> None:
        self._trainer, self._now = trainer, now
        self.step_s: dict[str, list[float]] = {}
        self.data_s: dict[str, list[float]] = {}
        self.tokens: dict[str, list[int]] = {}
        self._gathering_s = 0.0
        gather = CaptionTensors.gather

        def timed_gather(tensors, batch):
            start = now()
            gathered = gather(tensors, batch)
            self._gathering_s += now() - start
            return gathered

        monkeypatch.setattr(CaptionTensors, "gather", timed_gather)

    def run(self, name, batch) -> None:
        self._gathering_s, start = 0.0, self._now()
        self._trainer._step([batch])
        self.step_s.setdefault(name, []).append(self._now() - start)
        self.data_s.setdefault(name, []).append(self._gathering_s)
        self.tokens.setdefault(name, []).append(self._trainer.task.terms(batch))

    def tokens_per_s(self, name) -> float:
        return sum(self.tokens[name]) / sum(self.step_s[name])

    def data_share(self, name) -> float:
        return sum(self.data_s[name]) / sum(self.step_s[name])


@pytest.mark.bench
def test_buckets_double_the_words_per_second_and_no_step_waits_for_data(
    tmp_path, monkeypatch, show_table, keep_figures
):
    """One pool of 8 x 512 AudioCaps captions with 31 frames each: all its batches by length, three of those at random.

    One thread, thread time; about two minutes, and up to 10 GB.
    """
    if not AUDIOCAPS.is_file():
        pytest.skip(f"needs ../shared: {AUDIOCAPS} is not there")
    with AUDIOCAPS.open(newline="") as file:
        every_caption = [row["caption"] for row in csv.DictReader(file)]
    words = CaptionVocabulary.from_captions(every_caption).words
    whole = TrainingData(
        Ragged(torch.zeros(len(every_caption), 1), torch.arange(len(every_caption) + 1)),
        tuple(map(str, range(len(every_caption)))),
        tuple((caption,) for caption in every_caption),
    )
    drawn = np.random.default_rng(4).choice(len(every_caption), BUCKET_BATCHES * BATCH_SIZE, replace=False)
    pool = data_of([(every_caption[c],) for c in drawn], [AUDIOCAPS_FRAMES] * len(drawn))

    def batches(data, bucket_batches):
        return pairs_of_epoch(
            data, batch_size=BATCH_SIZE, caption_choice="random", seed=1, epoch=1, bucket_batches=bucket_batches
        )

    names = {1: "at random", BUCKET_BATCHES: f"pools of {BUCKET_BATCHES} by length"}
    padding, drawing_s = {}, {}
    for count, name in names.items():
        start = time.thread_time()
        of_epoch = batches(whole, count)
        drawing_s[name] = (time.thread_time() - start) / len(of_epoch)
        padding[name] = words_with_padding_per_word(whole, of_epoch)

    clock = StepClock(trainer_of(pool, words, tmp_path), monkeypatch, time.thread_time)
    by_length, at_random = batches(pool, BUCKET_BATCHES), batches(pool, 1)[:3]
    clock.run("warm-up", by_length[0])
    for position, batch in enumerate(by_length):
        clock.run(names[BUCKET_BATCHES], batch)
        if position % 3 == 1:
            clock.run(names[1], at_random[position // 3])

    shares = {name: clock.data_share(name) + drawing_s[name] / statistics.mean(clock.step_s[name]) for name in padding}
    show_table(
        f"training paper 004's captioner, batches of {BATCH_SIZE} AudioCaps captions, one thread",
        ["", "positions per word, whole set", "words per s", "step, s", "share that waits for data"],
        [
            [
                name,
                f"{padding[name]:.2f}",
                f"{clock.tokens_per_s(name):.0f}",
                f"{statistics.mean(clock.step_s[name]):.1f}",
                f"{100 * shares[name]:.2f} %",
            ]
            for name in padding
        ],
    )
    ratio = clock.tokens_per_s(names[BUCKET_BATCHES]) / clock.tokens_per_s(names[1])
    figures = {"padding": padding, "data_share": shares, "bucketed_over_random": ratio}
    keep_figures("captioner_training", {**figures, "words_per_s": {n: clock.tokens_per_s(n) for n in padding}})
    print(f"by length over at random, words per second: {ratio:.2f}")
    assert ratio >= 2
    assert max(shares.values()) <= 0.05


# --- with a GPU ---


def captions_like(name, clips, per_clip, rng) -> list[tuple[str, ...]]:
    """Random words; as many per caption as Clotho (8 to 20) or AudioCaps (a long tail) has."""
    shape = (clips, per_clip)
    words_AC = 8 + np.minimum(rng.gamma(1.6, 2.3, shape), 12) if name == "clotho" else 1 + rng.gamma(3.4, 2.4, shape)
    return [
        tuple(" ".join(f"w{w}" for w in rng.integers(0, VOCABULARY_WORDS, int(n))) for n in row) for row in words_AC
    ]


def split_like(name, clips, per_clip, seed) -> TrainingData:
    rng = np.random.default_rng(seed)
    frames = rng.integers(47, 94, clips) if name == "clotho" else np.full(clips, AUDIOCAPS_FRAMES)
    return data_of(captions_like(name, clips, per_clip, rng), frames, seed)


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    ("name", "clips", "per_clip", "val_clips", "epochs"),
    [("clotho", 3839, 5, 1045, 25), ("audiocaps", 46230, 1, 464, 3)],
)
def test_400_epochs_take_less_than_the_papers_hours(
    tmp_path, show_table, keep_figures, name, clips, per_clip, val_clips, epochs, precision
):
    """From 200 steps and more of the whole loop, validation after every epoch included; captions are not written."""
    from accelerate.state import AcceleratorState

    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    train, val = split_like(name, clips, per_clip, seed=1), split_like(name, val_clips, 5, seed=2)
    words = CaptionVocabulary((*CaptionVocabulary.specials, *(f"w{n}" for n in range(VOCABULARY_WORDS)))).words
    ended_s = [time.perf_counter()]
    AcceleratorState._reset_state()
    try:
        train_captioner(
            paper_captioner(words),
            train,
            val,
            label_smoothing=0.2,
            mixup_alpha=0.4,
            feature_stripes=6,
            stripe_width=2,
            epochs=epochs,
            batch_size=BATCH_SIZE,
            optimizer=PAPER,
            run_folder=tmp_path,
            bucket_batches=BUCKET_BATCHES,
            clip_grad_norm=1.0,
            precision=precision,
            on_epoch=lambda _: ended_s.append(time.perf_counter()),
        )
    finally:
        AcceleratorState._reset_state()
    epoch_s = statistics.median(np.diff(ended_s)[1:].tolist())
    hours = EPOCHS * epoch_s / 3600
    show_table(
        f"{EPOCHS} epochs of a {name}-sized set, {precision}, {torch.cuda.get_device_name()}",
        ["an epoch, s", "400 epochs, h", "the paper's hours on a V100"],
        [[f"{epoch_s:.2f}", f"{hours:.3f}", f"{PAPER_HOURS[name]:.0f}"]],
    )
    keep_figures("captioner_training_gpu", {f"{name} {precision}": {"epoch_s": epoch_s, "hours": hours}})
    assert hours < PAPER_HOURS[name]


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["clotho", "audiocaps"])
def test_no_step_on_a_gpu_waits_for_data(tmp_path, monkeypatch, show_table, keep_figures, name):
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    data = split_like(name, 3839, 1, seed=1)
    words = CaptionVocabulary((*CaptionVocabulary.specials, *(f"w{n}" for n in range(VOCABULARY_WORDS)))).words

    def now() -> float:
        torch.cuda.synchronize()
        return time.perf_counter()

    clock = StepClock(trainer_of(data, words, tmp_path), monkeypatch, now)
    for epoch in range(1, 6):
        start = now()
        batches = pairs_of_epoch(
            data,
            batch_size=BATCH_SIZE,
            caption_choice="random",
            seed=1,
            epoch=epoch,
            bucket_batches=BUCKET_BATCHES,
        )
        drawing_s = (now() - start) / len(batches)
        for batch in batches:
            clock.run("warm-up" if epoch == 1 else name, batch)
    step_s = statistics.median(clock.step_s[name])
    share = clock.data_share(name) + drawing_s / step_s
    show_table(
        f"a step of {BATCH_SIZE} {name}-like pairs on {torch.cuda.get_device_name()}",
        ["step, ms", "words per s", "share that waits for data"],
        [[f"{1e3 * step_s:.1f}", f"{clock.tokens_per_s(name):.0f}", f"{100 * share:.2f} %"]],
    )
    keep_figures("captioner_training_gpu", {f"{name} step": {"step_s": step_s, "data_share": share}})
    assert share <= 0.05
