"""A tiny captioner's training, and what its tests share."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from atrkit.models import Captioner, GruDecoder, Ragged, TransformerDecoder, seeded_initialisation
from atrkit.text.vocabulary import BOS_ID, EOS_ID, CaptionVocabulary
from atrkit.training import OptimizerSettings, TrainingData, TrainingResult, train_captioner

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


@pytest.fixture(scope="package", autouse=True)
def one_thread() -> Iterator[None]:
    """Threads of other test processes would wait for each other in every small operation."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="package")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder of an uninterrupted training."""
    folder = tmp_path_factory.mktemp("whole")
    train(folder)
    return folder


@pytest.fixture(scope="session")
def tiny() -> SimpleNamespace:
    """The above, by name."""
    shared = (sequences_of, model_of, train, plain, stop_after, bytes_of, cross_entropy_by_hand, every_pair, say)
    return SimpleNamespace(
        SOUNDS=SOUNDS, TRAIN=TRAIN, VAL=VAL, WORDS=WORDS, **{function.__name__: function for function in shared}
    )
