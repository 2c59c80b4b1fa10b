"""Learning from generated captions too: which pairs an epoch has, and that no clip's captions push each other away."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from atrkit.errors import UsageError
from atrkit.losses import NtXent
from atrkit.models import AudioTower, DualEncoder, Ragged, WordTower, seeded_initialisation
from atrkit.text.vocabulary import Vocabulary
from atrkit.training.batches import PairBatch, pairs_of_epoch
from atrkit.training.data import TrainingData
from atrkit.training.optimisation import OptimizerSettings
from atrkit.training.retriever import RetrieverTask, train_retriever
from atrkit.training.settings import LoopSettings

COUNTS = st.lists(st.integers(1, 4), min_size=1, max_size=9)


def data_of(counts: list[int], *, shown: bool = True) -> TrainingData:
    noise = np.random.default_rng(1)
    frames = Ragged.from_sequences([noise.normal(size=(2, 3)).astype(np.float32) for _ in counts])
    captions = tuple(tuple(f"clip{a} written{n}" for n in range(count)) for a, count in enumerate(counts))
    generated = tuple(f"clip{a} generated" for a in range(len(counts)))
    ids = tuple(f"clip{a}" for a in range(len(counts)))
    return TrainingData(frames, ids, captions, auxiliary_captions=generated, shows_auxiliary=shown)


def shown_pairs(data: TrainingData, batches: list[PairBatch]) -> list[tuple[int, str]]:
    return [
        (a, data.shown_captions[c])
        for batch in batches
        for a, c in zip(batch.clip_index_B.tolist(), batch.caption_index_B.tolist(), strict=True)
    ]


@given(COUNTS, st.integers(2, 5), st.integers(0, 9), st.integers(1, 9))
def test_each_clip_comes_with_one_of_its_captions_and_with_its_generated_one(counts, batch_size, seed, epoch):
    data = data_of(counts)
    drawn = shown_pairs(
        data, pairs_of_epoch(data, batch_size=batch_size, caption_choice="random", seed=seed, epoch=epoch)
    )
    generated = [(a, text) for a, text in drawn if text.endswith("generated")]
    written = [(a, text) for a, text in drawn if "written" in text]
    assert len(drawn) == 2 * len(counts)
    assert sorted(generated) == [(a, f"clip{a} generated") for a in range(len(counts))]
    assert sorted(a for a, _ in written) == list(range(len(counts)))
    assert all(text in data.captions[a] for a, text in written)


@given(COUNTS, st.integers(0, 9))
def test_all_captions_and_the_generated_ones(counts, seed):
    data = data_of(counts)
    drawn = shown_pairs(data, pairs_of_epoch(data, batch_size=4, caption_choice="all", seed=seed, epoch=1))
    every = [(a, text) for a, texts in enumerate(data.captions) for text in (*texts, f"clip{a} generated")]
    assert sorted(drawn) == sorted(every)


def test_generated_pairs_are_spread_over_the_epoch_and_drawn_by_seed_and_epoch():
    data = data_of([2] * 40)

    def pairs(seed: int, epoch: int) -> list[tuple[int, str]]:
        return shown_pairs(data, pairs_of_epoch(data, batch_size=8, caption_choice="random", seed=seed, epoch=epoch))

    assert pairs(1, 2) == pairs(1, 2)
    assert len({str(pairs(seed, epoch)) for seed in (1, 2) for epoch in (1, 2)}) == 4
    first_half = [text for _, text in pairs(1, 1)[:40]]
    assert 10 < sum("generated" in text for text in first_half) < 30


def test_captions_that_are_only_read_make_no_pairs_and_data_say_what_they_show():
    read, shown = data_of([1, 2], shown=False), data_of([1, 2])
    assert read.shown_captions == read.all_captions
    assert sum(map(len, pairs_of_epoch(read, batch_size=2, caption_choice="random", seed=1, epoch=1))) == 2
    assert read.sha256 != shown.sha256  # another training: a checkpoint of the one must not go on as the other
    with pytest.raises(UsageError, match="there are none"):
        TrainingData(read.frames, read.clip_ids, read.captions, shows_auxiliary=True)


def make_model(data: TrainingData) -> DualEncoder:
    with seeded_initialisation(3):
        words = Vocabulary.from_captions(data.shown_captions).words
        return DualEncoder(AudioTower(3, 8), WordTower(words, 8, word_dim=8))


def test_two_captions_of_a_clip_in_a_batch_do_not_push_each_other_away():
    data = data_of([1, 1])
    model = make_model(data).eval()
    settings = LoopSettings(epochs=1, batch_size=3, optimizer=OptimizerSettings(lr=1e-3), keep_best="last")
    task = RetrieverTask(model, NtXent(0.5), data, None, settings, torch.device("cpu"))
    # clip 0 with its written caption, clip 1, clip 0 with its generated one (after the two written captions)
    batch = PairBatch(torch.tensor([0, 1, 0]), torch.tensor([0, 1, 2]))
    (term,) = task._terms(batch)
    logits = term.similarity_BB.detach().double().numpy() / 0.5
    ignored = {(0, 2), (2, 0)}
    expected = 0.0
    for i in range(3):
        row = [np.exp(logits[i, j]) for j in range(3) if (i, j) not in ignored]
        column = [np.exp(logits[j, i]) for j in range(3) if (j, i) not in ignored]
        expected -= 2 * logits[i, i] - np.log(sum(row)) - np.log(sum(column))
    assert task.loss(batch).item() == pytest.approx(expected / 3, abs=1e-6)


def test_a_training_that_was_interrupted_within_an_epoch_ends_with_the_same_bits(tmp_path: Path):
    data = data_of([1, 2, 3, 1, 2, 1])

    def train(folder: Path, stops_at: int | None = None) -> bytes:
        steps = iter(range(1, 100))
        stop = (lambda: KeyboardInterrupt if next(steps) == stops_at else None) if stops_at else None
        train_retriever(
            make_model(data), NtXent(), data, None, epochs=3, batch_size=4, optimizer=OptimizerSettings(lr=1e-2),
            run_folder=folder, keep_best="last", seed=5, stop_requested=stop,
        )  # fmt: skip
        return (folder / "model.safetensors").read_bytes()

    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "stopped", stops_at=2)  # of three steps: twelve pairs in batches of four
    assert train(tmp_path / "stopped") == train(tmp_path / "whole")
