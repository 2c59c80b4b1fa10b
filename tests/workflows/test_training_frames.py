"""Frames for training are kept as they were stored, once, in memory or on the disk: to the bit the same training."""

import contextlib
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from atrkit.losses import NtXent
from atrkit.models import AudioTower, DualEncoder, Ragged, WordTower, seeded_initialisation
from atrkit.store.embeddings import gather_embeddings, load_embeddings, save_embeddings
from atrkit.text.vocabulary import Vocabulary
from atrkit.training import OptimizerSettings, TrainingData, train_retriever
from atrkit.workflows import memory
from atrkit.workflows import training_data as workflow
from atrkit.workflows.captioned import CaptionedClips
from atrkit.workflows.training_data import training_data

CLIPS = 24


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Embeddings in float16, on the disk."""
    draw = np.random.default_rng(0)
    ids = [f"clip {n}" for n in range(CLIPS)]
    path = tmp_path_factory.mktemp("store") / "toy.h5"
    frames = [draw.normal(size=(2 + n % 5, 6)).astype(np.float32) for n in range(CLIPS)]
    save_embeddings(path, gather_embeddings(
        ids, ids, frames, [np.ones(1, np.float32)] * CLIPS, None,
        labels=[], frame_dim=6, clip_dim=1, frame_dtype="float16", provenance={"encoder": "toy"},
    ))  # fmt: skip
    return path


def captioned(embeddings, clips=range(CLIPS)):
    chosen = [
        SimpleNamespace(
            id=f"clip {n}", captions=[SimpleNamespace(text=f"sound {n % 5}"), SimpleNamespace(text="noise")]
        )
        for n in clips
    ]
    return CaptionedClips(tuple(chosen), embeddings.select([clip.id for clip in chosen]))


def copied_to_float32(clips) -> TrainingData:
    """How frames were held before: every clip copied to float32, and all of them joined."""
    frames = [clips.embeddings.frames_of(a).astype(np.float32) for a in range(len(clips.clips))]
    return TrainingData(Ragged.from_sequences(frames), clips.embeddings.clip_ids, clips.captions)


WAYS = {
    "copied": lambda path: copied_to_float32(captioned(load_embeddings(path))),
    "in memory": lambda path: training_data(captioned(load_embeddings(path)), in_memory=True),
    "mapped, then in memory": lambda path: training_data(captioned(load_embeddings(path, mapped=True)), in_memory=True),
    "on the disk": lambda path: training_data(captioned(load_embeddings(path, mapped=True)), in_memory=False),
}


def trained(data, folder):
    words = Vocabulary.from_captions(data.all_captions).words
    with seeded_initialisation(1):
        model = DualEncoder(
            AudioTower(6, 8, hidden_dims=(8,), pooling_dim=8, dropout=0.2),
            WordTower(words, 8, word_dim=8, pooling_dim=8),
        )
    settings = OptimizerSettings(lr=1e-2)
    train_retriever(model, NtXent(), data, data, epochs=2, batch_size=7, optimizer=settings, run_folder=folder)
    return {name: (folder / name).read_bytes() for name in ("model.safetensors", "metrics.jsonl")}


def test_every_way_of_holding_frames_gives_the_same_training_to_the_bit(store, tmp_path):
    expected = trained(WAYS["copied"](store), tmp_path / "copied")
    digest = WAYS["copied"](store).sha256
    for name in ("in memory", "mapped, then in memory", "on the disk"):
        data = WAYS[name](store)
        assert data.frames.values.dtype == torch.float16
        assert data.sha256 == digest, "an interrupted training of either kind goes on"
        assert trained(data, tmp_path / name) == expected, name


@pytest.mark.parametrize("clips", [range(CLIPS), range(5, 12)], ids=["all", "a split"])
def test_frames_on_the_disk_are_not_copied(store, clips):
    embeddings = load_embeddings(store, mapped=True)
    assert np.shares_memory(training_data(captioned(embeddings, clips), in_memory=False).frames.values.numpy(),
                            embeddings.frames_NF)  # fmt: skip
    assert not np.shares_memory(training_data(captioned(embeddings, clips), in_memory=True).frames.values.numpy(),
                                embeddings.frames_NF)  # fmt: skip


def test_frames_in_memory_are_held_once(store):
    embeddings = load_embeddings(store)
    assert np.shares_memory(training_data(captioned(embeddings)).frames.values.numpy(), embeddings.frames_NF)


@pytest.mark.parametrize(("available", "stays"), [(10**9, False), (1000, True)])
def test_what_does_not_fit_stays_on_the_disk_and_this_is_said(store, monkeypatch, available, stays):
    monkeypatch.setattr(memory, "available_memory_bytes", lambda: available)
    said = []
    session = SimpleNamespace(say=said.append, open_progress=contextlib.nullcontext)
    mapped, held = (captioned(load_embeddings(store, mapped=mapped)) for mapped in (True, False))
    assert workflow.choose_memory(session, mapped, held) is not stays
    assert ["frames are read from the disk as they are needed" in line for line in said] == [True] * stays
    assert workflow.choose_memory(session, held) is True, "what is in memory already needs no more"
